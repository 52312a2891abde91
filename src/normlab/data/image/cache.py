"""Decoded images on the disk, memory-mapped.

Decoding 60,000 small files takes many seconds, reading the result a fraction of one, and processes that run side by
side share its pages. A cache folder is built under a temporary name and renamed, so two processes at once only
cost time; sizes and the fingerprint of all pixels and labels are checked at every opening, so a
truncated or damaged file is rebuilt; arrays are opened without pickle.

    <cache>/images/<name>-<key>/   train_images.npy train_labels.npy, the same for val and test if given, meta.json
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from normlab.data.image.pixels import ADVICE
from normlab.data.image.source import SPLITS, Chunk, ImageSource
from normlab.data.left_out import changed_note
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs.atomic import atomic_folder, remove_folder, write_json
from normlab.runs.cache_folders import cache_root, writable_folder

_ATTEMPTS = 4  # a neighbour that found the same damage may remove what we have just built
_FAILURES_NAMED = 20
_OR_SKIP = ", or leave it out with --skip-broken true"
_NAME_LENGTH = 40  # of a data set's name in that of its folder: file systems allow 255 bytes in all
_FORMAT = 1  # part of every key: raised when the layout of a cache folder changes


class Cached(NamedTuple):
    """A cache entry: memory-mapped arrays by split, the content's fingerprint, a note on changed images, the broken."""

    images: dict[str, npt.NDArray[np.uint8]]
    labels: dict[str, npt.NDArray[np.int64]]
    fingerprint: str
    changed: str = ""
    broken: tuple[str, ...] = ()


def cached(source: ImageSource, cache_dir: str | os.PathLike[str] | None = None) -> Cached:
    """Return the decoded source, from the cache if it is there and whole, else decoded and cached now.

    Args:
        cache_dir: the folder for caches; `cache_root()` if None, or its replacement where that cannot be written.
    Raises: UserError for content that cannot be decoded, a wrong published sum, or a cache that cannot be
        written.
    """
    shown = re.sub(r"[^\w.-]", "_", source.name, flags=re.ASCII)[:_NAME_LENGTH]
    name = f"{shown}-{_key(source)}"
    folder = Path(cache_dir or cache_root()) / "images" / name
    if (entry := _open(folder)) is not None:
        return entry
    if cache_dir is None:
        folder = _images_folder() / name
    for _ in range(_ATTEMPTS):
        if (entry := _open(folder)) is not None:
            return entry
        _rebuild(source, folder)
    raise UserError(f"the cache {folder} cannot be read back: is the disk full? Delete that folder and try again")


def fingerprint(images: dict[str, npt.NDArray[np.uint8]], labels: dict[str, npt.NDArray[np.int64]]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 over shapes, pixels and labels of all splits."""
    digest = hashlib.sha256()
    for split in (split for split in SPLITS if split in images):
        digest.update(f"{split}{images[split].shape}".encode())
        for start in range(0, len(images[split]), 4096):
            digest.update(images[split][start : start + 4096].tobytes())
        digest.update(labels[split].astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def _images_folder() -> Path:
    try:
        return writable_folder("images")
    except OSError as error:
        raise UserError(f"there is no room for a cache ({error}): set NORMLAB_CACHE to a folder") from error


def _key(source: ImageSource) -> str:
    identity = {**source.identity, "skip_broken": True} if source.skip_broken else source.identity
    described = json.dumps([_FORMAT, identity], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _rebuild(source: ImageSource, folder: Path) -> None:
    source.verify()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_folder(folder)  # missing or damaged
        with atomic_folder(folder) as building:
            _build(source, building)
    except OSError as error:  # readers turn their own into UserError: this one is of the cache
        raise UserError(
            f"cannot fill the cache {folder} ({error.strerror or error}): make room or give it permissions, or set "
            "NORMLAB_CACHE to another folder"
        ) from error


def _build(source: ImageSource, folder: Path) -> None:
    """Decode all chunks into `folder`; `meta.json` comes last and lists the size of every file."""
    counts, changes, failures = _write_splits(_readable(source), folder)
    if failures and not source.skip_broken:
        raise UserError(_all_failures(failures))
    if not counts.get("train"):
        broken = f": {_all_failures(failures)}" if failures else ""
        raise UserError(f"{source.name} ({source.kind}) holds no training images{broken}")
    arrays = _load_arrays(folder, counts)
    meta = {
        "kind": source.kind,
        "counts": counts,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.glob("*.npy"))},
        "fingerprint": fingerprint(*arrays),
        "changed": changed_note(changes),
        "broken": [failure.removesuffix(f"; {ADVICE}") for failure in failures],
    }
    write_json(folder / "meta.json", meta)


def _readable(source: ImageSource) -> Iterator[Chunk]:
    """Yield a source's chunks; unexpected errors of a reader become one line."""
    try:
        yield from source.chunks()
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{source.name} ({source.kind}): cannot be read ({reason}); check its files") from error


def _all_failures(failures: list[str]) -> str:
    if len(failures) == 1:
        return f"{failures[0]}{_OR_SKIP}"
    more = f"; and {len(failures) - _FAILURES_NAMED} more" if len(failures) > _FAILURES_NAMED else ""
    named = "; ".join(failure.removesuffix(f"; {ADVICE}") for failure in failures[:_FAILURES_NAMED])
    return f"{plural(len(failures), 'image')} cannot be read: {named}{more}; {ADVICE}{_OR_SKIP}"


def _open(folder: Path) -> Cached | None:
    """Return the entry, or None if it is missing, truncated or otherwise not what `meta.json` says."""
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if any((folder / name).stat().st_size != size for name, size in meta["bytes"].items()):
            return None
        images, labels = _load_arrays(folder, meta["counts"])
        if fingerprint(images, labels) != meta["fingerprint"]:
            return None
        broken = tuple(map(str, meta.get("broken", ())))
        return Cached(images, labels, str(meta["fingerprint"]), str(meta.get("changed", "")), broken)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def _load_arrays(folder: Path, splits: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Map the arrays copy-on-write: torch takes no read-only arrays, and the file must never change."""
    present = [split for split in SPLITS if split in splits]

    def load(part: str) -> dict[str, Any]:
        return {split: np.load(folder / f"{split}_{part}.npy", mmap_mode="c") for split in present}

    return load("images"), load("labels")


def _write_splits(chunks: Iterable[Chunk], folder: Path) -> tuple[dict[str, int], list[str], list[str]]:
    """Write the chunks; return images by split, changes and failures."""
    writers: dict[tuple[str, str], _NpyWriter] = {}
    counts: dict[str, int] = {}
    changes, failures = list[str](), list[str]()
    try:
        for chunk in chunks:
            changes += chunk.changes
            failures += chunk.failures
            if chunk.images is None or not len(chunk.labels):
                continue
            for part, rows in (("images", chunk.images), ("labels", chunk.labels)):
                if (chunk.split, part) not in writers:
                    writers[chunk.split, part] = _NpyWriter(folder / f"{chunk.split}_{part}.npy", rows)
                writers[chunk.split, part].append(rows)
            counts[chunk.split] = counts.get(chunk.split, 0) + len(chunk.labels)
    except BaseException:
        for writer in writers.values():
            writer.abandon()
        raise
    for writer in writers.values():
        writer.close()
    return counts, changes, failures


class _NpyWriter:
    """A .npy file that grows along axis 0; NumPy leaves room in the header for the final length."""

    def __init__(self, path: Path, like: npt.NDArray[Any]) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._row, self._dtype, self._length = like.shape[1:], like.dtype, 0
        self._write_header()

    def append(self, rows: npt.NDArray[Any]) -> None:
        if rows.shape[1:] != self._row or rows.dtype != self._dtype:
            raise ValueError(f"chunk of {rows.dtype} {rows.shape[1:]}, expected {self._dtype} {self._row}")
        self._file.write(rows.tobytes())
        self._length += len(rows)

    def close(self) -> None:
        end = self._file.tell()
        self._file.seek(0)
        self._write_header()
        if self._length:
            assert self._file.tell() + self._length * int(np.prod(self._row)) * self._dtype.itemsize == end
        self._file.close()

    def abandon(self) -> None:
        """Close without finishing, because another error is being raised, such as a full disk."""
        with suppress(OSError):
            self._file.close()

    def _write_header(self) -> None:
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length, *self._row)}
        np.lib.format.write_array_header_1_0(self._file, header)
