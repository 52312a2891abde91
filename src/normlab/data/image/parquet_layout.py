"""Which parquet files below a folder make which split.

Hub repositories keep `train-00000-of-00002.parquet` in `data/` or in a folder of the configuration's name, converted
ones `train/0000.parquet`, and a data frame is written as `train.parquet`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from normlab.data.image.folder import SPLIT_OF
from normlab.data.image.source import SPLITS
from normlab.data.left_out import LeftOut
from normlab.errors import UserError

_NAME = re.compile(rf"({'|'.join(SPLIT_OF)})(?:[-_.]?\d.*|[-_.].*)?", re.IGNORECASE)
_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d+)-of-(?P<parts>\d+)")


class TableFiles(NamedTuple):
    """The folder that holds them, its files by split, sorted, what lies beside them, and whether splits have names."""

    folder: Path
    files: dict[str, list[Path]]
    left_out: LeftOut
    named: bool = True


def find_parquet_files(path: Path) -> TableFiles | None:
    """Find the parquet files in `path`, or in the one folder below it that has some; None if there are none.

    Raises: UserError if several folders have some, there are no training files, or a part of a set is missing.
    """
    if path.is_file() and path.suffix.lower() == ".parquet":
        raise UserError(f"{path}: one parquet file; give the folder with train*.parquet and test*.parquet")
    if not path.is_dir():
        return None
    layouts = [layout for folder in (path, *_folders(path)) if (layout := _layout(folder, path)).files]
    if not layouts:
        others = [file.name for file in sorted(path.glob("*.parquet"))]
        if others:
            raise UserError(f"{path}: {', '.join(others[:3])}: no training file; name it train.parquet")
        return None
    if layouts[0].folder != path and len(layouts) > 1:
        names = ", ".join(str(layout.folder) for layout in layouts)
        raise UserError(f"{path}: parquet files in several folders; give one of {names}")
    chosen = layouts[0]
    if "train" not in chosen.files:
        raise UserError(
            f"{chosen.folder}: {_described(chosen.files)} without training files (train*.parquet); put both into one "
            "folder"
        )
    if len(chosen.files) == 1:
        raise UserError(
            f"{chosen.folder}: {_described(chosen.files)} without test or validation files (test*.parquet); put both "
            "into one folder"
        )
    for files in chosen.files.values():
        _refuse_missing_parts(files)
    unused = [("folder of parquet files", layout.folder.name) for layout in layouts[1:]]
    return chosen._replace(left_out=chosen.left_out + unused)


def _folders(path: Path) -> list[Path]:
    return [entry for entry in sorted(path.iterdir()) if entry.is_dir() and not _is_split(entry.name)]


def _is_split(name: str) -> bool:
    return name.startswith(".") or name.lower() in SPLIT_OF


def _layout(folder: Path, root: Path) -> TableFiles:
    """Sort a folder's parquet files, and those in its train/, validation/ and test/, by split."""
    files: dict[str, list[Path]] = {}
    left_out = LeftOut()
    for file in (*sorted(folder.glob("*.parquet")), *sorted(folder.glob("*/*.parquet"))):
        in_split_folder = file.parent != folder
        if file.name.startswith(".") or (in_split_folder and not _is_split(file.parent.name)):
            continue
        name = file.parent.name if in_split_folder else file.stem
        if match := _NAME.fullmatch(name):
            files.setdefault(SPLIT_OF[match[1].lower()], []).append(file)
        else:
            left_out.append((".parquet of no split", file.relative_to(root).as_posix()))
    for split, split_files in files.items():
        parts = [file for file in split_files if _PART.fullmatch(file.stem)]
        if parts and len(parts) < len(split_files):  # the whole beside its parts would count every image twice
            left_out += [("whole beside its parts", file.name) for file in split_files if file not in parts]
            files[split] = parts
    return TableFiles(folder, {split: files[split] for split in SPLITS if split in files}, left_out)


def _refuse_missing_parts(files: Sequence[Path]) -> None:
    sets: dict[tuple[Path, str, int], set[int]] = {}
    for file in files:
        if match := _PART.fullmatch(file.stem):
            pattern = f"{match['stem']}-{{:0{len(match['number'])}}}-of-{match['parts']}"
            key = (file.parent, pattern, int(match["parts"]))
            sets.setdefault(key, set()).add(int(match["number"]))
    for (folder, pattern, parts), numbers in sets.items():
        if missing := sorted(set(range(min(parts, 10_000))) - numbers):
            names = ", ".join(f"{pattern.format(number)}.parquet" for number in missing[:3])
            raise UserError(f"{folder}: {names} missing ({len(numbers)} of {parts} parts are there); download it again")


def _described(files: Mapping[str, Sequence[Path]]) -> str:
    return ", ".join(f"{split} files ({split_files[0].name})" for split, split_files in files.items())
