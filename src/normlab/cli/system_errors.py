"""What the operating system refuses, as one line with the right cause and fix: the last net of the command line.

Readers tell of what they cannot read themselves; here arrive files that cannot be written, and the unforeseen.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from normlab.errors import WriteError, one_line
from normlab.reading import unreadable

_OUT = "choose another place with --out"

# errno -> (cause, fix); with these a user's choice of a place is wrong
_PLACES = {
    errno.EACCES: ("you may not write there", _OUT),
    errno.EPERM: ("you may not write there", _OUT),
    errno.EROFS: ("its file system is read-only", _OUT),
    errno.ENOENT: ("no file can be made there", _OUT),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", _OUT),
    errno.EEXIST: ("a file stands where a folder is wanted", _OUT),
    errno.EISDIR: ("is a folder, where a file is wanted", "give the name of a file"),
    errno.ENOTEMPTY: ("is a folder that holds something", _OUT),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter one"),
    errno.EINVAL: ("this file system cannot hold such a file", _OUT),
    errno.ELOOP: ("a link that leads back to itself", _OUT),
    errno.ENXIO: ("a pipe or a device that takes nothing", _OUT),
}
# with these the machine is in trouble
_TROUBLES = {
    errno.ENOSPC: ("no space left on its disk", "free some space"),
    errno.EDQUOT: ("your quota on its disk is used up", "free some of it"),
    errno.EFBIG: ("the file became larger than the system allows", "raise the limit (`ulimit -f`)"),
    errno.EIO: ("the disk fails", "check the disk and its cable, or use another one"),
    errno.ESTALE: ("the network file system has lost it", "mount it again"),
    errno.ENOLCK: ("its file system has no locks", _OUT),
    errno.EOPNOTSUPP: ("its file system cannot do that", _OUT),
    errno.ENOMEM: ("no memory left", "close other programs, or ask for less at once"),
    errno.EMFILE: ("too many files are open", "close other programs, or raise `ulimit -n`"),
    errno.ENFILE: ("too many files are open on this machine", "close other programs"),
    errno.EAGAIN: ("no more processes or threads can be started", "close other programs, or raise `ulimit -u`"),
}


class Told(NamedTuple):
    """A line for the user, and the exit code."""

    line: str
    code: int


def tell(error: OSError) -> Told | None:
    """Return what to say about an error of the system; None for one without a number, which is a bug of ours."""
    if error.errno is None:
        return None
    if _is_read(error):
        return Told(str(unreadable(str(error.filename), error)), 2)
    where = error.filename or "a file or a device"
    known = _PLACES.get(error.errno)
    cause, fix = known or _TROUBLES.get(error.errno, ("the system refuses it", "check the disk and the path"))
    then = getattr(error, "next_step", "") or ("" if known else "run the same command again")
    step = f"{fix}, then {then}" if then else fix
    return Told(one_line(f"{where}: {cause} ({error.strerror or 'no reason given'}): {step}"), 2 if known else 1)


def _is_read(error: OSError) -> bool:
    """Say whether a file was to be read: normlab's own writer raises a `WriteError`."""
    if isinstance(error, WriteError) or not error.filename or error.errno in _TROUBLES:
        return False
    path = str(error.filename)
    if error.errno in (errno.EACCES, errno.EPERM):
        return os.path.exists(path) and not os.access(path, os.R_OK)
    return error.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
