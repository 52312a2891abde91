"""The command line: verbs only. Nothing heavy is imported before the arguments are understood.

Every verb takes `--help`; those that print a result take `--json`. Exit codes: 0 success, 1 failure, 2 a mistake of
the user, which is told in one line. A task's settings become flags of `train` and `study run` by themselves: the
field's name, its description, its default.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from normlab import __version__
from normlab.cli import bench, look, runs, studies, tune
from normlab.cli.parser import Parser
from normlab.errors import UserError
from normlab.runs.threads import let_idle_threads_sleep


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    let_idle_threads_sleep()  # what libgomp reads when torch loads it
    arguments = [_with_dashes(word) for word in (sys.argv[1:] if argv is None else argv)]
    try:
        options = _parser(arguments).parse_args(arguments)
        with _termination_interrupts():
            exit_code: int = options.run(options)
        return exit_code
    except UserError as error:
        print(f"normlab: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _SYSTEM_MENDS:
            raise
        where = error.filename or "the run folder"
        print(f"normlab: {where}: {error.strerror}: {_SYSTEM_MENDS[error.errno]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        mend = "the same command" if arguments[0] in ("study", "tune") else "`normlab resume RUN`"
        print(f"normlab: interrupted; finished epochs are saved: go on with {mend}", file=sys.stderr)
        return 1


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let `kill`, a batch system or a container stop a verb as Ctrl-C does: runs say that they were interrupted."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # One of several processes may wait for the others outside of Python, deaf to handlers; it has to die.
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


_SYSTEM_MENDS = {
    errno.ENOSPC: "free some space, then go on with `normlab resume RUN`; finished epochs are saved",
    errno.EDQUOT: "free some of your quota, then go on with `normlab resume RUN`; finished epochs are saved",
    errno.EACCES: "choose a place that you may write to, with --out",
    errno.EROFS: "choose a place that can be written to, with --out",
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
    for module in (runs, studies, tune, look, bench):
        for add in module.VERBS:
            add(verbs, arguments)
    return parser
