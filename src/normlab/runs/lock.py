"""One writer per folder: an advisory lock that the system lets go when its process dies, however it dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from normlab.errors import UserError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """A lock file. `acquire` refuses instead of waiting, because two writers are a user's mistake."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self, folder: Path) -> None:
        """Take the lock.

        Raises: UserError naming the folder and the process that writes to it.
        """
        file = self.path.open("a+")
        try:
            _try_lock(file)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise UserError(
                f"{folder}: another process (pid {holder}) is writing to it: wait for it, or choose another --out"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let go; harmless if the lock is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def held_by_someone(self) -> bool:
        """True while a process, this one included, holds the lock."""
        if self._file is not None:
            return True
        if not self.path.exists():
            return False
        with self.path.open("a+") as file:
            try:
                _try_lock(file)
            except OSError:
                return True
        return False
