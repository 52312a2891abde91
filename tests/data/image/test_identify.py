"""A published name is earned by pixels: not by class names, counts, or what a folder is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from normlab.data.image import identify
from normlab.data.image.identify import class_digests
from normlab.data.image.images import load_images
from normlab.data.image.known import class_names

Image = pytest.importorskip("PIL.Image")
CLASSES = class_names("cifar10")
PIXELS = np.random.default_rng(0).integers(0, 256, (10, 3, 3, 32, 32), dtype=np.uint8)  # by class: two train, one test


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the "published" CIFAR-10 have three images of each class."""
    images = {"train": PIXELS[:, :2].reshape(20, 3, 32, 32), "test": PIXELS[:, 2]}
    labels = {"train": np.repeat(np.arange(10), 2), "test": np.arange(10)}
    digests = class_digests(10, images, labels)
    monkeypatch.setattr(identify, "_CIFAR10_COUNTS", (2, 1))
    monkeypatch.setattr(identify, "_CIFAR10_DIGESTS", dict(zip(digests, CLASSES, strict=True)))


def _folder(root: Path, names: tuple[str, ...], splits: tuple[str, ...] = ("train", "train", "test")) -> Path:
    for name, images in zip(names, PIXELS, strict=True):
        for number, (split, pixels) in enumerate(zip(splits, images, strict=True)):
            file = root / split / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file)
    return root


def _parquet(folder: Path, names: tuple[str, ...] | None, order: list[int]) -> Path:
    """Write the images in any order of the classes, with class names or without."""
    import io
    import json

    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder.mkdir()
    for split, numbers in (("train", (1, 0)), ("test", (2,))):
        cells, labels = [], []
        for number in numbers:
            for label, of_class in enumerate(order):
                buffer = io.BytesIO()
                Image.fromarray(np.ascontiguousarray(PIXELS[of_class, number].transpose(1, 2, 0))).save(buffer, "PNG")
                cells.append(buffer.getvalue())
                labels.append(label)
        table = arrow.table({"image": cells, "label": labels})
        if names:
            features = {"label": {"names": list(names)}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        parquet.write_table(table, folder / f"{split}.parquet")
    return folder


def test_digests_of_classes_stay_what_they_are():
    """The published digests were made so: another formula would know nothing any more."""
    images = {"train": np.zeros((2, 3, 32, 32), np.uint8), "test": np.ones((1, 3, 32, 32), np.uint8)}
    labels = {"train": np.array([0, 1]), "test": np.array([1])}
    assert class_digests(2, images, labels) == ["1548cbb8bf882fd6", "9dd6252297fbce48"]


@pytest.mark.parametrize("splits", [("train", "train", "test"), ("train", "val", "test")])
@pytest.mark.parametrize("size", [32, 16])
def test_the_pixels_name_it_whatever_folder_and_size(published, tmp_path, splits, size):
    dataset = load_images(_folder(tmp_path / "plain_text", CLASSES, splits), size=size)
    assert dataset.name == "cifar10"
    assert dataset.classes == CLASSES


def test_own_class_names_are_kept(published, tmp_path):
    names = ("plane", "car", *CLASSES[2:])
    dataset = load_images(_folder(tmp_path / "x", names))
    assert dataset.name == "cifar10"
    assert dataset.classes == tuple(sorted(names))


def test_classes_without_names_get_the_published_ones_in_their_own_order(published, tmp_path):
    order = [3, 1, 2, 0, *range(4, 10)]
    dataset = load_images(_parquet(tmp_path / "x", None, order))
    assert dataset.name == "cifar10"
    assert dataset.classes == tuple(CLASSES[of_class] for of_class in order)


@pytest.mark.parametrize("folder", ["cifar10", "cifar-10", "mine"])
def test_one_other_pixel_is_another_data_set(published, tmp_path, folder):
    root = _folder(tmp_path / folder, CLASSES)
    changed = PIXELS[4, 1].copy()
    changed[0, 0, 0] ^= 1
    Image.fromarray(np.ascontiguousarray(changed.transpose(1, 2, 0))).save(root / "train" / "deer" / "1.png")
    assert load_images(root).name == (f"{folder} (unidentified)" if "cifar" in folder else "mine")


def test_train_and_test_images_are_not_exchanged(published, tmp_path):
    assert load_images(_folder(tmp_path / "mine", CLASSES, ("test", "train", "train"))).name == "mine"


def test_parquet_without_names_is_called_by_its_numbers(published, tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    source = _parquet(tmp_path / "all", None, list(range(10)))
    (tmp_path / "three").mkdir()
    for split in ("train", "test"):
        table = parquet.read_table(source / f"{split}.parquet")
        three = table.filter(arrow.compute.less(table["label"], 3))
        parquet.write_table(three, tmp_path / "three" / f"{split}.parquet")
    dataset = load_images(tmp_path / "three")
    assert dataset.name == "three"
    assert dataset.classes == ("0", "1", "2")
    assert dataset.notes[0] == (
        "train 6, test 3 images; 3 classes, called by the numbers in column 'label': the files name none"
    )


@pytest.mark.parametrize(
    ("name", "counts"), [("cifar100", (500, 100)), ("cifar100-coarse", (2500, 500))], ids=["fine", "coarse"]
)
def test_cifar100_is_known_by_class_names_and_counts(name, counts):
    from normlab.data.image.source import ImageSource

    classes = class_names(name)
    labels = {
        split: np.repeat(np.arange(len(classes)), count) for split, count in zip(("train", "test"), counts, strict=True)
    }
    source = ImageSource("test", "folder", classes, {}, lambda: iter(()))
    assert identify.identify(source, dict, labels)[0] == "cifar100"
    labels["test"] = labels["test"][1:]
    assert identify.identify(source, dict, labels)[0] == "folder"
