"""Parquet files as hub repositories, converters and data frames write them; what is not used is named."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normlab.data.image.images import load_images
from normlab.errors import UserError

Image = pytest.importorskip("PIL.Image")
arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def _png(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (colour, 0, 255)).save(buffer, "PNG")
    return buffer.getvalue()


def _write(
    file: Path,
    labels: Sequence[Any] = (0, 1, 2, 0),
    *,
    image: str = "img",
    label: str = "label",
    names: Sequence[str] = (),
    raw: bool = False,
    **others: Sequence[Any],
) -> None:
    cells = [_png(number) if raw else {"bytes": _png(number), "path": None} for number in range(len(labels))]
    table = arrow.table({image: cells, label: list(labels), **{name: list(values) for name, values in others.items()}})
    if names:
        features = {label: {"names": list(names)}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, file)


LAYOUTS = {
    "hub": ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
    "configuration": ("mnist/train-00000-of-00001.parquet", "mnist/test-00000-of-00001.parquet"),
    "converted": ("plain_text/train/0000.parquet", "plain_text/test/0000.parquet"),
    "split folders": ("train/a.parquet", "test/b.parquet"),
    "data frame": ("train.parquet", "test.parquet"),
    "underscore": ("train_0.parquet", "test_0.parquet"),
    "upper case": ("Train.parquet", "TEST.parquet"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_usual_layouts_are_read(tmp_path, layout):
    train, test = LAYOUTS[layout]
    _write(tmp_path / "set" / train)
    _write(tmp_path / "set" / test, labels=(2, 1))
    dataset = load_images(tmp_path / "set")
    assert dataset.labels["train"].tolist() == [0, 1, 2, 0]
    assert dataset.labels["test"].tolist() == [2, 1]
    assert dataset.images["train"][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert dataset.name == ("mnist" if layout == "configuration" else "set")


def test_validation_files_serve_as_validation(tmp_path):
    _write(tmp_path / "train.parquet")
    _write(tmp_path / "validation.parquet", labels=(1, 2))
    dataset = load_images(tmp_path)
    assert dataset.labels["val"].tolist() == [1, 2]
    assert "test" not in dataset.labels
    assert "no test images: results are measured on validation images" in dataset.notes


def test_all_parts_are_read_in_order(tmp_path):
    for number in range(3):
        _write(tmp_path / f"train-0000{number}-of-00003.parquet", labels=(number, number))
    _write(tmp_path / "test.parquet")
    assert load_images(tmp_path).labels["train"].tolist() == [0, 0, 1, 1, 2, 2]


def test_missing_part_is_named(tmp_path):
    for number in (0, 2):
        _write(tmp_path / f"train-0000{number}-of-00003.parquet")
    _write(tmp_path / "test.parquet")
    with pytest.raises(UserError, match=r"train-00001-of-00003\.parquet missing \(2 of 3 parts are there\)"):
        load_images(tmp_path)


def test_whole_file_beside_its_parts_is_not_read_twice(tmp_path):
    _write(tmp_path / "train-00000-of-00001.parquet")
    _write(tmp_path / "train.parquet", labels=(9,))
    _write(tmp_path / "test.parquet")
    dataset = load_images(tmp_path)
    assert len(dataset.labels["train"]) == 4
    assert "left out 1 file: whole beside its parts 1 (train.parquet)" in dataset.notes


@pytest.mark.parametrize("image", ["img", "image", "picture", "whatever"])
@pytest.mark.parametrize("label", ["label", "labels", "target", "breed"])
@pytest.mark.parametrize("raw", [False, True])
def test_columns_of_other_names_are_found(tmp_path, image, label, raw):
    for split in ("train", "test"):
        _write(tmp_path / f"{split}.parquet", image=image, label=label, raw=raw)
    assert load_images(tmp_path).labels["train"].tolist() == [0, 1, 2, 0]


def test_columns_and_files_that_are_not_used_are_named(tmp_path):
    _write(tmp_path / "train.parquet", weight=[1, 2, 3, 4])
    _write(tmp_path / "test.parquet", weight=[1, 2, 3, 4])
    _write(tmp_path / "extra.parquet")
    notes = load_images(tmp_path).notes
    assert "columns not used: weight" in notes
    assert "left out 1 file: .parquet of no split 1 (extra.parquet)" in notes


def test_unclear_columns_are_listed(tmp_path):
    for split in ("train", "test"):
        _write(tmp_path / f"{split}.parquet", label="first", second=[1, 2, 3, 4])
    with pytest.raises(UserError, match=r"train\.parquet: columns img, first, second; expected one named 'label'"):
        load_images(tmp_path)


def test_class_names_come_from_the_metadata(tmp_path):
    for split in ("train", "test"):
        _write(tmp_path / f"{split}.parquet", names=("cat", "dog", "emu", "fox"))
    dataset = load_images(tmp_path)
    assert dataset.classes == ("cat", "dog", "emu", "fox")
    assert {"no train images of fox", "no test images of fox"} <= set(dataset.notes)


def test_text_labels_are_the_class_names(tmp_path):
    _write(tmp_path / "train.parquet", labels=("dog", "cat", "dog"))
    _write(tmp_path / "test.parquet", labels=("emu", "cat"))
    dataset = load_images(tmp_path)
    assert dataset.classes == ("cat", "dog", "emu")
    assert dataset.labels["train"].tolist() == [1, 0, 1]
    assert dataset.labels["test"].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ((1, 3, 2), ("1", "2", "3"), [0, 2, 1]),
        ((10, 9, 2), ("2", "9", "10"), [2, 1, 0]),
        ((True, False, True), ("False", "True"), [1, 0, 1]),
        ((1.0, 0.0, 1.0), ("0", "1"), [1, 0, 1]),
    ],
)
def test_labels_without_names_are_numbered_by_their_values(tmp_path, labels, classes, numbers):
    for split in ("train", "test"):
        _write(tmp_path / f"{split}.parquet", labels=labels)
    dataset = load_images(tmp_path)
    assert dataset.classes == classes
    assert dataset.labels["train"].tolist() == numbers


def test_split_with_hidden_labels_is_left_out_by_name(tmp_path):
    _write(tmp_path / "train.parquet")
    _write(tmp_path / "val.parquet", labels=(1, 2))
    _write(tmp_path / "test.parquet", labels=(-1, -1))
    dataset = load_images(tmp_path)
    assert set(dataset.labels) == {"train", "val"}
    assert "left out 1 split: split without labels 1 (test)" in dataset.notes


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", "it holds nothing: it is empty"),
        (b"<!DOCTYPE html><html></html>", r"it holds a web page \(HTML\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "it holds a Git LFS pointer"),
    ],
)
def test_file_that_is_no_parquet_says_what_was_seen(tmp_path, content, seen):
    _write(tmp_path / "train.parquet")
    (tmp_path / "test.parquet").write_bytes(content)
    with pytest.raises(UserError, match=rf"test\.parquet: not a readable parquet file \({seen}") as caught:
        load_images(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_pages_blame_the_file_and_not_the_cache(tmp_path):
    for split in ("train", "test"):
        _write(tmp_path / f"{split}.parquet", labels=list(range(50)))
    file = tmp_path / "test.parquet"
    content = bytearray(file.read_bytes())
    content[10:400] = np.random.default_rng(0).integers(0, 256, 390, dtype=np.uint8).tobytes()
    file.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"test\.parquet: ") as caught:
        load_images(tmp_path)
    assert "cache" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_in_place_of_images_are_refused(tmp_path):
    for split in ("train", "test"):
        table = arrow.table({"img": ["cats/1.png", "cats/2.png"], "label": [0, 1]})
        parquet.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(UserError, match=r"train\.parquet: row 0: holds no image bytes"):
        load_images(tmp_path)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (lambda image: [image, None], r"row 1: holds no image bytes: the cell is empty; remove the row"),
        (lambda image: [[1, 2, 3]] * 2, r"row 0: holds no image bytes but a list; write each image as the bytes of"),
    ],
)
def test_a_cell_without_an_image_says_what_it_holds(tmp_path, cells, message):
    for split in ("train", "test"):
        table = arrow.table({"img": cells({"bytes": _png(1), "path": None}), "label": [0, 1]})
        parquet.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(UserError, match=message):
        load_images(tmp_path)


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (["img", "label"], arrow.array([[0], [1]]), r"train.parquet: column 'label' holds list<.*; labels are whole"),
        (["img", "label"], arrow.array([b"a", b"b"]), r"column 'label' holds binary; labels are whole numbers or text"),
        (["img", "label"], arrow.array([], arrow.int64()), r"train.parquet: holds no rows"),
        (["label", "label"], arrow.array([0, 1]), r"columns label, label; expected one named 'img'"),
    ],
)
def test_columns_that_cannot_be_labels_are_named(tmp_path, names, labels, message):
    images = arrow.array([b"png"] * len(labels), arrow.binary())
    for split in ("train", "test"):
        table = arrow.Table.from_arrays([images if name == "img" else labels for name in names], names=names)
        parquet.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(UserError, match=message):
        load_images(tmp_path)


def test_two_columns_of_one_name_are_told(tmp_path):
    columns = [arrow.array([b"png"] * 2), arrow.array([0, 1]), arrow.array([1, 0])]
    for split in ("train", "test"):
        table = arrow.Table.from_arrays(columns, names=["img", "label", "label"])
        parquet.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(UserError, match=r"train.parquet: two columns are called 'label'; rename one"):
        load_images(tmp_path)


def test_files_in_several_folders_are_listed(tmp_path):
    for name in ("one", "two"):
        for split in ("train", "test"):
            _write(tmp_path / name / f"{split}.parquet")
    with pytest.raises(UserError, match=r"parquet files in several folders; give one of .*one, .*two"):
        load_images(tmp_path)


def test_single_file_asks_for_its_folder(tmp_path):
    _write(tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet: one parquet file; give the folder"):
        load_images(tmp_path / "train.parquet")
