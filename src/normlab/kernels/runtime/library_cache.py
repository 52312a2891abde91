"""Compiled libraries on the disk: checked before they are loaded, built by one process at a time.

    <cache>/kernels/<name>-<key>.so     the library
    <cache>/kernels/<name>-<key>.json   its size and SHA-256, written after it
    <cache>/kernels/<name>-<key>.lock   held by the process that builds
    <cache>/kernels/.<name>-<key>.*.tmp a build that goes on; one that was killed is removed by the next

A library that is not what its record says (a full disk, a crash, a half copied home) would end the process with a bus
error as soon as it is used. It is built again instead.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from normlab.runs.atomic import write_bytes, write_json
from normlab.runs.cache_folders import cache_root, writable_folder

_DAY = 24 * 3600.0


def stored_library(name: str, build: Callable[[Path], None]) -> Path:
    """Return the library's file, built now if it is not there, or not whole.

    Of processes that start together one builds, and the others wait for it. Where the cache can be read but not
    written, what is missing is built in the folder that replaces it.

    Args:
        name: `<kernel>-<key>`; the key says all that the machine code depends on.
        build: writes the library to a path in a folder that it may use as it likes.
    Raises: OSError where no file can be made at all, and what `build` raises.
    """
    library = cache_root() / "kernels" / f"{name}.so"
    if is_whole(library):
        return library
    library = writable_folder("kernels") / library.name
    with _locked(library) as alone:
        if not is_whole(library):
            _remove_remains(library, alone)
            _build(library, build)
    return library


def is_whole(library: Path) -> bool:
    """Return whether the library is there and is what its record says."""
    try:
        record = json.loads(library.with_suffix(".json").read_text(encoding="utf-8"))
        return bool(record == _record(library.read_bytes()))
    except (OSError, ValueError):
        return False


def _build(library: Path, build: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{library.stem}.", suffix=".tmp", dir=library.parent) as folder:
        built = Path(folder) / "kernel.so"
        build(built)
        content = built.read_bytes()
    write_bytes(library, content)
    write_json(library.with_suffix(".json"), _record(content))


def _record(content: bytes) -> dict[str, int | str]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@contextmanager
def _locked(library: Path) -> Iterator[bool]:
    """Hold the library's lock; yield False where the disk has none, or the file is another user's.

    Without it two processes may build the same library, which costs time only: the file is replaced in one move.
    """
    import fcntl

    try:
        lock = library.with_suffix(".lock").open("w")
    except OSError:
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            yield False
            return
        yield True


def _remove_remains(library: Path, alone: bool) -> None:
    """Remove the folders of builds that were killed: this library's, and those of any other after a day."""
    for folder in library.parent.glob(".*.tmp"):
        with suppress(OSError):
            is_ours = alone and folder.name.startswith(f".{library.stem}.")
            if is_ours or time.time() - folder.stat().st_mtime > _DAY:
                shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink()
