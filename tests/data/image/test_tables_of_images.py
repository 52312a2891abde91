"""Tables that name images and their classes: CSV, TSV and parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from normlab.data.image.images import load_images
from normlab.errors import UserError

Image = pytest.importorskip("PIL.Image")

PLAIN = "path,label,split\n" + "".join(f"{n}.png,{'ab'[n % 2]},{'train' if n < 8 else 'test'}\n" for n in range(12))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images whose red is 20 times their number."""
    for number in range(12):
        Image.new("RGB", (32, 32), (20 * number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def _load(folder: Path, text: str, name: str = "birds.csv", **reading):
    (folder / name).write_text(text)
    return load_images(folder / name, cache_dir=folder / "cache", **reading)


def test_columns_path_label_and_split_are_read(folder):
    dataset = _load(folder, PLAIN)
    assert (dataset.name, dataset.classes) == ("birds", ("a", "b"))
    assert dataset.labels["train"].tolist() == [0, 1] * 4
    assert dataset.images["test"][:, 0, 0, 0].tolist() == [160, 180, 200, 220]
    assert dataset.notes == ("train 8, test 4 images; 2 classes; columns 'path', 'label', 'split'",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", PLAIN.replace(",", ";")),
        ("x.tsv", PLAIN.replace(",", "\t")),
        ("x.csv", "﻿" + PLAIN),
        ("x.csv", PLAIN.replace("path,label,split", "File_Name,Class,SET")),
        ("x.csv", PLAIN.replace("train", "Training").replace("\n", "\r\n")),
        ("x.csv", "id," + PLAIN.replace("\n", "\n7,").removesuffix("7,")),
        ("x.csv", PLAIN.replace("test", "validation")),
    ],
)
def test_other_spellings_give_the_same_training_images(folder, name, text):
    dataset = _load(folder, text, name)
    assert dataset.labels["train"].tolist() == [0, 1] * 4
    assert dataset.images["train"][:, 0, 0, 0].tolist() == [*range(0, 160, 20)]
    assert set(dataset.images) == ({"train", "val"} if "validation" in text else {"train", "test"})


def test_paths_with_backslashes_are_read_as_windows_means_them(folder):
    (folder / "img").mkdir()
    for number in range(12):
        (folder / f"{number}.png").rename(folder / f"img/{number}.png")
    dataset = _load(folder, "".join(f"img\\{row}\n" if "png" in row else f"{row}\n" for row in PLAIN.splitlines()))
    assert dataset.images["train"][:, 0, 0, 0].tolist() == [*range(0, 160, 20)]


@pytest.mark.parametrize("change", [(".png", ""), ("0.png", "img/0.png"), ("0.png", "~/0.png")])
def test_a_table_of_which_no_image_exists_is_told_in_one_line(folder, change):
    text = "".join(row.replace(*change) + "\n" for row in PLAIN.splitlines() if row.startswith(("path", "0", "10")))
    with pytest.raises(
        UserError, match=r"birds.csv: none of its 2 images exists, the first is .*relative to"
    ) as caught:
        _load(folder, text)
    assert "\n" not in str(caught.value)


def test_a_folder_with_one_folder_of_images_and_their_table_names_the_table(folder):
    (folder / "img").mkdir()
    for number in range(12):
        (folder / f"{number}.png").rename(folder / f"img/{number}.png")
    (folder / "empty.csv").write_text("")
    (folder / "labels.csv").write_text("path,label\n" + "".join(f"img/{n}.png,{n % 2}\n" for n in range(12)))
    with pytest.raises(UserError, match=r"its images lie together, and labels.csv names their classes: give .*csv"):
        load_images(folder, cache_dir=folder / "cache")


def test_a_parquet_table_gives_the_same_fingerprint_as_a_csv(folder):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [line.split(",") for line in PLAIN.split()[1:]]
    columns = dict(zip(("path", "label", "split"), zip(*rows, strict=True), strict=True))
    parquet.write_table(arrow.table({name: list(values) for name, values in columns.items()}), folder / "t.parquet")
    table = load_images(folder / "t.parquet", cache_dir=folder / "cache")
    assert table.fingerprint == _load(folder, PLAIN).fingerprint


def test_without_splits_a_sixth_of_each_class_is_tested(folder):
    dataset = _load(folder, "path,label\n" + "".join(f"{n}.png,{n % 2}\n" for n in range(12)))
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {"train": 10, "test": 2}
    assert np.bincount(dataset.labels["test"]).tolist() == [1, 1]
    assert dataset.own_splits == ()
    assert "no test images: a sixth of every class is drawn for testing" in dataset.notes


def test_numbers_are_classes_in_their_order(folder):
    rows = "".join(f"{number}.png,{number},{'test' if number == 11 else 'train'}\n" for number in range(12))
    assert _load(folder, "path,label,split\n" + rows).classes == tuple(map(str, range(12)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("3.png,b,train", ",b,train"), r"birds\.csv:5: no path in column 'path'"),
        (("3.png,b,train", "3.png,,train"), r"birds\.csv:5: no label in column 'label'"),
        (("3.png,b,train", "3.png,b,later"), r"birds\.csv:5: split 'later' is not one of train, val, test"),
        (("3.png,b,train", "2.png,b,train"), r"birds\.csv:5: 2\.png has the label 'b' here and 'a' at birds\.csv:4"),
        (("9.png,b,test", "./1.png,b,test"), r"birds\.csv:11: \./1\.png has the split 'test' here and 'train' at"),
        (("3.png,b,train", "none.png,b,train"), r"none\.png: no such file; replace or remove it, or leave it out with"),
        (("train", "test"), r"birds\.csv: no row has the split 'train', only test"),
    ],
)
def test_a_wrong_row_is_named(folder, change, said):
    with pytest.raises(UserError, match=said) as caught:
        _load(folder, PLAIN.replace(*change))
    assert "\n" not in str(caught.value)


def test_a_row_said_twice_is_counted_once(folder):
    dataset = _load(folder, PLAIN + "3.png,b,train\n")
    assert len(dataset.labels["train"]) == 8
    assert "left out 1 repeated row (3.png)" in dataset.notes


def test_broken_and_missing_images_are_left_out_if_asked_for(folder):
    (folder / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (folder / "9.png").unlink()
    dataset = _load(folder, PLAIN, skip_broken=True)
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {"train": 7, "test": 3}
    told = [note for note in dataset.notes if "broken" in note]
    assert len(told) == 1
    assert told[0].startswith("left out 2 broken images: ")
    assert "2.png: not a readable image" in told[0]
    assert "9.png: no such file" in told[0]
    with pytest.raises(UserError, match="2 images cannot be read"):
        _load(folder, PLAIN)


def test_skipping_changes_nothing_where_nothing_is_broken(folder):
    assert _load(folder, PLAIN, skip_broken=True).fingerprint == _load(folder, PLAIN).fingerprint


def test_nothing_but_broken_images_is_an_error(folder):
    for number in range(8):
        (folder / f"{number}.png").write_bytes(b"x")
    with pytest.raises(UserError, match="holds no training images: 8 images cannot be read"):
        _load(folder, PLAIN, skip_broken=True)


def test_a_folder_of_images_skips_its_broken_ones(folder):
    for number in range(12):
        target = folder / "pets" / "ab"[number % 2] / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").rename(target)
    (folder / "pets/a/0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    dataset = load_images(folder / "pets", cache_dir=folder / "cache", skip_broken=True)
    assert sum(map(len, dataset.labels.values())) == 11
    assert any(note.startswith("left out 1 broken image: ") for note in dataset.notes)


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """Numbered images in train/ and others of the same numbers in test/, classes of the former in a table."""
    for split, blue in (("train", 0), ("test", 200)):
        (tmp_path / split).mkdir()
        for number in range(1, 13):
            Image.new("RGB", (32, 32), (20 * number, 0, blue)).save(tmp_path / split / f"{number}.png")
    rows = "".join(f"{number},{'ab'[number % 2]}\n" for number in range(1, 13))
    (tmp_path / "trainLabels.csv").write_text(f"id,label\n{rows}")
    return tmp_path


def test_numbers_of_images_mean_those_in_the_folder_of_training_images(kaggle):
    dataset = load_images(kaggle / "trainLabels.csv", cache_dir=kaggle / "cache")
    assert dataset.name == kaggle.name
    reds = {
        int(pixel[0]): int(label)
        for split, images in dataset.images.items()
        for pixel, label in zip(images[:, :, 0, 0], dataset.labels[split], strict=True)
    }
    assert reds == {20 * number: number % 2 for number in range(1, 13)}
    assert not any(images[:, 2].any() for images in dataset.images.values()), "images of test/ are no one's"


def test_the_folder_of_such_a_table_names_it(kaggle):
    with pytest.raises(UserError, match=r"trainLabels\.csv names their classes: give .*trainLabels\.csv"):
        load_images(kaggle, cache_dir=kaggle / "cache")


def test_a_table_with_ids_of_something_else_is_no_table_of_images(folder):
    (folder / "sales.csv").write_text("id,label\nx1,a\nx2,b\n")
    with pytest.raises(UserError, match="a CSV holds images without labels"):
        load_images(folder / "sales.csv", cache_dir=folder / "cache")
