"""The verb `study` and its actions."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from normlab.cli.parser import Parser, add_fields, add_verb, field_values, no_action
from normlab.cli.reports import readable
from normlab.cli.study_costs import add_estimate, estimated
from normlab.cli.study_options import add_axis, given_axes, refuse_small, study_config_class, study_values
from normlab.cli.tables import print_table
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs import RunState


def _add_study(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "study", "compare many trainings under the same seeds", no_action)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=Parser)
    for name, text, run in (
        ("plan", "list the cells of a study, without training", _study_plan),
        ("run", "train what is not done yet, then write the report", _study_run),
    ):
        child = add_verb(actions, name, text, run)
        child.add_argument(
            "study", metavar="STUDY", help="a .yaml file, or a shipped study: see `normlab list studies`"
        )
        child.add_argument("--scale", default="demo", help="smoke, demo, full, or another scale of the study [demo]")
        child.add_argument("--seeds", type=int, help="number of paired seeds")
        add_axis(child)
        child.add_argument("--json", action="store_true", help="print the answer as JSON")
        child.add_argument("--out", type=Path, help="the study's folder; default runs/STUDY-SCALE")
        child.add_argument("--workers", type=int, help="cells trained at once; default one per core")
        add_estimate(child, planning=name == "plan")
        if name == "run":
            child.add_argument(
                "--until-decided",
                action="store_true",
                help="stop once every claim is decided, after --seeds at most; looking costs no error (alpha spending)",
            )
            child.add_argument(
                "--concurrent", type=int, default=1, help="cells that share one process, say on a GPU [1]"
            )
            _add_cluster(child)
        if arguments[:2] == ["study", name]:
            add_fields(child, study_config_class(arguments[2:]), *study_values(arguments[2:]))
    for name, text, run in (
        ("status", "show how far each cell of a study is", _study_status),
        ("report", "write a study's report again", _study_report),
    ):
        child = add_verb(actions, name, text, run)
        child.add_argument(
            "folder", type=Path, metavar="STUDY", help="the folder of `study run --out`, or an archive of it"
        )
        child.add_argument("--json", action="store_true", help="print the answer as JSON")
    child = add_verb(actions, "pack", "write the finished cells of a study, without weights, to one file", _study_pack)
    child.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of `study run --out`")
    child.add_argument("--out", type=Path, help="the archive; default FOLDER.zip. Cells that it holds are kept")


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where cells are trained")
    group.add_argument("--engine", choices=["local", "ray"], default="local", help="this machine, or a cluster [local]")
    group.add_argument("--address", help="ray: auto, HOST:PORT or ray://HOST:PORT; default: start one on this machine")
    group.add_argument("--cpus-per-cell", type=float, help="ray: processors that a cell occupies [1]")
    group.add_argument("--gpus-per-cell", type=float, help="ray: GPUs, or a fraction; default 1 if there are any")
    group.add_argument("--results", choices=["auto", "shared", "sent"], help="ray: how results come back [auto]")


def _cluster(options: argparse.Namespace) -> Any:
    """Return the options of the cluster; None for the local engine.

    Raises: UserError if there are such options with the local engine.
    """
    from normlab.studies.cluster import ClusterOptions

    names = ("address", "cpus_per_cell", "gpus_per_cell", "results")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.engine == "ray":
        return ClusterOptions(**given)
    if given:
        raise UserError(f"--{next(iter(given)).replace('_', '-')} is for a cluster: add --engine ray")
    return None


def _study_changes(options: argparse.Namespace) -> dict[str, Any]:
    refuse_small(options)
    return field_values(options, study_config_class([options.study]))


def _study_plan(options: argparse.Namespace) -> int:
    from normlab.studies.plan import find_study, make_plan
    from normlab.studies.runner import refuse_wrong_claims

    axes = given_axes(options)
    plan = make_plan(
        options.study,
        scale=options.scale,
        seeds=options.seeds,
        axes=axes,
        **_study_changes(options),
    )
    if not axes:  # with other axes, claims about other values are left out
        refuse_wrong_claims(plan, find_study(options.study))
    estimate = estimated(plan, options) if options.estimate or options.budget else None
    if options.json:
        rows = [{"name": c.name, "values": c.values, "seed": c.seed, "hash": c.hash} for c in plan.cells]
        if estimate is not None:
            fitting = {cell.name for cell in estimate.fitting}
            for row in rows:  # finished cells have 0 seconds left
                row |= {"seconds": estimate.seconds.get(row["name"], 0.0), "fits": row["name"] in fitting}
        print(json.dumps(rows))
        return 0
    print(f"{plan.file.title} ({plan.scale}): {plural(len(plan.cells), 'cell')}")
    if estimate is not None:
        print("\n".join(estimate.lines()))
        return 0
    for cell in plan.cells:
        print(f"  {cell.name}  {cell.hash}")
    return 0


def _study_run(options: argparse.Namespace) -> int:
    from normlab.studies import run_study

    study = run_study(
        options.study,
        out=options.out,
        scale=options.scale,
        seeds=options.seeds,
        axes=given_axes(options),
        workers=options.workers,
        concurrent=options.concurrent,
        budget=options.budget,
        until_decided=options.until_decided,
        engine=options.engine,
        cluster=_cluster(options),
        **_study_changes(options),
    )
    exit_code = _show_study(study, as_json=options.json)
    return exit_code or _report_open_cells(study, limited=options.budget is not None or options.until_decided)


def _report_open_cells(study: Any, *, limited: bool) -> int:
    """Name the cells that are not finished, e.g. because another process trains them. Return the exit code.

    Args:
        limited: a budget left cells for later, which is no failure.
    """
    others = study.trained_elsewhere()
    open_cells = [cell for cell in study.cells if not (cell.state.is_over or cell.state is RunState.RUNNING)]
    if others:
        line = plural(len(others), "cell is", "cells are")
        pid = others[0].writer().get("pid", "?")
        print(
            f"normlab: {study.path}: {line} being trained by another process (pid {pid}): its report will have them; "
            "or run the same command again once it has ended",
            file=sys.stderr,
        )
    elif open_cells:
        print(f"normlab: {study.path}: {len(open_cells)} not over: run the same command again", file=sys.stderr)
    return 1 if others or (open_cells and not limited) else 0


def _show_study(study: Any, *, as_json: bool, out: Path | None = None) -> int:
    """Print a study's table and write its report; fail if no cell has a result."""
    from normlab.report import write_report
    from normlab.studies.text_table import as_rows

    study = readable(study)
    report = write_report([study], out or study.path / "report.html")
    failed = [cell.name for cell in study.cells if cell.state is RunState.FAILED]
    _warn_of_mixed_versions(study)
    _warn_of_wrong_claims(study)
    if as_json:
        print(json.dumps({"study": str(study.path), "report": str(report), "failed": failed, "rows": study.table()}))
    else:
        print_table(as_rows(study))
        print(f"report: {report}")
    for name in failed:
        print(
            f"normlab: {study.path / 'cells' / name}: failed; see its log.txt, then run again",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _study_status(options: argparse.Namespace) -> int:
    from normlab.studies import Study

    study = readable(Study.open(options.folder))
    _warn_of_mixed_versions(study)
    rows = [
        {"name": cell.name, "state": cell.state, "epochs": len(cell.folder.metrics()), **cell.writer()}
        for cell in study.cells
    ]
    if options.json:
        print(json.dumps(rows))
        return 0
    writers = [f"{r.get('host', '?')}, pid {r.get('pid')}" if r["state"] == RunState.RUNNING else "" for r in rows]
    print_table(
        [
            {"cell": row["name"], "state": row["state"], "epochs": row["epochs"]} | ({"by": by} if any(writers) else {})
            for row, by in zip(rows, writers, strict=True)
        ]
    )
    return 0


def _warn_of_mixed_versions(study: Any) -> None:
    from normlab.studies.versions import mixed_precisions_of, mixed_versions_of

    for line in mixed_versions_of(study):
        print(f"normlab: {study.path}: {line}: train the older ones again for a fair comparison", file=sys.stderr)
    for line in mixed_precisions_of(study):
        print(f"normlab: {study.path}: {line}", file=sys.stderr)


def _warn_of_wrong_claims(study: Any) -> None:
    """Print the claims that cannot be judged; which metrics exist is known only after training."""
    from normlab.studies.claims import claims_or_mistakes

    for claim in claims_or_mistakes(study):
        if isinstance(claim, UserError):
            print(f"normlab: {claim}: fix it in the study's file and run the study again", file=sys.stderr)


def _study_pack(options: argparse.Namespace) -> int:
    from normlab.runs.archive import pack_study

    folder = options.folder.resolve()
    out = options.out or folder.with_name(f"{folder.name}.zip")
    count = pack_study(options.folder, out)
    print(f"{out}: {plural(count, 'finished cell')}, {out.stat().st_size / 1e6:.1f} MB")
    return 0


def _study_report(options: argparse.Namespace) -> int:
    from normlab.studies import Study

    out = options.folder.with_suffix(".html") if options.folder.is_file() else None
    return _show_study(Study.open(options.folder), as_json=options.json, out=out)


VERBS = (_add_study,)
