"""Verbs about one run: train, resume, evaluate."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from normlab.acting import refuse_ignored
from normlab.cli import perturbed, sql_scores
from normlab.cli.parser import Parser, add_fields, add_verb, at_least, field_values, given_option, wants_help
from normlab.cli.tables import metric_table
from normlab.errors import UserError, shortened
from normlab.plurals import plural
from normlab.runs import RunState


def _add_train(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "train", "train one model", _train)
    tasks = parser.add_subparsers(title="tasks", metavar="TASK", required=True, dest="task", parser_class=Parser)
    from normlab.tasks import TASKS, task_settings

    for name in TASKS:
        child = tasks.add_parser(name, help=f"see `normlab train {name} --help`", allow_abbrev=False)
        child.usage = f"normlab train {name} [--preset NAME] [--data PATH] [--out DIR] [--SETTING VALUE ...]"
        if arguments[:1] != ["train"] or name not in arguments:
            continue
        settings = task_settings(name)
        child.add_argument("--preset", choices=list(settings.presets), help="the settings that the flags change [demo]")
        child.add_argument("--scale", choices=["smoke", "demo", "full"], help="the preset of that size")
        child.add_argument("--config", type=Path, metavar="FILE", help="settings from a YAML file, e.g. a run's")
        child.add_argument("--out", type=Path, help="the run folder; default runs/TASK-TIME")
        child.add_argument("--json", action="store_true", help="print the result as JSON")
        preset = _preset(given_option(arguments, "--preset"), given_option(arguments, "--scale"))
        if preset in settings.presets:  # a wrong name is refused where the flags are read
            values = settings.make(preset, {}, "command line").model_dump() if wants_help(arguments) else {}
            add_fields(child, settings.config_class, values, f"with the preset {preset}")


def _preset(preset: str | None, scale: str | None) -> str:
    """Return the preset in force; `demo` if none is named."""
    return preset or scale or "demo"


def _train(options: argparse.Namespace) -> int:
    from normlab.tasks import task_settings

    settings = task_settings(options.task)
    values = field_values(options, settings.config_class)
    if options.preset and options.scale:
        raise UserError(f"--preset {options.preset} and --scale {options.scale} both name a preset: give one of them")
    if options.config is None:
        config = settings.make(_preset(options.preset, options.scale), values, "command line")
    else:
        config = _from_file(options.config, options.task, options.preset or options.scale)
        config = config.with_values("command line", **values) if values else config
    refuse_ignored([config], values)
    from normlab.engine.api import train_new  # imports torch, which what is wrong above need not wait for

    folder = train_new(options.task, config, options.out, quiet=options.json)
    return show_on_rank0(folder, as_json=options.json)


def _from_file(path: Path, task: str, preset: str | None) -> Any:
    """Return the settings of a file, over those of a preset if one is asked for."""
    from normlab.tasks import task_settings
    from normlab.yaml_file import read_yaml

    values = read_yaml(path)
    named = values.pop("task", task)
    if named != task:
        raise UserError(f"{path}:{values.lines['task']}: is for the task {shortened(named)}, not for '{task}'")
    return task_settings(task).make(preset, values, str(path))


def _add_resume(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "resume", "continue an interrupted run, to the same bits", _resume)
    parser.add_argument("run_folder", type=Path, metavar="RUN")
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="train a finished run on, up to epoch N; its schedule is stretched",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _resume(options: argparse.Namespace) -> int:
    from normlab.runs import RunFolder

    folder = RunFolder.open(options.run_folder)
    from normlab.engine.api import train_folder

    if options.epochs is not None:
        at_least(1, epochs=options.epochs)
        from normlab.engine.distributed import is_rank0
        from normlab.engine.extending import extend_run

        if is_rank0():
            print(f"normlab: {extend_run(folder, options.epochs)}", file=sys.stderr)
    elif folder.done:
        print(f"{folder.path}: finished already", file=sys.stderr)
        return show_on_rank0(folder, as_json=options.json)  # the run may be read-only: nothing is written
    train_folder(folder, quiet=options.json)
    return show_on_rank0(folder, as_json=options.json)


def show_on_rank0(folder: Any, *, as_json: bool) -> int:
    """Print a run's result, in rank 0 only if torchrun has started several processes."""
    from normlab.engine.distributed import is_rank0

    return _show_result(folder, folder.result(), as_json=as_json) if is_rank0() else 0


def _show_result(folder: Any, result: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"run": str(folder.path), **result}))
    elif result["state"] == RunState.DIVERGED:
        print(f"{folder.path}: {result['diverged']['reason']}; try a smaller --lr")
    else:
        print(metric_table(result["metrics"]))
        print(
            f"{plural(result['epochs'], 'epoch')} in {result['seconds']:.0f} s, "
            f"{plural(result['parameters'], 'parameter')}, best epoch {result['best_epoch']}"
        )
        print(f"everything is in {folder.path}")
    return 1 if result["state"] == RunState.DIVERGED else 0


def _add_evaluate(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "evaluate", "measure a trained run on a split, or score a file of SQL", _evaluate)
    parser.add_argument("run_folder", type=Path, metavar="RUN", nargs="?")
    parser.add_argument("--split", default="test", help="train, val or test [test]")
    parser.add_argument(
        "--data", help="labelled data: the path of the run's own now, or others of the same classes (image, ner)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for evaluation.json and predictions.csv [RUN/evaluations/SPLIT...]"
    )
    parser.add_argument(
        "--unfinished", action="store_true", help="measure the best weights so far of an unfinished run"
    )
    parser.add_argument("--device", help="auto, cpu, cuda, ...")
    parser.add_argument("--json", action="store_true", help="print metrics and tables as JSON")
    sql_scores.add_options(parser)
    sql_scores.add_search_options(parser)
    perturbed.add_options(parser)


def _evaluate(options: argparse.Namespace) -> int:
    perturbed.refuse_without_kind(options)
    if options.gold or options.predicted:
        return sql_scores.score_files(options)
    if options.run_folder is None:
        raise UserError("nothing to evaluate: give a run folder, or --gold, --predicted and --tables")
    from normlab.cli.before_torch import refuse_missing_model

    refuse_missing_model(options.run_folder)
    from normlab.engine.api import load_run

    changes = sql_scores.search_options(options)
    run = load_run(options.run_folder, device=options.device, **changes)
    refuse_ignored([run.config], changes)
    sql_scores.refuse_of_other_task(run, options)
    if options.perturb:
        measured, text = perturbed.measure(run, options)
    else:
        measured = run.measure(options.split, data=options.data, unfinished=options.unfinished)
        lines = ""
        if options.copies:
            measured, lines = sql_scores.suite_of_run(run, options, measured)
        text = f"{metric_table(measured.metrics)}\n{lines}".rstrip()
    written = run.keep(measured, data=options.data, out=options.out)
    answer: dict[str, Any] = {"metrics": measured.metrics, "tables": measured.tables, **written}
    if options.official:
        answer["official"], shown = sql_scores.official_of_run(run, options, measured.predictions, written["out"])
        text = f"{text}\n\n{shown}"
    for note in written["notes"]:
        print(f"normlab: {note}", file=sys.stderr)
    print(json.dumps(answer) if options.json else text)
    return 0


VERBS = (
    _add_train,
    _add_resume,
    _add_evaluate,
)
