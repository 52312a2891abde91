"""A trained model as one file: the weights of a run, with its settings, its card and its scores as JSON beside them.

The file is a safetensors file (https://github.com/huggingface/safetensors#format): eight bytes with the length of the
header, the header as JSON, the numbers of the tensors. What is normlab's stands in the header's `__metadata__`, whose
values are texts, so any reader of safetensors opens the weights. Nothing is unpickled. Reading checks the sizes and a
checksum over metadata and numbers, so a copy that was cut short or damaged is one line, not a wrong prediction.

    save_model(run_folder, path)        a finished run -> one file
    ModelFile.open(path)                that file, read like the run folder it was made from
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from pydantic import BaseModel

from normlab.errors import UserError, shortened
from normlab.file_kind import kind_of_file
from normlab.json_file import parse_json
from normlab.reading import refuse_special, unreadable
from normlab.runs.atomic import atomic_binary
from normlab.runs.folder import RunFolder
from normlab.runs.own_paths import without_own_paths
from normlab.runs.schema import checked
from normlab.version import __version__

FORMAT = 1  # of the metadata; a reader refuses a newer one
_PARTS = ("config", "card", "result")  # JSON texts
_MADE_FROM = {"card.json": "card", "result.json": "result"}
_LONGEST_HEADER = 100_000_000  # bytes; safetensors itself takes no longer one
_CHUNK = 1 << 20
_COPY_AGAIN = "the file was cut short or damaged: copy it again, or make it again"


@dataclass(frozen=True)
class _Header:
    """The header of a safetensors file: metadata, tensors by name, and where the numbers begin (bytes)."""

    metadata: dict[str, Any]
    tensors: dict[str, Any]
    start: int


class ModelFile(RunFolder):
    """A trained model in one file, which answers what a finished run folder answers about its model.

    It has no epochs and no predictions: those stay in the run folder.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._texts = _read_parts(self.path)
        self._sound: set[str] = set()  # parts that were checked: a large card is asked for several times

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a model file and check it whole.

        Raises: UserError if there is none, or it is damaged, of another program or of a newer normlab.
        """
        return cls(path)

    @property
    def weights(self) -> Path:
        """The file itself: the tensors in it are the model's."""
        return self.path

    def config(self) -> dict[str, Any]:
        """Return the configuration with the key `task`, as plain values."""
        return self._part("config")

    def status(self) -> dict[str, Any]:
        """Return {"state": ...} as the run ended."""
        return {"state": self.result()["state"]}

    @property
    def done(self) -> bool:
        """True: only a finished run becomes a file."""
        return True

    def _read(self, name: str, kind: type[BaseModel], default: dict[str, Any] | None = None) -> dict[str, Any]:
        if name in _MADE_FROM:
            return checked(self._part(_MADE_FROM[name]), kind, f"{self.path} ({_MADE_FROM[name]})")
        return {} if default is None else default

    def _part(self, name: str) -> dict[str, Any]:
        where = f"{self.path} ({name})"
        value = json.loads(self._texts[name]) if name in self._sound else parse_json(self._texts[name], where)
        self._sound.add(name)
        if not isinstance(value, dict):
            raise UserError(f"{where}: expected an object, found {shortened(value)}: {_COPY_AGAIN}")
        return value


def save_model(folder: RunFolder, path: Path | str, *, half: bool = False) -> None:
    """Write the model of a finished run as one file; equal runs give equal bytes.

    The numbers are copied as they stand. Of the result, the scores go along and the tables stay.

    Args:
        half: for strangers: float32 weights become float16, and paths of this machine are left out.
    Raises: UserError if the run is not finished, or has no weights that can be read; WriteError if the file cannot be
        written.
    """
    result = {name: value for name, value in folder.result().items() if name != "tables"}
    if result["state"] != "finished":
        raise UserError(f"{folder.path}: is {result['state']}, so it has no model to save: train again")
    parts = {"config": folder.config(), "card": folder.card(), "result": result}
    if half:
        parts = {name: _without_paths(values) for name, values in parts.items()}
    texts = {name: json.dumps(parts[name], ensure_ascii=False, sort_keys=True) for name in _PARTS}
    with _opened(folder.weights) as file_of_weights:
        source: BinaryIO = file_of_weights
        header = _read_header(source, folder.weights)
        if half:
            header, source = _halved(header, source, folder.weights)
        about = {"format": "normlab", "format_version": str(FORMAT), "normlab": __version__}
        metadata = {**about, **texts, "sha256": _checksum(texts, header, source)}
        head = _header_bytes(metadata, header.tensors)
        if len(head) > _LONGEST_HEADER:
            raise UserError(
                f"{folder.path}: its card takes {len(head) >> 20} MB, more than one file can hold "
                f"({_LONGEST_HEADER >> 20} MB): train with fewer words, or keep the run folder"
            )
        with atomic_binary(path) as file:
            file.write(len(head).to_bytes(8, "little") + head)
            for chunk in _chunks(source, header.start):
                file.write(chunk)


def _halved(header: _Header, file: BinaryIO, path: Path) -> tuple[_Header, BinaryIO]:
    """Return the tensors with float32 as float16. Raises: UserError for a number that float16 cannot hold."""
    tensors, numbers = {}, io.BytesIO()
    for name, entry in sorted(header.tensors.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        file.seek(header.start + begin)
        content, kind = file.read(end - begin), entry["dtype"]
        if kind == "F32":
            with np.errstate(over="ignore"):
                halves = np.frombuffer(content, "<f4").astype("<f2")
            if not np.isfinite(halves).all():
                raise UserError(f"{path}: {name} has numbers that half precision cannot hold: keep the run folder")
            content, kind = halves.tobytes(), "F16"
        start = numbers.tell()
        numbers.write(content)
        tensors[name] = {**entry, "dtype": kind, "data_offsets": [start, numbers.tell()]}
    return _Header(header.metadata, tensors, 0), numbers


def _without_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings or a card without notes on reading, which hold paths, and with other paths shortened."""
    return without_own_paths({name: value for name, value in values.items() if name not in ("notes", "skipped")})


def _read_parts(path: Path) -> dict[str, str]:
    """Return the JSON texts of a model file after checking it whole."""
    with _opened(path) as file:
        header = _read_header(file, path)
        metadata = header.metadata
        if metadata.get("format") != "normlab":
            raise UserError(
                f"{path}: holds weights alone, without the settings that say what network they are of: give a model "
                "file of normlab, or a run folder"
            )
        version = str(metadata.get("format_version"))
        if not version.isdecimal() or int(version) > FORMAT:
            raise UserError(f"{path}: written by a newer normlab (format {shortened(version)}): update normlab")
        texts = {name: metadata.get(name) for name in _PARTS}
        if not all(isinstance(text, str) for text in texts.values()):
            raise UserError(f"{path}: parts of its metadata are missing: {_COPY_AGAIN}")
        if metadata.get("sha256") != _checksum(texts, header, file):
            raise UserError(f"{path}: its content is not what was written (the checksum differs): {_COPY_AGAIN}")
        return {name: str(text) for name, text in texts.items()}


def _opened(path: Path) -> BinaryIO:
    try:
        refuse_special(path, path.stat().st_mode)
        return open(path, "rb")
    except OSError as error:
        raise unreadable(path, error) from None


def _read_header(file: BinaryIO, path: Path) -> _Header:
    """Read and check the header: as long as it says, valid JSON, and tensors that fill the rest of the file."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or not 2 <= length <= _LONGEST_HEADER:
        kind = kind_of_file(path)
        raise UserError(f"{path}: no model file{f': it holds {kind}' if kind else ''}; {_WANTED}")
    if 8 + length > size:
        raise UserError(f"{path}: {size} bytes, of at least {8 + length}: {_COPY_AGAIN}")
    try:
        text = file.read(length).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: no model file: its header is no text; {_WANTED}") from None
    header = parse_json(text, str(path))
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise UserError(f"{path}: no model file: its header is {shortened(header)}; {_WANTED}")
    metadata = header.pop("__metadata__", {})
    end = 8 + length + max((_end(entry, path) for entry in header.values()), default=0)
    if end != size:
        raise UserError(f"{path}: {size} bytes, expected {end}: {_COPY_AGAIN}")
    return _Header(metadata, header, 8 + length)


_WANTED = "give the .safetensors file that `normlab course` wrote, or a run folder"


def _end(entry: Any, path: Path) -> int:
    """Return where the numbers of a tensor end, counted from the header's end."""
    try:
        begin, end = map(int, entry["data_offsets"])
    except (TypeError, KeyError, ValueError):
        raise UserError(f"{path}: its header has no place for a tensor ({shortened(entry)}): {_COPY_AGAIN}") from None
    if not 0 <= begin <= end:
        raise UserError(f"{path}: a tensor lies from {begin} to {end}: {_COPY_AGAIN}")
    return end


def _header_bytes(metadata: dict[str, str], tensors: dict[str, Any]) -> bytes:
    """Return the header as JSON, padded with spaces so that the numbers begin at a multiple of eight."""
    text = json.dumps({"__metadata__": metadata, **tensors}, ensure_ascii=False, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _checksum(texts: dict[str, Any], header: _Header, file: BinaryIO) -> str:
    """Return the SHA-256 over the JSON texts, the list of tensors and all numbers."""
    content = hashlib.sha256()
    for text in (*(texts[name] for name in _PARTS), json.dumps(header.tensors, sort_keys=True)):
        content.update(f"{text}\0".encode())
    for chunk in _chunks(file, header.start):
        content.update(chunk)
    return content.hexdigest()


def _chunks(file: BinaryIO, start: int) -> Iterator[bytes]:
    file.seek(start)
    while chunk := file.read(_CHUNK):
        yield chunk
