"""The shim of `shim.c` from Python: built with the system's compiler, told through a page of shared memory."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
CALLS = ("open", "open to read", "write", "fsync", "rename", "unlink", "mkdir", "lock", "chmod", "truncate")
_PAGE, _FOLDER = 4096, 512


def compiler() -> str | None:
    """Return the C compiler, or None where the shim cannot be built."""
    return shutil.which("cc") or shutil.which("gcc") if os.uname().sysname == "Linux" else None


def build(folder: Path) -> Path:
    """Compile the shim into a folder; return the library, for LD_PRELOAD."""
    library = folder / "shim.so"
    command = [compiler() or "cc", "-O1", "-fPIC", "-shared", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def environment(library: Path, folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a program that runs under the shim, which watches a folder."""
    return {**os.environ, "LD_PRELOAD": str(library), "SHIM_ROOT": str(folder), **more}


class Control:
    """What the shim is told, and what it has counted: see the head of `shim.c`."""

    def __init__(self, path: Path) -> None:
        if not path.exists() or path.stat().st_size < _PAGE:
            path.write_bytes(bytes(_PAGE))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _PAGE)

    def arm(self, folder: Path, calls: tuple[str, ...], number: int, error: int, *, lasting: bool = False) -> None:
        """Let the call of that number fail below a folder, of those kinds together; number 0 only counts.

        Args:
            error: an errno, or minus a signal that kills the process instead.
            lasting: all later calls fail too.
        """
        self.disarm()
        text = os.fsencode(folder.resolve()) + b"\0"
        self._page[_FOLDER : _FOLDER + len(text)] = text
        bits = sum(1 << CALLS.index(call) for call in calls)
        self._page[8:_FOLDER] = struct.pack("<4q", bits, number, error, lasting) + bytes(_FOLDER - 40)
        self._page[0:8] = struct.pack("<q", 1)

    def disarm(self) -> None:
        """Let all calls pass."""
        self._page[0:8] = bytes(8)

    @property
    def failures(self) -> int:
        """How many calls have failed since `arm`."""
        return int(struct.unpack_from("<q", self._page, 48)[0])

    def seen(self) -> dict[str, int]:
        """Return how many calls of each kind were made since `arm`."""
        return dict(zip(CALLS, struct.unpack_from(f"<{len(CALLS)}q", self._page, 64), strict=True))
