"""The command line: verbs only. Nothing heavy is imported before the arguments are parsed.

Every verb takes `--help`; those that print a result take `--json`. Exit codes: 0 success, 1 failure, 2 a mistake of
the user, which is reported in one line. Every setting of a task is a flag of `train` and `study run`: the field's name,
its description, its default.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from normlab.cli import (
    ask,
    bench,
    comparing,
    course,
    export,
    look,
    models,
    predicting,
    reports,
    runs,
    serve,
    studies,
    tag,
    tune,
)
from normlab.cli.parser import Parser
from normlab.cli.system_errors import report_of
from normlab.errors import UserError
from normlab.runs.threads import let_idle_threads_sleep
from normlab.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    let_idle_threads_sleep()  # before torch loads libgomp, which reads it
    _make_printable()
    arguments = [_with_dashes(word) for word in (sys.argv[1:] if argv is None else argv)]
    try:
        if not arguments:
            print(_FIRST_STEPS)
            return 0
        options = _parsed(arguments)
        with _termination_interrupts(), _own_warnings_in_a_line():
            exit_code: int = options.run(options)
        sys.stdout.flush()  # here, where a closed pipe is handled
        return exit_code
    except UserError as error:
        print(f"normlab: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has closed its end, as `head` does
        _drop_output()
        return 0
    except OSError as error:
        report = report_of(error)
        if report is None:
            raise
        print(f"normlab: {report.line}", file=sys.stderr)
        return report.code
    except KeyboardInterrupt:
        print(f"normlab: interrupted{_GO_ON.get(arguments[0] if arguments else '', '')}", file=sys.stderr)
        return 1


_FIRST_STEPS = """\
normlab tag "Barack Obama met Angela Merkel in Berlin."  # names in a text
normlab ask my.sqlite "How many customers are there?"    # your database or CSV
normlab predict cifar10-group photo.png                  # what a picture shows
normlab serve                                            # all this in a browser
normlab study run seven_norms --scale smoke              # more: normlab --help"""


def _parsed(arguments: list[str]) -> Namespace:
    try:
        return _parser(arguments).parse_args(arguments)
    except SystemExit:  # after a help text, whose reader may have closed the pipe
        sys.stdout.flush()
        raise


def _make_printable() -> None:
    """Make printing never fail: characters missing from the encoding are escaped, closed streams go to null."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell: `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Discard what is still in Python's buffer, so that flushing at exit does not fail on the closed pipe."""
    with suppress(OSError, ValueError):  # no descriptor: a program that called us has its own stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Treat a termination (by `kill`, a batch system, a container) like Ctrl-C: runs are recorded as interrupted."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # One of several processes may wait for the others outside of Python, where no handler runs: leave it to be killed.
    alone = "LOCAL_RANK" not in os.environ
    may_set = threading.current_thread() is threading.main_thread()
    if not (alone and may_set and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _own_warnings_in_a_line() -> Iterator[None]:
    """Show a warning of this package as a line for its reader, not as a place in the source."""
    usual, package = warnings.formatwarning, os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

    def formatted(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if filename.startswith(package + os.sep):
            return f"normlab: {message}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = usual


_GO_ON = {
    "train": "; finished epochs are saved: go on with `normlab resume RUN`",
    "resume": "; finished epochs are saved: go on with `normlab resume RUN`",
    "study": "; finished epochs are saved: go on with the same command",
    "tune": "; finished epochs are saved: go on with the same command",
    "course": "; finished epochs of a training are saved: go on with the same command",
}


def _with_dashes(word: str) -> str:
    """Accept `--batch_size`, the name of the setting, for `--batch-size`."""
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else word


def _parser(arguments: list[str]) -> Parser:
    parser = Parser(
        prog="normlab",
        description="A laboratory for normalization in deep learning.",
        epilog="First steps: `normlab doctor`, then `normlab study run seven_norms`.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"normlab {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=Parser)
    modules = (
        runs,
        predicting,
        studies,
        reports,
        comparing,
        tune,
        ask,
        tag,
        serve,
        models,
        export,
        look,
        bench,
        course,
    )
    for module in modules:
        for add in module.VERBS:
            add(verbs, arguments)
    return parser
