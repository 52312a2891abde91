"""Errors of the operating system as one line with cause and fix: the last handler of the command line.

Readers report files that they cannot read themselves; here are files that cannot be written, and unexpected errors.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from normlab.errors import WriteError, one_line
from normlab.reading import unreadable

_OUT = "choose another place with --out"

# errno -> (cause, fix): the user chose a path that cannot be written
_PATHS = {
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
# errno -> (cause, fix): the machine has a problem
_MACHINE = {
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


class Report(NamedTuple):
    """A line for the user, and the exit code."""

    line: str
    code: int


def report_of(error: OSError) -> Report | None:
    """Return the report of a system error; None for one without a number, which is a bug in normlab."""
    if error.errno is None:
        return None
    if _is_read(error):
        return Report(str(unreadable(str(error.filename), error)), 2)
    where = error.filename or "a file or a device"
    known = _PATHS.get(error.errno)
    cause, fix = known or _MACHINE.get(error.errno, ("the system refuses it", "check the disk and the path"))
    then = getattr(error, "next_step", "") or ("" if known else "run the same command again")
    step = f"{fix}, then {then}" if then else fix
    return Report(one_line(f"{where}: {cause} ({error.strerror or 'no reason given'}): {step}"), 2 if known else 1)


def _is_read(error: OSError) -> bool:
    """Return whether reading failed: when writing fails normlab raises a `WriteError`."""
    if isinstance(error, WriteError) or not error.filename or error.errno in _MACHINE:
        return False
    path = str(error.filename)
    if error.errno in (errno.EACCES, errno.EPERM):
        return os.path.exists(path) and not os.access(path, os.R_OK)
    return error.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
