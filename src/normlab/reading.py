"""How a small file is read whole: a setting, a record, a study.

A path that a user gives may be a folder, a pipe that nobody writes to, a database, a file of somebody else or one on a
failing disk. Each is told in one line, with its own cause and fix, and none is waited for.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from normlab.errors import UserError, shortened
from normlab.file_kind import HEAD, kind_of

_LARGEST = 512 << 20  # bytes
_TOLD = re.compile(r'"?sep=([^"\w\s]|\t)"?', re.IGNORECASE)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

# errno -> (cause, fix) of a file that cannot be read
_READ_CAUSES = {
    errno.ENOENT: ("no such file", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "check the path"),
    errno.EISDIR: ("a folder, where a file is wanted", "give a file in it"),
    errno.ELOOP: ("a link that leads back to itself", "give the file itself"),
    errno.ENAMETOOLONG: ("the name is too long for a file", "check the path"),
    errno.EIO: ("the disk fails to read it", "check the disk, and restore the file from a copy"),
    errno.ESTALE: ("the network file system has lost it", "mount it again"),
    errno.EMFILE: ("too many files are open", "close other programs, or raise `ulimit -n`"),
}


def as_path(value: object, what: str) -> Path:
    """Return a path that a caller gives; `what` names the argument. Raises: UserError for anything else."""
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{what}: a path or a name is wanted, but this is {shortened(value)}: give it as text")
    return Path(value)


def read_bytes(path: str | os.PathLike[str], *, largest: int = _LARGEST) -> bytes:
    """Read a regular file whole.

    Raises: UserError naming it if it is missing, unreadable, no regular file, or larger than `largest` bytes.
    """
    path = Path(path)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            refuse_special(path, status.st_mode)
            # Before a byte is read: the memory for it is taken at once. A file that grows meanwhile is told below.
            content = file.read(largest + 1) if status.st_size <= largest else b""
            too_large = status.st_size > largest or len(content) > largest
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not the name of a file ({error}): check the path") from None
    if too_large:
        raise UserError(
            f"{path}: larger than {largest / 2**20:.0f} MB, too large for what it should be: check the path"
        )
    return content


def read_text(path: str | os.PathLike[str], *, largest: int = _LARGEST) -> str:
    """Read a UTF-8 file whole, without a byte order mark.

    Raises: UserError as `read_bytes` does, and for what is no UTF-8 text.
    """
    content = read_bytes(path, largest=largest)
    kind = "UTF-16 text" if content.startswith(_UTF16_MARKS) else kind_of(content[:HEAD]) if content else ""
    if kind:
        raise UserError(f"{path}: is {kind}, where UTF-8 text is wanted: check the path")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text (byte {error.start}): save it as UTF-8") from None


def refuse_special(path: str | os.PathLike[str], mode: int) -> None:
    """Raise `UserError` for what is no regular file: reading a pipe or a device may never end.

    Args:
        mode: `st_mode` of the file.
    """
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    fix = "give a file in it" if stat.S_ISDIR(mode) else "save its content to a file first"
    raise UserError(f"{path}: {kind}, where a file is wanted: {fix}")


def unreadable(path: str | os.PathLike[str], error: OSError) -> UserError:
    """Return what to tell a user about a file that the system does not let us read."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"{path}: you may not read it{_owner(Path(path))}: ask for permission, or for a copy")
    cause, fix = _READ_CAUSES.get(error.errno or 0, (error.strerror or str(error), "check the file and its disk"))
    return UserError(f"{path}: {cause}: {fix}")


def told_delimiter(line: str) -> str | None:
    """Return the separator that a first line `sep=;` tells, as programs write it for Excel; None for another line."""
    return told[1] if (told := _TOLD.fullmatch(line.strip("\r\n"))) else None


def _owner(path: Path) -> str:
    """Return " (it belongs to NAME)" where the system tells."""
    try:
        return f" (it belongs to {path.owner()})"
    except (OSError, KeyError, NotImplementedError, AttributeError):
        return ""
