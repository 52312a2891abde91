"""Where caches lie: one rule for compiled kernels, decoded images, vectors, downloads and measurements.

$NORMLAB_CACHE, else normlab in $XDG_CACHE_HOME, else the system's folder for a user's caches; `~` is expanded. A
folder that can neither be read nor made (no home, a read-only disk, somebody else's home) is replaced by a folder for
temporary files, with a line that says so. A cache that can be read but not written is used; what is missing there is
made in the temporary folder (`writable_folder`).
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

_said: set[str] = set()


def cache_root() -> Path:
    """Return the folder for caches; it may not exist yet."""
    chosen, problem = _chosen()
    if not problem and chosen.exists():
        problem = "" if os.access(chosen, os.R_OK | os.X_OK) else "no permission to read it"
    elif not problem and not _can_be_made(chosen):
        problem = "it cannot be made"
    return _instead(chosen, problem) if problem else chosen


def writable_folder(name: str) -> Path:
    """Return the cache's folder of that name, made if need be, or its replacement if no file can be made in there.

    Raises: OSError if not even a temporary folder is available.
    """
    folder = cache_root() / name
    try:
        _try_out(folder)
    except OSError as error:
        folder = _instead(cache_root(), error.strerror or str(error)) / name
        _try_out(folder)
    return folder


def _chosen() -> tuple[Path, str]:
    """Return what the rule says, and what is wrong with it, "" for nothing."""
    base = os.environ.get("NORMLAB_CACHE") or ""
    xdg = os.environ.get("XDG_CACHE_HOME") or ""
    if not base and os.path.isabs(os.path.expanduser(xdg)):  # the standard: a relative path is to be ignored
        base = os.path.join(xdg, "normlab")
    # os.path's function leaves a `~` alone where no home is known; pathlib's raises.
    folder = os.path.expanduser(base or _usual_folder())
    problem = "there is no home folder" if folder.startswith("~") else ""
    return Path(folder if problem else os.path.abspath(folder)), problem


def _usual_folder() -> str:
    try:
        return platformdirs.user_cache_dir("normlab", appauthor=False)
    except RuntimeError:  # no home is known; versions before 4.5 return a name that starts with ~ instead
        return "~/.cache/normlab"


def _can_be_made(folder: Path) -> bool:
    """Say whether a folder that does not exist could be made. Making it is for those who write."""
    for parent in folder.parents:
        try:
            if parent.exists():
                return parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
        except OSError:  # Path.exists raises for a folder behind one that may not be entered
            return False
    return False


def _try_out(folder: Path) -> None:
    """Make a folder and a file in it. Only that tells: a superuser's permissions say yes on a read-only disk too."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".try.", suffix=".tmp", dir=folder)
    os.close(handle)
    os.unlink(name)


def _instead(chosen: Path, problem: str) -> Path:
    folder = _temporary_root()
    line = f"normlab: caches are kept in {folder} ({chosen}: {problem}); NORMLAB_CACHE names another folder"
    if line not in _said:
        _said.add(line)
        print(line, file=sys.stderr, flush=True)
    return folder


@cache
def _temporary_root() -> Path:
    """Return a folder among the temporary files that all processes of this user share, and nobody else can fill."""
    user = os.getuid() if hasattr(os, "getuid") else "cache"
    shared = Path(tempfile.gettempdir()) / f"normlab-{user}"
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
        status = shared.lstat()
        private = not hasattr(os, "getuid") or (status.st_uid == user and not status.st_mode & 0o022)
        if stat.S_ISDIR(status.st_mode) and private:
            _try_out(shared)
            return shared
    except OSError:
        pass
    private_folder = Path(tempfile.mkdtemp(prefix="normlab-"))
    atexit.register(shutil.rmtree, private_folder, ignore_errors=True)
    return private_folder
