"""What stands in standard input as a file, since readers look at their input more than once."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from normlab.errors import UserError

STANDARD_INPUT = Path("-")


def path_of(source: Path) -> Path:
    """Return a path that can be read many times: for `-` that of a copy of standard input, else the path itself."""
    return _copy() if source == STANDARD_INPUT else source.expanduser()


@cache
def _copy() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="normlab-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "standard input"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    if not path.stat().st_size:
        raise UserError("standard input is empty: give it a text, or a file's path instead of -")
    return path
