"""Folders as Hugging Face's `save_to_disk` writes them, made here with pyarrow alone."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from normlab.data.image.images import load_images
from normlab.errors import UserError

Image = pytest.importorskip("PIL.Image")
arrow = pytest.importorskip("pyarrow")


def _png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (20 * number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def _save(folder: Path, numbers: Sequence[int], *, files: int = 1, names: Sequence[str] = ("ant", "bee")) -> Path:
    folder.mkdir(parents=True)
    info = {"features": {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}}
    metadata = {"huggingface": json.dumps({"info": info})}
    listed = []
    for part in range(files):
        own = list(numbers)[part::files]
        cells = [{"bytes": _png(number), "path": f"{number}.png"} for number in own]
        table = arrow.table({"image": cells, "label": [number % 2 for number in own]}).replace_schema_metadata(metadata)
        name = f"data-{part:05}-of-{files:05}.arrow"
        with arrow.OSFile(str(folder / name), "wb") as sink, arrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
        listed.append({"filename": name})
    (folder / "state.json").write_text(json.dumps({"_data_files": listed, "_split": None}))
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def _dictionary(folder: Path, **splits: Sequence[int]) -> Path:
    for name, numbers in splits.items():
        _save(folder / name, numbers)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


def _load(folder: Path):
    return load_images(folder, cache_dir=folder.parent / "cache")


def test_a_dictionary_of_splits_is_read(tmp_path):
    dataset = _load(_dictionary(tmp_path / "insects", train=range(8), test=range(8, 12), extra=range(2)))
    assert (dataset.name, dataset.classes) == ("insects", ("ant", "bee"))
    assert dataset.images["train"][:, 0, 0, 0].tolist() == [*range(0, 160, 20)]
    assert dataset.labels["test"].tolist() == [0, 1, 0, 1]
    assert "left out 1 file: split of no use 1 (extra)" in dataset.notes


def test_one_data_set_in_several_files_is_divided(tmp_path):
    dataset = _load(_save(tmp_path / "insects", range(12), files=3))
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {"train": 10, "test": 2}
    for split in ("train", "test"):
        numbers = dataset.images[split][:, 0, 0, 0] // 20
        assert (numbers % 2).tolist() == dataset.labels[split].tolist()
    assert dataset.own_splits == ()
    assert "no test images: a sixth of every class is drawn for testing" in dataset.notes


def test_validation_serves_where_there_is_no_test_split(tmp_path):
    dataset = _load(_dictionary(tmp_path / "insects", train=range(8), validation=range(8, 12)))
    assert set(dataset.labels) == {"train", "val"}


def test_what_is_missing_or_no_arrow_file_is_one_line(tmp_path):
    folder = _save(tmp_path / "a", range(12), files=2)
    part = folder / "data-00001-of-00002.arrow"
    content = part.read_bytes()
    part.unlink()
    with pytest.raises(UserError, match=r"data-00001-of-00002\.arrow missing \(1 of 2 are there\)"):
        _load(folder)
    for damaged in (b"", b"x" * 100, content[:200], content[: len(content) // 2]):
        part.write_bytes(damaged)
        with pytest.raises(UserError, match=r"data-00001-of-00002\.arrow") as caught:
            _load(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("state.json", {}, "lists no Arrow files"),
        ("state.json", {"_data_files": [{"filename": "../x.arrow"}]}, "lists no Arrow files"),
        ("state.json", [], "lists no Arrow files"),
        ("dataset_dict.json", {"splits": "train"}, "names no splits"),
        ("dataset_dict.json", {"splits": ["../train"]}, "has no split 'train'"),
    ],
)
def test_a_description_of_no_use_is_one_line(tmp_path, file, content, said):
    folder = _save(tmp_path / "a", range(4))
    if file == "dataset_dict.json":
        (folder / "state.json").unlink()
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        _load(folder)


def test_a_selection_of_rows_says_how_to_save_it(tmp_path):
    folder = _save(tmp_path / "a", range(4))
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "_indices_data_files": [{"filename": "indices.arrow"}]}))
    with pytest.raises(UserError, match="flatten_indices"):
        _load(folder)
