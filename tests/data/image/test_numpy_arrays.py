"""Images in NumPy's files: names, layouts and ranges that libraries write; what is damaged or makes no sense."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from normlab.data.image import array_files
from normlab.data.image.images import load_images
from normlab.errors import UserError

GREY = np.arange(12, dtype=np.uint8)[:, None, None] * np.full((12, 32, 32), 20, dtype=np.uint8)
LABELS = np.arange(12) % 3


def _npz(tmp_path: Path, **arrays) -> Path:
    np.savez(tmp_path / "shapes.npz", **arrays)
    return tmp_path / "shapes.npz"


def _load(path: Path, **reading):
    return load_images(path, cache_dir=path.parent / "cache", **reading)


def _split(images: np.ndarray, form: str = "{}_{}") -> dict[str, np.ndarray]:
    return {
        form.format("x", "train"): images[:9],
        form.format("y", "train"): LABELS[:9],
        form.format("x", "test"): images[9:],
        form.format("y", "test"): LABELS[9:],
    }


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("images_train", "targets_train", "images_test", "targets_test"),
        ("train_x", "train_y", "val_x", "val_y"),
    ],
)
def test_usual_names_are_found(tmp_path, names):
    dataset = _load(_npz(tmp_path, **dict(zip(names, (GREY[:9], LABELS[:9], GREY[9:], LABELS[9:]), strict=True))))
    assert dataset.name == "shapes"
    assert dataset.labels["train"].tolist() == LABELS[:9].tolist()
    assert dataset.images["train"][:, 2, 5, 7].tolist() == [*range(0, 180, 20)]
    assert dataset.images["val" if "val_x" in names else "test"][:, 0, 0, 0].tolist() == [180, 200, 220]


@pytest.mark.parametrize(
    "images",
    [
        GREY[..., None],
        GREY[:, None],
        np.repeat(GREY[..., None], 3, axis=3),
        np.repeat(GREY[:, None], 3, axis=1),
        GREY.astype(np.float32) / 255,
        GREY.astype(np.int64),
        GREY.astype(np.float64),
        np.concatenate([np.repeat(GREY[..., None], 3, axis=3), np.full((12, 32, 32, 1), 255, np.uint8)], axis=3),
    ],
)
def test_every_layout_and_type_gives_the_same_pixels(tmp_path, images):
    plain = _load(_npz(tmp_path, **_split(GREY)))
    assert _load(_npz(tmp_path, **_split(images))).fingerprint == plain.fingerprint


def test_sixteen_bits_share_one_range(tmp_path):
    images = GREY.astype(np.uint16) * 257
    images[0, 0, 0] = 65535
    dataset = _load(_npz(tmp_path, **_split(images)))
    assert dataset.images["train"][1:, 0, 0, 0].tolist() == [*range(20, 180, 20)]
    assert "values from 0 to 65535 scaled to 8 bits" in dataset.notes


def test_standardised_images_are_scaled_from_the_least_to_the_greatest_of_all(tmp_path):
    dataset = _load(_npz(tmp_path, **_split(GREY / 110.0 - 1)))
    assert dataset.images["train"][:, 0, 0, 0].tolist() == [round(255 * n / 11) for n in range(9)]
    assert "values from -1 to 1 scaled to 8 bits" in dataset.notes


def test_a_folder_of_npy_files_without_splits_is_divided(tmp_path):
    (tmp_path / "set").mkdir()
    np.save(tmp_path / "set" / "images.npy", GREY)
    np.save(tmp_path / "set" / "labels.npy", np.array(["owl", "ant", "cat"])[LABELS])
    dataset = _load(tmp_path / "set")
    assert (dataset.name, dataset.classes) == ("set", ("ant", "cat", "owl"))
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {"train": 9, "test": 3}
    assert sorted(np.bincount(dataset.labels["test"]).tolist()) == [1, 1, 1]
    for split in ("train", "test"):  # each image kept its label
        numbers = dataset.images[split][:, 0, 0, 0] // 20
        assert [dataset.classes[label] for label in dataset.labels[split]] == [
            ("owl", "ant", "cat")[number % 3] for number in numbers.tolist()
        ]


def test_columns_of_labels_and_one_hot_labels_are_read(tmp_path):
    column = _load(_npz(tmp_path, **{**_split(GREY), "y_train": LABELS[:9, None]}))
    one_hot = _load(_npz(tmp_path, **{**_split(GREY), "y_train": np.eye(3)[LABELS[:9]]}))
    assert column.fingerprint == one_hot.fingerprint


def test_class_names_beside_the_labels_are_used(tmp_path):
    names = np.array(["owl", "ant", "cat", "emu"])
    dataset = _load(_npz(tmp_path, **_split(GREY), class_names=names))
    assert dataset.classes == ("owl", "ant", "cat", "emu")
    assert "no train images of emu" in dataset.notes


def test_a_large_array_is_read_in_pieces(tmp_path, monkeypatch):
    whole = _load(_npz(tmp_path, **_split(GREY))).fingerprint
    monkeypatch.setattr(array_files, "_PIECE", 3000)  # two images and a bit
    np.savez_compressed(tmp_path / "packed.npz", **_split(GREY))
    assert _load(tmp_path / "packed.npz").fingerprint == whole


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x_train": GREY}, "x_train has no labels beside it; arrays: x_train"),
        ({"x_train": GREY, "y_train": LABELS[:5]}, "12 images, but 5 labels in y_train"),
        ({"x_train": GREY[:, :, :, None, None], "y_train": LABELS}, r"shape \(12, 32, 32, 1, 1\); images are"),
        ({"x_train": GREY.reshape(12, 1024), "y_train": LABELS}, r"shape \(12, 1024\); images are"),
        ({"x_train": GREY, "y_train": LABELS / 2}, "labels of type float64"),
        ({"x_train": GREY, "y_train": np.ones((12, 3))}, "with no label or with several"),
        ({"x_train": np.full((12, 32, 32), np.nan), "y_train": LABELS}, "no finite numbers"),
        ({"x_train": GREY.astype("U3"), "y_train": LABELS}, "values of type <U3"),
        ({"x_train": GREY, "train_images": GREY, "y_train": LABELS}, "are both train images"),
        ({"x_test": GREY, "y_test": LABELS}, "no training images, only test"),
        ({"x_train": np.asfortranarray(GREY), "y_train": LABELS}, "stored column by column"),
        ({"x_train": GREY, "y_train": np.array([object()] * 12)}, "holds Python objects"),
        ({"x_train": GREY, "y_train": LABELS, "class_names": np.array(["a", "b"])}, "labels 0 to 2, but 2 class_names"),
        ({"x_train": GREY, "y_train": LABELS, "x_val": GREY, "y_val": LABELS.astype("U3")}, "text in one split"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(tmp_path, arrays, said):
    with pytest.raises(UserError, match=said) as caught:
        _load(_npz(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


def test_any_cut_of_a_file_is_one_line(tmp_path):
    content = _npz(tmp_path, **_split(GREY)).read_bytes()
    for length in range(0, len(content), len(content) // 40):
        (tmp_path / "cut.npz").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.npz"):
            _load(tmp_path / "cut.npz")


def test_a_member_that_expands_without_end_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", bytes(array_files._SMALL + 1))
    with pytest.raises(UserError, match=r"x_train\.npy expands \d+ times"):
        _load(tmp_path / "bomb.npz")


def test_a_lone_array_says_what_to_give(tmp_path):
    np.save(tmp_path / "images.npy", GREY)
    with pytest.raises(UserError, match=r"give the folder that holds images\.npy and labels\.npy"):
        _load(tmp_path / "images.npy")
