"""A process that reads hostile files one at a time, in bounded memory and processor time, and says how each ended.

It reads lines of JSON, {"case", "folder", "seconds"}, and answers each with {"outcome", "said"}: "refused" with the
user's error, "read", or "broken" with what else happened. A reader that takes more processor time, or more memory,
than the bounds is broken too. The parent's own deadline is for what cannot be interrupted.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

SECONDS = 10  # of processor time
MEGABYTES = 768  # of address space


class TooLong(BaseException):
    """Not an Exception: readers that turn any Exception into a user's error must not swallow it."""


def too_long(number: int, frame: FrameType | None) -> NoReturn:
    raise TooLong("more processor time than it may take")


def bound_memory() -> None:
    """Let the process take so much more than it has now: what earlier cases have reserved counts for none."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (MEGABYTES << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def outcome(name: str, folder: Path, seconds: float) -> dict[str, str]:
    from hostile_files import CASES, READERS

    from normlab.data.sql.sqlite import QueryError
    from normlab.errors import UserError

    case = CASES[name]
    os.chdir(folder)
    tempfile.tempdir = str(folder)
    path = case.make(folder)
    bound_memory()
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        READERS[case.reader](path)
    except (UserError, QueryError) as error:
        return {"outcome": "refused", "said": str(error)}
    except BaseException as error:
        return {"outcome": "broken", "said": f"{type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return {"outcome": "read", "said": ""}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")  # what a reader prints goes elsewhere
    os.dup2(2, 1)
    import hostile_files

    hostile_files.warm_up()
    signal.signal(signal.SIGPROF, too_long)
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(outcome(request["case"], Path(request["folder"]), request["seconds"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
