"""Files and folders that appear whole or not at all.

Everything is written under a temporary name in the same folder (so that the last step is a rename, never a
copy), flushed to the disk, and only then given its name. A reader, or a run that is resumed after a crash,
meets the old content or the new one, never a half. Temporary names start with a dot and end in `.tmp`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from normlab.errors import WriteError


@contextmanager
def atomic_text(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """Open a text file that takes its place when the block ends well, and leaves no trace otherwise.

    It is UTF-8; what is no character, as in a file's name of another encoding, stands as an escape.
    """
    options: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with _replacing(Path(path)) as handle, os.fdopen(handle, "w", **options) as file:
        yield file
        _flush(file)


@contextmanager
def atomic_binary(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for bytes that takes its place when the block ends well, and leaves no trace otherwise."""
    with _replacing(Path(path)) as handle, os.fdopen(handle, "wb") as file:
        yield file
        _flush(file)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace a file's content atomically, making its folder if need be.

    Raises: WriteError naming the file, as all of this module that write a file do.
    """
    with atomic_binary(path) as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace a text file atomically: UTF-8, line ends as they are; half a character stands as an escape."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Replace a JSON file atomically.

    Raises: TypeError or ValueError for what JSON cannot hold, NaN and infinity included; the old content
        stays.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary sibling folder to fill; it is renamed to `path` when the block ends well.

    If `path` exists by then (another process was faster), it is kept and the temporary one is dropped.
    """
    path = Path(path)
    make_folder(path.parent)
    building = _temporary_sibling(path)
    try:
        os.chmod(building, 0o777 & ~_umask())
        yield building
        _sync_tree(building)
        with suppress(FileExistsError):
            _rename_folder(building, path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _sync_folder(path.parent)


def make_folder(path: Path) -> list[Path]:
    """Make a folder and those above it, to last through a power cut; return the new ones, the innermost first."""
    if path.is_dir():
        return []
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in new:
        _sync_folder(folder.parent)
    return new


def remove_folder(path: str | os.PathLike[str]) -> None:
    """Delete a folder, if it is there, so that nobody meets it half deleted: it loses its name first."""
    aside = _temporary_sibling(Path(path))
    with suppress(FileNotFoundError):  # it was never there, or another process has just moved it
        os.replace(path, aside / "old")
    shutil.rmtree(aside, ignore_errors=True)


def is_unfinished(path: Path) -> bool:
    """Say whether a file or folder has a temporary name: it is being written, or its writer was killed."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def remove_unfinished(*folders: Path) -> None:
    """Remove what killed writers have left in folders; for who knows that nobody else writes there."""
    for folder in folders:
        for path in folder.glob(".*.tmp"):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def appending(path: Path) -> Iterator[IO[str]]:
    """Open a text file (UTF-8) for further lines; what the system refuses is a `WriteError` that names it."""
    with _naming(path):
        new = not path.exists()
        with path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        if new:  # else the first line may be on the disk in a file without a name
            _sync_folder(path.parent)


@contextmanager
def _replacing(path: Path) -> Iterator[int]:
    """Yield the descriptor of a temporary file that is renamed to `path` when the block ends well."""
    with _naming(path):
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            yield handle
            os.chmod(name, 0o666 & ~_umask())  # mkstemp makes private files; a result is for all whom the umask allows
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        _sync_folder(path.parent)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error of the system name the file that was meant: it knows the temporary one, or none."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        ours = (None, str(path), str(path.parent))
        about_us = error.filename in ours or Path(str(error.filename)).name.startswith(f".{path.name}.")
        if error.errno is None or not about_us:  # what the block itself does: reading another file, say
            raise
        raise WriteError(error, path) from error


def _flush(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _temporary_sibling(path: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))


def _rename_folder(source: Path, target: Path) -> None:
    """Rename, raising FileExistsError if `target` exists: systems differ in the error, and POSIX takes an empty one."""
    if target.exists():
        raise FileExistsError(target)
    try:
        os.rename(source, target)
    except OSError as error:
        raise FileExistsError(target) if target.is_dir() else error from error


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb+") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(parent))


_NAMES_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


def _sync_folder(folder: Path) -> None:
    """Flush a folder's list of names, where the system can; a disk that fails at it is an error."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:  # Windows opens no folder, some file systems flush none
        if error.errno in _NAMES_LOST:
            error.filename = error.filename or str(folder)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
