"""The verb `serve`: the playground in a browser."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from normlab.cli.parser import add_verb, at_least
from normlab.errors import UserError


def _add_serve(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "serve", "open models, databases and studies in a browser, on this machine only", _serve)
    parser.add_argument(
        "given",
        nargs="*",
        metavar="MODEL",
        help="runs, model files or names of `normlab models` [all that have names]; studies, as folders or archives",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at [127.0.0.1: this machine only]")
    parser.add_argument("--port", type=int, default=7860, help="port to listen at; 0 takes a free one [7860]")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for a query [10]")
    parser.add_argument("--max-upload", type=float, default=50.0, metavar="MB", help="largest file [50]")


def _serve(options: argparse.Namespace) -> int:
    at_least(0, port=options.port)
    if options.port > 65535:
        raise UserError(f"--port {options.port}: give 65535 or less")
    for name in ("timeout", "max_upload"):
        if not 0 < getattr(options, name) < 1e6:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name):g}: give more than 0")
    if not _has_gradio():
        raise UserError("the playground needs Gradio: pip install 'normlab[playground]'")
    from normlab.cli.before_torch import refuse_missing_model
    from normlab.runs.memory import share_one_heap

    studies, models = _sorted_out(options.given)
    for model in models:
        refuse_missing_model(model)
    print("normlab: starting, some seconds ...", file=sys.stderr, flush=True)
    share_one_heap()  # before libraries start their threads
    from normlab.apps.serve.app import build_app
    from normlab.apps.serve.limits import MEGABYTE, Limits
    from normlab.apps.serve.models import open_models
    from normlab.apps.serve.server import address_of, allowed_hosts, listen, serve

    limits = Limits(upload=int(options.max_upload * MEGABYTE), seconds=options.timeout)
    with ExitStack() as resources, suppress(KeyboardInterrupt):  # Ctrl-C is how a server ends
        opened = resources.enter_context(listen(options.host, options.port))
        hosts, addresses = allowed_hosts(options.host)
        app = build_app(
            open_models(models),
            write_report=_write_report,
            resources=resources,
            studies=studies,
            hosts=hosts,
            addresses=addresses,
            limits=limits,
        )
        if hosts > {"localhost", "127.0.0.1"}:
            print("normlab: others on the network can use this server, and it asks for no password", file=sys.stderr)
        serve(app, opened, lambda: print(f"{address_of(opened, options.host)}  (Ctrl-C ends)", flush=True))
    return 0


def _has_gradio() -> bool:
    try:
        return importlib.util.find_spec("gradio") is not None
    except ValueError:  # it has been hidden: sys.modules holds None for it
        return False


def _sorted_out(given: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return what of the arguments are studies, and what are models."""
    studies = [Path(name) for name in given if (Path(name) / "study.json").is_file() or name.endswith(".zip")]
    for study in studies:
        if not study.exists():
            raise UserError(f"{study}: no such file: give an archive that `normlab study pack` made")
    return studies, [name for name in given if Path(name) not in studies]


def _write_report(study: Path, out: Path) -> list[str]:
    """Write a study's report; return a line for each damaged run that is left out of it."""
    from normlab.report import write_report
    from normlab.studies.sources import collect_studies

    studies = collect_studies([study])
    write_report(studies, out)
    return [f"left out: {line}" for one in studies for line in one.left_out]


VERBS = (_add_serve,)
