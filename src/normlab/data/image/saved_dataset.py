"""Folders that `Dataset.save_to_disk` and `DatasetDict.save_to_disk` of Hugging Face's `datasets` leave: Arrow files.

A data set's folder holds `state.json`, which lists its Arrow files, and `dataset_info.json`; a dictionary of splits has
`dataset_dict.json` and a folder for each. Needs pyarrow (extra `parquet`), not `datasets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from normlab.data.image.folder import SPLIT_OF
from normlab.data.image.parquet_layout import TableFiles
from normlab.data.image.pixels import require
from normlab.data.image.source import SPLITS
from normlab.data.left_out import LeftOut
from normlab.errors import UserError
from normlab.json_file import read_json

_MOST_FILES = 10_000


class ArrowFile:
    """An Arrow file as the reader of tables wants it: `schema_arrow` and `iter_batches`.

    Raises: whatever pyarrow raises for a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as reader:
            self.schema_arrow = reader.schema

    def iter_batches(self, batch_size: int = 1000, columns: Sequence[str] = ()) -> Iterator[Any]:
        """Yield some columns, at most so many rows at once."""
        with self._opened() as reader:
            for batch in reader:
                chosen = batch.select(list(columns))
                chosen.validate(full=True)  # offsets beyond the buffers would be read otherwise
                for start in range(0, chosen.num_rows, batch_size):
                    yield chosen.slice(start, batch_size)

    def _opened(self) -> Any:
        arrow = require("pyarrow", "reading Arrow files")
        return require("pyarrow.ipc", "reading Arrow files").open_stream(arrow.memory_map(str(self._path)))


def find_saved_dataset(path: Path) -> TableFiles | None:
    """Return the Arrow files of a saved data set by split; one without splits is all training data. None if it is none.

    Raises: UserError if a part is missing, or the folder's description cannot be used.
    """
    if not path.is_dir():
        return None
    if (path / "state.json").is_file():
        return TableFiles(path, {"train": _files(path)}, LeftOut(), named=False)
    if not (path / "dataset_dict.json").is_file():
        return None
    description = read_json(path / "dataset_dict.json")
    names = description.get("splits") if isinstance(description, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path / 'dataset_dict.json'}: names no splits; save the data set again")
    by_split: dict[str, list[Path]] = {}
    left_out = LeftOut()
    for name in names[:_MOST_FILES]:
        split = SPLIT_OF.get(name.lower())
        if split is None or split in by_split or Path(name).name != name:
            left_out.append(("split of no use", name))
        else:
            by_split[split] = _files(path / name)
    if "train" not in by_split:
        raise UserError(f"{path}: has no split 'train', only {', '.join(names)[:200]}: give it one")
    return TableFiles(path, {split: by_split[split] for split in SPLITS if split in by_split}, left_out)


def _files(folder: Path) -> list[Path]:
    """Return the Arrow files that a folder's `state.json` lists."""
    state = read_json(folder / "state.json")
    listed = state.get("_data_files") if isinstance(state, dict) else None
    names = [entry.get("filename") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise UserError(f"{folder / 'state.json'}: lists no Arrow files; save the data set again")
    if state.get("_indices_data_files"):
        raise UserError(f"{folder}: a selection of rows: call `flatten_indices()` before `save_to_disk`")
    files = [folder / str(name) for name in names[:_MOST_FILES]]
    if missing := [file.name for file in files if not file.is_file()]:
        raise UserError(
            f"{folder}: {', '.join(missing[:3])} missing ({len(files) - len(missing)} of {len(files)} are there)"
        )
    return files
