"""One writer per folder: an advisory lock that the system releases when its process dies, however it dies.

`filelock` does not replace it. A reader asks with a shared lock whether a run is still being written, also in a folder
that it may only read; the second writer is told the process number of the first; and a file system without locks is an
error in one line, where `filelock` falls back to a lock file that outlives a killed process.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path
from typing import IO

from normlab.errors import UserError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str], *, shared: bool = False) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(file: IO[str], *, shared: bool = False) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_TRIES, _PAUSE = 5, 0.05  # a reader who looks whether the lock is held has it for an instant


class FolderBusyError(UserError):
    """Another process writes to a folder.

    Attributes:
        holder: its process number, or "unknown".
    """

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"{folder}: another process (pid {holder}) is writing to it: wait for it, or choose another --out"
        )
        self.folder, self.holder = folder, holder

    def __reduce__(self) -> tuple[type[FolderBusyError], tuple[Path, str]]:
        return type(self), (self.folder, self.holder)


class FolderLock:
    """A lock file. `acquire` refuses instead of waiting, because two writers are a user's mistake."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self, folder: Path) -> None:
        """Take the lock.

        Raises: FolderBusyError naming the folder and the process that writes to it; UserError why there is no lock.
        """
        try:
            file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise UserError(_unwritable(folder, error)) from None
        try:
            _lock_soon(file)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            if error.errno not in _HELD:
                raise UserError(
                    f"{folder}: its file system has no locks ({error.strerror}), which keep a second process from "
                    "writing to it: choose a folder on another disk, with --out"
                ) from None
            raise FolderBusyError(folder, holder) from None
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
        """True while a process, this one included, holds the lock; also where that cannot be known.

        Asking needs no right to write: the run may be somebody else's.
        """
        if self._file is not None:
            return True
        try:
            with self.path.open(encoding="utf-8") as file:
                _try_lock(file, shared=True)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False


def _lock_soon(file: IO[str]) -> None:
    for _ in range(_TRIES):
        try:
            _try_lock(file)
        except OSError as error:
            if error.errno not in _HELD:
                raise
            time.sleep(_PAUSE)
        else:
            return
    _try_lock(file)


def _unwritable(folder: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder}: you may not write to it ({error.strerror}): copy it to a place of your own and use the copy"
    return f"{folder}: cannot be written to ({error.strerror}): choose another folder"
