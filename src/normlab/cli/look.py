"""The verbs list, data and doctor."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normlab.cli.parser import Parser, add_verb, no_action
from normlab.cli.tables import print_pairs, print_table

_LISTS = ("norms", "tasks", "runs", "presets", "studies")


def _add_list(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "list", "list what there is", _list)
    parser.add_argument("what", metavar="LIST", choices=_LISTS, help=", ".join(_LISTS))
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs"), help="where to look for runs [runs]")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def _list(options: argparse.Namespace) -> int:
    from normlab.cli.listing import LISTINGS

    rows = LISTINGS[options.what](options.folder)
    if options.json:
        print(json.dumps(rows))
        return 0
    if not rows:
        print(f"no {options.what} in {options.folder}")
        return 0
    print_table(rows)
    return 0


def _add_data(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "data", "get, check and list data sets", no_action)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=Parser)
    get = add_verb(actions, "get", "download a data set, checked and resumable", _data_get)
    get.add_argument("name", help="cifar10, cifar100; see `normlab data list`")
    get.add_argument("--out", type=Path, help="where to keep it; default the user's cache")
    check = add_verb(actions, "check", "read a data set and say what is in it", _data_check)
    check.add_argument("path", help="a name, or a path")
    check.add_argument("--json", action="store_true", help="print the findings as JSON")
    add_verb(actions, "list", "list the data sets that have a name", _data_list)


def _data_get(options: argparse.Namespace) -> int:
    from normlab.data.image.download import download

    with _bytes_shown(options.name) as progress:
        path = download(options.name, options.out, progress=progress)
    print(path)
    return 0


@contextmanager
def _bytes_shown(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield what a download calls with (bytes so far, bytes in all): a bar on a terminal, a line a tenth elsewhere."""
    if not sys.stderr.isatty():
        tenths = set[int]()

        def say(done: int, total: int | None) -> None:
            tenth = 10 * done // total if total else done // 10_000_000
            if tenth not in tenths:
                tenths.add(tenth)
                print(
                    f"{title}: {done / 1e6:.0f} MB{f' of {total / 1e6:.0f}' if total else ''}",
                    file=sys.stderr,
                    flush=True,
                )

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(title, *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _data_check(options: argparse.Namespace) -> int:
    from normlab.data.check import check

    findings = check(options.path)
    print(json.dumps(findings) if options.json else "\n".join(f"{key}: {value}" for key, value in findings.items()))
    return 0


def _data_list(options: argparse.Namespace) -> int:
    from normlab.data.image.download import list_known

    for line in list_known():
        print(line)
    return 0


def _add_doctor(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "doctor", "show what this machine has and what normlab uses of it", _doctor)
    parser.add_argument(
        "--kernels", action="store_true", help="show which implementation of each fast operation runs here, and why"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _doctor(options: argparse.Namespace) -> int:
    from normlab.cli.doctor import examine

    if options.kernels:
        from normlab.kernels.overview import measured_choices, overview
        from normlab.kernels.runtime.contest import policy

        rows, choices = overview(), measured_choices()
        if options.json:
            print(json.dumps({"policy": policy(), "operations": rows, "measured": choices}))
            return 0
        print_table(rows)
        print(f"\nNORMLAB_KERNELS: {policy()} (one of auto, own, torch, off)")
        if choices:
            print("measured on this processor, as kinds of shapes were met:\n")
            print_table(choices)
        return 0
    findings = examine()
    if options.json:
        print(json.dumps(findings))
        return 0
    print_pairs(findings)
    return 0


VERBS = (
    _add_list,
    _add_data,
    _add_doctor,
)
