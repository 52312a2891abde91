"""NumPy's array files, read in pieces and without pickle: members of an .npz, or .npy files of a folder.

A header may promise any shape, and a compressed member may expand without end, so both are compared with what is there
before memory is taken.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from normlab.errors import UserError
from normlab.plurals import plural

_PIECE = 32 << 20  # bytes read at once
_MOST_ARRAYS = 1000
_SMALL, _MOST_EXPANDED = 64 << 20, 200  # bytes from packed ones, of members beyond the first size


class StoredArray(NamedTuple):
    """An array on the disk.

    Attributes:
        file: the .npz or .npy.
        name: its own, without `.npy`.
        member: of the .npz; "" for an .npy.
        shape, dtype: as its header says; the file has as many bytes as they need.
        start: bytes before the values.
    """

    file: Path
    name: str
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    def __str__(self) -> str:
        return f"{self.file}: {self.name}" if self.member else str(self.file)

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the array in pieces along its first axis."""
        width = math.prod(self.shape[1:]) * self.dtype.itemsize
        rows = max(1, _PIECE // max(1, width))
        with _opened(self) as file:
            for first in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - first)
                content = _read_exactly(file, count * width, self)
                yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def whole(self) -> npt.NDArray[Any]:
        """Return the array."""
        parts = list(self.pieces())
        return np.concatenate(parts) if parts else np.empty(self.shape, self.dtype)


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """Return the arrays of an .npz, or of the .npy files in a folder, by name; none of anything else.

    Raises: UserError naming a file that is damaged or holds Python objects.
    """
    if path.is_dir():
        files = sorted(path.glob("*.npy"))[:_MOST_ARRAYS]
        return {file.stem: _header(file, "", file.stat().st_size) for file in files if file.is_file()}
    if path.suffix.lower() == ".npy" and path.is_file():
        raise UserError(f"{path}: one array; give the folder that holds images.npy and labels.npy")
    if path.suffix.lower() != ".npz" or not path.is_file():
        return {}
    with _telling(path), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if len(members) > _MOST_ARRAYS:
            raise UserError(f"{path}: {plural(len(members), 'array')}, at most {_MOST_ARRAYS} are read")
        for member in members:
            if member.file_size > max(_SMALL, _MOST_EXPANDED * member.compress_size):
                times = member.file_size / max(1, member.compress_size)
                raise UserError(f"{path}: {member.filename} expands {times:.0f} times: a damaged or harmful file")
        return {
            member.filename.removesuffix(".npy"): _header(path, member.filename, member.file_size) for member in members
        }


def _header(file: Path, member: str, size: int) -> StoredArray:
    """Read an array's header and compare it with the bytes that follow."""
    name = (member or file.name).removesuffix(".npy")
    where = f"{file}: {name}" if member else str(file)
    with _telling(file), _plain(file, member) as opened:
        version = np.lib.format.read_magic(opened)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = reader(opened)
        start = opened.tell()
    if dtype.hasobject:
        raise UserError(f"{where}: holds Python objects, which are never read: save plain numbers or text")
    if is_fortran and len(shape) > 1:
        raise UserError(f"{where}: stored column by column: save numpy.ascontiguousarray of it")
    needed = start + dtype.itemsize
    for length in shape:
        needed = start + (needed - start) * length
    if not shape or needed != size:
        raise UserError(f"{where}: a header for shape {shape} of {dtype}, which {size:,} bytes do not hold: damaged")
    return StoredArray(file, name, member, tuple(shape), dtype, start)


@contextmanager
def _opened(array: StoredArray) -> Iterator[IO[bytes]]:
    with _telling(array.file), _plain(array.file, array.member) as file:
        _read_exactly(file, array.start, array)
        yield file


@contextmanager
def _plain(file: Path, member: str) -> Iterator[IO[bytes]]:
    if not member:
        with open(file, "rb") as opened:
            yield opened
        return
    with zipfile.ZipFile(file) as archive, archive.open(member) as opened:
        yield opened


def _read_exactly(file: IO[bytes], count: int, array: StoredArray) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise UserError(f"{array}: ends too early; save it again")
    return content


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn what NumPy and zipfile meet in a damaged file into one line."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check it and its permissions") from error
    except Exception as error:  # of a damaged zip: BadZipFile, zlib.error, struct.error, NotImplementedError ...
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not a readable array file ({reason}); save it again") from error
