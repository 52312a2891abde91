"""A study's finished cells as one file: what tables and reports are made from, without weights.

An archive is a zip with `study.json`, `study.yaml` and, for each finished cell, the files of `CELL_FILES`. Entries are
sorted and carry no times, so equal content gives equal bytes, and an archive under version control changes only when
a cell does. Where data lay on the machine is left out of it. Reading trusts nothing: names outside of the list,
entries that expand beyond a limit and damaged files are refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.json_file import parse_json, read_json
from normlab.reading import refuse_special
from normlab.runs.atomic import atomic_folder, write_bytes
from normlab.runs.own_paths import last_part, without_own_paths
from normlab.yaml_file import dump_yaml, read_yaml

STUDY_FILES = ("study.json", "study.yaml")
CELL_FILES = (
    "config.yaml",
    "environment.json",
    "card.json",
    "metrics.jsonl",
    "layers.jsonl",
    "predictions/test.csv",
    "result.json",
)
_DONE = "result.json"  # as in a run folder: present means finished
_NAME = re.compile(r"cells/(?P<cell>[^/\\]+)/(?P<file>.+)")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_MAX_ENTRY, _MAX_TOTAL, _MAX_ENTRIES = 256 << 20, 4 << 30, 200_000
_MAX_PACKED = 1 << 30
_SMALL, _MAX_RATIO = 64 << 20, 200  # unpacked to packed bytes, of larger ones: text packs 20 times, zeros 1,000 times

Content = dict[str, bytes]  # name inside the archive -> bytes


def is_archive(path: Path) -> bool:
    """Return whether a path is a file that can only be meant as an archive: a study itself is a folder."""
    return path.is_file() and path.suffix not in {".yaml", ".yml", ".csv", ".tsv", ".txt"}


def pack_study(folder: Path, out: Path) -> int:
    """Write a study's finished cells to an archive; return their number.

    Cells that only the archive at `out` has are kept, so that machines can add to one archive in turn.

    Raises: UserError if the folder is no study, no cell is finished, or both hold one cell with different results.
    """
    content = _read_folder(folder)
    if out.exists():
        content = _united(read_archive(out), content, out)
    cells = finished_cells(content)
    if not cells:
        raise UserError(f"{folder}: no cell is finished: there is nothing to pack yet")
    write_bytes(out, to_bytes(content))
    return len(cells)


def unpack_study(path: Path, folder: Path) -> None:
    """Write an archive's cells into a study's folder; a cell that has a result there is left as it is."""
    content = read_archive(path)
    for name in STUDY_FILES:
        if name in content and not (folder / name).exists():
            write_bytes(folder / name, content[name])
    for cell in finished_cells(content):
        target = folder / "cells" / cell
        if not (target / _DONE).exists():
            for name in sorted(CELL_FILES, key=lambda name: name == _DONE):  # the result last: it means "done"
                if (data := content.get(f"cells/{cell}/{name}")) is not None:
                    write_bytes(target / name, data)


def opened(path: Path, cache: Path) -> Path:
    """Return a folder with an archive's content, unpacked once into a cache by its content."""
    try:
        _refuse_large(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): check its permissions") from None
    folder = cache / digest / path.stem
    if not folder.is_dir():
        content = read_archive(path)
        with atomic_folder(folder) as building:
            for name, data in content.items():
                write_bytes(building / name, data)
    return folder


def finished_cells(content: Mapping[str, bytes]) -> list[str]:
    """Return the names of the cells that have a result, sorted."""
    matches = (_NAME.fullmatch(name) for name in content)
    return sorted(match["cell"] for match in matches if match and match["file"] == _DONE)


def to_bytes(content: Mapping[str, bytes]) -> bytes:
    """Return the archive's bytes: the same for the same content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content[name], compresslevel=9)
    return buffer.getvalue()


def read_archive(path: Path) -> Content:
    """Read an archive.

    Raises: UserError for a file that is none, is damaged, or holds what no archive holds.
    """
    try:
        _refuse_large(path)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _refuse_strange(path, entries)
            content = {entry.filename: archive.read(entry) for entry in entries}
    except UserError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path}: not an archive of a study, or damaged ({error}): give what `normlab study pack` made"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): check the path") from None
    if "study.json" not in content:
        raise UserError(f"{path}: not an archive of a study (no study.json): give what `normlab study pack` made")
    return content


def _refuse_strange(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    total = sum(entry.file_size for entry in entries)
    expands = total > _SMALL and total > _MAX_RATIO * path.stat().st_size
    if len(entries) > _MAX_ENTRIES or total > _MAX_TOTAL or expands:
        raise UserError(f"{path}: larger unpacked than any study: not opened")
    for entry in entries:
        match = _NAME.fullmatch(entry.filename)
        known = entry.filename in STUDY_FILES or (
            match is not None and match["cell"] not in {".", ".."} and match["file"] in CELL_FILES
        )
        if not known or entry.file_size > _MAX_ENTRY:
            what = "is larger than any file of a study" if known else "belongs to no study"
            raise UserError(f"{path}: the entry {entry.filename!r} {what}: not opened")
    if len({entry.filename for entry in entries}) < len(entries):
        raise UserError(f"{path}: holds an entry twice: not opened")


def _refuse_large(path: Path) -> None:
    """Raise `UserError` for a file that is none, or larger than an archive can be, before it is read."""
    status = path.stat()
    refuse_special(path, status.st_mode)
    if status.st_size > _MAX_PACKED:
        raise UserError(f"{path}: {status.st_size / 2**30:.1f} GB, larger than any archive of a study: not opened")


def _read_folder(folder: Path) -> Content:
    if not (folder / "study.json").is_file():
        raise UserError(f"{folder}: not a study (no study.json): give what `normlab study run --out` made")
    content = {name: (folder / name).read_bytes() for name in STUDY_FILES if (folder / name).is_file()}
    for cell in sorted((folder / "cells").glob("*")):
        if (cell / _DONE).is_file():
            content |= {f"cells/{cell.name}/{name}": data for name, data in _read_cell(cell)}
    return content


def _read_cell(cell: Path) -> Iterator[tuple[str, bytes]]:
    for name in CELL_FILES:
        path = cell / name
        if path.is_file():
            data = path.read_bytes()
            yield name, _without_paths(path, data)


def _without_paths(path: Path, data: bytes) -> bytes:
    """Shorten absolute paths to their last parts: they are no settings, and they name people's folders."""
    if path.name == "environment.json":
        environment = read_json(path)
        words = str(environment.get("command", "")).split(" ")
        environment["command"] = " ".join(last_part(word) for word in words)
        return (json.dumps(environment, indent=1) + "\n").encode()
    if path.name == "config.yaml":
        config = read_yaml(path)
        short = without_own_paths(config)
        return data if short == config else dump_yaml(short).encode()
    return data


def _united(old: Content, new: Content, archive: Path) -> Content:
    """Return the new content with the cells that only the old one has."""
    added = set(finished_cells(new))
    for cell in sorted(set(finished_cells(old)) & added):
        name = f"cells/{cell}/{_DONE}"
        if _parsed(old, name, archive).get("metrics") != _parsed(new, name, archive).get("metrics"):
            raise UserError(f"{archive}: holds the cell {cell} with another result: choose another --out")
    old_only = {
        name: data for name, data in old.items() if (match := _NAME.fullmatch(name)) and match["cell"] not in added
    }
    return {
        **_wider_plan(old, new, archive),
        **old_only,
        **{name: new[name] for name in new if name not in STUDY_FILES},
    }


def _wider_plan(old: Content, new: Content, archive: Path) -> Content:
    """Return the study's files of the plan with more cells, so that none is lost from `study.json`."""
    sizes = [len(_parsed(content, "study.json", archive).get("cells", ())) for content in (old, new)]
    wider = old if sizes[0] > sizes[1] else new
    return {name: wider[name] for name in STUDY_FILES if name in wider}


def _parsed(content: Content, name: str, archive: Path) -> dict[str, Any]:
    """Return a JSON object of an archive.

    Raises: UserError naming archive and entry if it is damaged.
    """
    value = parse_json(content[name].decode("utf-8", "replace"), f"{archive}: {name}")
    if not isinstance(value, dict):
        raise UserError(f"{archive}: {name}: not an object: the archive was edited; pack the study again")
    return value
