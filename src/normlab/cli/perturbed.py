"""`normlab evaluate RUN --perturb KIND`: the score on questions that are said differently."""

from __future__ import annotations

import argparse
from typing import Any

from normlab.cli.parser import at_least
from normlab.errors import UserError
from normlab.metrics import title_of
from normlab.plurals import plural

_DEFAULTS = {"seed": 0, "every": 1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags to `evaluate`."""
    group = parser.add_argument_group("text2sql, questions said differently")
    group.add_argument(
        "--perturb",
        metavar="KIND",
        help="synonyms, typos, order, values or names: measure the questions that this rule changes, as they stand "
        "and changed",
    )
    group.add_argument("--seed", type=int, help="of the rule's choices, or of --copies [0]")
    group.add_argument("--every", type=int, metavar="N", help="look at every Nth question only [1]")
    group.add_argument(
        "--corrected",
        action="store_true",
        help="answer as predict and ask do, who read the database's file and put rules after the model",
    )


def refuse_without_kind(options: argparse.Namespace) -> None:
    """Raise `UserError` for flags that do nothing without --perturb, and for values that no rule takes."""
    if options.perturb is None:
        if options.every is not None:
            raise UserError("--every: does nothing without --perturb: all questions are measured")
        if options.corrected:
            raise UserError("--corrected: does nothing without --perturb: score what predict wrote, --gold --predicted")
        if options.seed is not None and not options.copies:
            raise UserError("--seed: does nothing without --perturb or --copies: an evaluation has nothing random")
        return
    from normlab.tasks.text2sql.perturbing.rules import check_kind

    check_kind(options.perturb)
    at_least(0, seed=_value(options, "seed"))
    at_least(1, every=_value(options, "every"))
    for name in ("official", "gold", "predicted"):
        if getattr(options, name) is not None:
            raise UserError(f"--{name} and --perturb exclude each other: give one")
    if options.copies:
        raise UserError("--copies and --perturb exclude each other: give one")


def measure(run: Any, options: argparse.Namespace) -> tuple[Any, str]:
    """Return the measurement of a run's changed questions, to be kept, and its table for people."""
    from normlab.engine.evaluation import Measured, refuse_unfinished
    from normlab.tasks.text2sql.perturbing.measuring import measure_perturbed, read_questions_to_ask

    if run.task.name != "text2sql":
        raise UserError(f"--perturb: {run.path} is a run of {run.task.name}; the rules are for text2sql")
    if not options.unfinished:
        refuse_unfinished(run.folder)
    config = run.config if options.data is None else run.config.with_values("data", data=options.data)
    data = read_questions_to_ask(config, run.folder.card())
    seed, every = _value(options, "seed"), _value(options, "every")
    found = measure_perturbed(
        run.model,
        data,
        options.split,
        options.perturb,
        seed=seed,
        every=every,
        config=config,
        placement=run.placement,
        corrected=options.corrected,
    )
    variant = f"{options.perturb}-{seed}" + (f"_every-{every}" if every > 1 else "") + "_corrected" * options.corrected
    metrics = {f"{options.split}/{name}": value for name, value in found.metrics.items()}
    tables = {"perturbation": found.summary}
    measured = Measured(options.split, metrics, tables, found.columns, data.fingerprint, run.notes(), variant)
    return measured, _as_text(found.summary)


def _value(options: argparse.Namespace, name: str) -> int:
    given = getattr(options, name)
    return _DEFAULTS[name] if given is None else int(given)


def _as_text(summary: dict[str, Any]) -> str:
    plain, other = summary["as_they_stand"], summary["said_differently"]
    lines = [
        f"{summary['kind']}, seed {summary['seed']}: {summary['changed']} of "
        f"{plural(summary['questions'], 'question')} changed",
        f"{'the same questions':<36}{'as they stand':>15}{'changed':>10}",
    ]
    for name, value in plain.items():
        lines.append(f"{title_of(name):<36}{100 * value:>13.1f} %{100 * other[name]:>8.1f} %")
    return "\n".join([*lines, f"right before and wrong now: {summary['lost']}; the other way: {summary['gained']}"])
