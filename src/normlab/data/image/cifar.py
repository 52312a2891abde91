"""CIFAR-10 and CIFAR-100 as their authors publish them: python or binary, a folder or a .tar.gz.

The four publications are rows of a table; a file is checked against its published MD5 before it is decoded,
and the python ones are read by an unpickler that builds arrays and nothing else. Formats:
cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from normlab.data.image.known import class_names
from normlab.data.image.pixels import resize_bilinear
from normlab.data.image.source import Chunk, ImageSource, Reading, file_identity
from normlab.data.image.unpickle import unpickle
from normlab.errors import UserError
from normlab.file_kind import GZIP, TARS, kind_of_file
from normlab.plurals import plural

SIZE = 32
_PIXELS = 3 * SIZE * SIZE
_MOST_BYTES = 400_000_000  # unpacked: twice what the largest publication has
_LARGEST_FILE = _MOST_BYTES  # as it lies there, an archive or a batch: told before it is read
_LARGEST_READ = 16 << 20  # bytes at once: members are read in pieces, but a header as long as it says it is
_DAMAGED = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class _Publication:
    """One published form: its folder's name (the archive holds that folder) and its files by split, in order."""

    name: str
    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def binary(self) -> bool:
        return self.test[0].endswith(".bin")

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        return tuple(("train", file) for file in self.train) + tuple(("test", file) for file in self.test)


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_PUBLICATIONS = (
    _Publication("cifar10", "cifar-10-batches-py", "cifar-10-python.tar.gz", _BATCHES, ("test_batch",)),
    _Publication(
        "cifar10",
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        tuple(f"{batch}.bin" for batch in _BATCHES),
        ("test_batch.bin",),
    ),
    _Publication("cifar100", "cifar-100-python", "cifar-100-python.tar.gz", ("train",), ("test",)),
    _Publication("cifar100", "cifar-100-binary", "cifar-100-binary.tar.gz", ("train.bin",), ("test.bin",)),
)


def find_cifar(path: Path, reading: Reading) -> ImageSource | None:
    """Describe the CIFAR publication at `path`: an archive, its folder, or a folder that holds either; else None.

    Raises: UserError for a folder in which some of the batches are missing, or an archive that cannot be
        opened.
    """
    size, coarse, sums = reading.size, reading.coarse, reading.sums
    if path.is_file():
        archive = _archive_publication(path)
        return _archive_source(path, archive, size, coarse, sums) if archive else None
    for publication in _PUBLICATIONS:
        for folder in (path, path / publication.folder):
            if _is_publication(folder, publication):
                return _folder_source(folder, publication, size, coarse, sums)
    for publication in _PUBLICATIONS:
        if (path / publication.archive).is_file():
            return _archive_source(path / publication.archive, publication, size, coarse, sums)
    return None


def _is_publication(folder: Path, publication: _Publication) -> bool:
    missing = [file for _, file in publication.files if not (folder / file).is_file()]
    if missing and folder.is_dir() and folder.name == publication.folder:
        raise UserError(f"{folder}: {', '.join(missing)} missing; unpack {publication.archive} again")
    return not missing


def _archive_publication(path: Path) -> _Publication | None:
    """Tell by the first member which publication an archive is, whatever its own name."""
    kind = kind_of_file(path)
    if not path.name.endswith((".tar.gz", ".tgz", ".tar")) and kind not in TARS:
        return None
    if kind not in ("", *TARS):
        raise UserError(f"{path}: not an archive, it holds {kind}; download it again")
    try:
        with _opened(path) as archive:
            first = archive.next()
    except _DAMAGED as error:
        raise UserError(f"{path}: not a readable archive ({_reason(error)}); download it again") from error
    top = first.name.removeprefix("./").split("/")[0] if first else ""
    return next((publication for publication in _PUBLICATIONS if publication.folder == top), None)


def _folder_source(
    folder: Path, publication: _Publication, size: int | None, coarse: bool, sums: Mapping[str, str]
) -> ImageSource:
    paths = {file: folder / file for _, file in publication.files}

    def verify() -> list[str]:
        return [file for file, path in paths.items() if _check_md5(path, f"{publication.folder}/{file}", sums)]

    def chunks() -> Iterator[Chunk]:
        for split, file in publication.files:
            try:
                content = paths[file].read_bytes()
            except OSError as error:
                reason = error.strerror
                raise UserError(f"{paths[file]}: cannot be read ({reason}); check it and its permissions") from error
            yield _decode(content, str(paths[file]), split, publication, size, coarse)

    form = "binary" if publication.binary else "python"
    return _source(publication, f"{form} folder", list(paths.values()), size, coarse, chunks, verify)


def _archive_source(
    path: Path, publication: _Publication, size: int | None, coarse: bool, sums: Mapping[str, str]
) -> ImageSource:
    wanted = {f"{publication.folder}/{file}" for _, file in publication.files}

    def verify() -> list[str]:
        if publication.archive not in sums:
            return []
        try:
            return [path.name] if _check_md5(path, publication.archive, sums) else []
        except UserError:
            # A mirror packs anew and a browser unpacks the gzip layer: the files inside have sums of their own.
            contents = _read_members(path, wanted)
            if all(sums.get(name) == _md5(content) for name, content in contents.items()):
                return sorted(contents)
            raise

    def chunks() -> Iterator[Chunk]:
        members = _read_members(path, wanted)
        for split, file in publication.files:
            member = f"{publication.folder}/{file}"
            yield _decode(members.pop(member), f"{path}: {member}", split, publication, size, coarse)

    form = "binary" if publication.binary else "python"
    return _source(publication, f"{form} archive", [path], size, coarse, chunks, verify)


def _source(
    publication: _Publication,
    form: str,
    paths: list[Path],
    size: int | None,
    coarse: bool,
    chunks: Any,
    verify: Any,
) -> ImageSource:
    coarse = coarse and publication.name == "cifar100"
    for path in paths:
        if path.stat().st_size > _LARGEST_FILE:
            raise UserError(f"{path}: larger than {_LARGEST_FILE:,} bytes, no file of CIFAR is; download it again")
    return ImageSource(
        kind=f"CIFAR {form}",
        name=publication.name,
        classes=class_names("cifar100-coarse" if coarse else publication.name),
        identity={"cifar": file_identity(paths), "size": size or SIZE, "coarse": coarse},
        chunks=chunks,
        verify=verify,
        size=size or SIZE,
        published=True,
    )


def _check_md5(path: Path, key: str, sums: Mapping[str, str]) -> bool:
    """Compare a file with its published sum; return whether there is one. Raises: UserError on a difference."""
    expected = sums.get(key)
    if expected is None:
        return False
    try:
        with open(path, "rb") as file:
            actual = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check it and its permissions") from error
    if actual != expected:
        kind = kind_of_file(path)
        holds = f" and it holds {kind}" if kind not in ("", GZIP) else ""
        raise UserError(
            f"{path}: MD5 is {actual}, published is {expected}{holds}; the file is damaged, download it again"
        )
    return True


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class _BoundedReads:
    """A file that refuses to read much at once: tarfile takes a header's word for how long it is."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header of {size:,} bytes, no archive of CIFAR has one")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _BoundedTar(tarfile.TarFile):
    """Reads what a compressed stream holds through `_BoundedReads`."""

    def __init__(self, name: Any = None, mode: Any = "r", fileobj: Any = None, **options: Any) -> None:
        super().__init__(name, mode, _BoundedReads(fileobj), **options)


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file, _BoundedTar.open(fileobj=file) as archive:
        yield archive


def _read_members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """Read an archive in one pass, since a .gz can only be read forwards."""
    contents: dict[str, bytes] = {}
    try:
        with _opened(path) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.offset + member.size > _MOST_BYTES:
                    raise UserError(f"{path}: unpacks to more than {_MOST_BYTES:,} bytes, CIFAR does not; refused")
                if name in wanted and (file := archive.extractfile(member)) is not None:
                    contents[name] = file.read()
    except _DAMAGED as error:
        raise UserError(f"{path}: damaged archive ({_reason(error)}); download it again") from error
    if missing := sorted(wanted - contents.keys()):
        raise UserError(f"{path}: {', '.join(missing)} missing in the archive; download it again")
    return contents


def _decode(content: bytes, where: str, split: str, publication: _Publication, size: int | None, coarse: bool) -> Chunk:
    classes = class_names("cifar100-coarse" if coarse and publication.name == "cifar100" else publication.name)
    decode = _decode_binary if publication.binary else _decode_python
    images, labels = decode(content, where, publication.name == "cifar100", coarse)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        wrong = labels[(labels < 0) | (labels >= len(classes))][0]
        raise UserError(f"{where}: label {wrong} is not one of 0 to {len(classes) - 1}; download the file again")
    if size not in (None, SIZE):
        images = resize_bilinear(images, size)
    return Chunk(split, images, labels)


def _decode_binary(content: bytes, where: str, two_labels: bool, coarse: bool) -> tuple[Any, Any]:
    """Records of one label byte (CIFAR-100: coarse, fine) and 3,072 pixel bytes."""
    label_bytes = 2 if two_labels else 1
    record = label_bytes + _PIXELS
    if not content or len(content) % record:
        raise UserError(f"{where}: {plural(len(content), 'byte')} are not whole records of {record}; download it again")
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    labels = rows[:, 0 if coarse or not two_labels else 1].astype(np.int64)
    return rows[:, label_bytes:].reshape(-1, 3, SIZE, SIZE), labels


def _decode_python(content: bytes, where: str, two_labels: bool, coarse: bool) -> tuple[Any, Any]:
    """A dictionary with `data`, uint8 (n, 3072), and `labels` (CIFAR-100: fine_labels, coarse_labels)."""
    batch = unpickle(content, where)
    key = ("coarse_labels" if coarse else "fine_labels") if two_labels else "labels"
    fields = (
        {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in batch.items()}
        if isinstance(batch, dict)
        else {}
    )
    data, labels = fields.get("data"), fields.get(key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (_PIXELS,):
        raise UserError(f"{where}: 'data' is not a uint8 array of {_PIXELS} columns; download the file again")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(x) is int for x in labels):
        raise UserError(f"{where}: '{key}' is not a list of {len(data)} integers; download the file again")
    return data.reshape(-1, 3, SIZE, SIZE), np.array(labels, dtype=np.int64)
