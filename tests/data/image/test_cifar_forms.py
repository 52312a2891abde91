from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest
from tiny_cifar_forms import TinyCifar, python2_pickle

from normlab.data.image.images import load_images
from normlab.data.image.known import class_names
from normlab.errors import UserError


def _as_published(cifar: TinyCifar, dataset, name: str = "cifar10") -> None:
    for split in ("train", "test"):
        assert np.array_equal(dataset.images[split], cifar.images(split))
        assert dataset.labels[split].tolist() == cifar.all_labels(split)
        assert dataset.labels[split].dtype == np.int64
    assert dataset.name == name
    assert dataset.classes == class_names("cifar10")


def test_python_folder_holds_the_batches_in_order(tiny_cifar):
    _as_published(tiny_cifar, load_images(tiny_cifar.python_folder(), sums={}))


def test_parent_of_a_published_folder_is_accepted(tiny_cifar):
    _as_published(tiny_cifar, load_images(tiny_cifar.python_folder().parent, sums={}))


def test_every_form_has_the_same_fingerprint(tiny_cifar):
    python, binary = tiny_cifar.python_folder(), tiny_cifar.binary_folder()
    forms = [
        python,
        binary,
        tiny_cifar.archive(python, "cifar-10-python.tar.gz"),
        tiny_cifar.archive(binary, "renamed.tar.gz"),
        tiny_cifar.parquet_folder("PNG"),
        tiny_cifar.parquet_folder("WEBP"),
    ]
    loaded = [load_images(form, sums={}) for form in forms]
    names = ["cifar10"] * 4 + ["parquet-PNG", "parquet-WEBP"]  # parquet files prove nothing by their form
    for dataset, name in zip(loaded, names, strict=True):
        _as_published(tiny_cifar, dataset, name)
    assert len({dataset.fingerprint for dataset in loaded}) == 1
    assert len(loaded[0].fingerprint) == 16


def test_one_changed_label_changes_the_fingerprint(tiny_cifar):
    before = load_images(tiny_cifar.python_folder(), sums={}).fingerprint
    tiny_cifar.labels["test_batch"][0] = (tiny_cifar.labels["test_batch"][0] + 1) % 10
    assert load_images(tiny_cifar.binary_folder(), sums={}).fingerprint != before


def test_right_sum_is_accepted_and_a_wrong_one_names_file_sums_and_fix(tiny_cifar):
    archive = tiny_cifar.archive(tiny_cifar.binary_folder(), "mine.tar.gz")
    found = hashlib.md5(archive.read_bytes()).hexdigest()
    _as_published(tiny_cifar, load_images(archive, sums={"cifar-10-binary.tar.gz": found}))
    with pytest.raises(UserError, match=rf"mine\.tar\.gz: MD5 is {found}, published is {'0' * 32};.*download"):
        load_images(archive, sums={"cifar-10-binary.tar.gz": "0" * 32}, cache_dir=tiny_cifar.root / "other")


def test_published_sums_are_checked_unless_told_otherwise(tiny_cifar):
    with pytest.raises(UserError, match=r"data_batch_1: MD5 is .* published is c99cafc152244af753f735de768cd75f"):
        load_images(tiny_cifar.python_folder())


def test_missing_batch_is_named(tiny_cifar):
    folder = tiny_cifar.python_folder()
    (folder / "data_batch_3").unlink()
    with pytest.raises(UserError, match="data_batch_3 missing"):
        load_images(folder, sums={})


def test_batch_missing_in_an_archive_is_named(tiny_cifar):
    folder = tiny_cifar.binary_folder()
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(UserError, match=r"data_batch_2\.bin missing in the archive"):
        load_images(tiny_cifar.archive(folder, "cifar-10-binary.tar.gz"), sums={})


@pytest.mark.parametrize("length", [100, 2_000])
def test_truncated_archive_is_a_users_mistake(tiny_cifar, length):
    archive = tiny_cifar.archive(tiny_cifar.binary_folder(), "cifar-10-binary.tar.gz")
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(UserError, match="download it again"):
        load_images(archive, sums={})


def test_half_a_binary_record_is_refused(tiny_cifar):
    batch = tiny_cifar.binary_folder() / "test_batch.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"test_batch\.bin: 12,291 bytes are not whole records of 3073"):
        load_images(batch.parent, sums={})


def test_label_beyond_the_classes_is_refused(tiny_cifar):
    tiny_cifar.labels["data_batch_4"][2] = 10
    with pytest.raises(UserError, match="data_batch_4: label 10 is not one of 0 to 9"):
        load_images(tiny_cifar.python_folder(), sums={})


@pytest.fixture
def cifar100_python(tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (3, 3072), dtype=np.uint8)
    for name in ("train", "test"):
        (folder / name).write_bytes(python2_pickle(pixels, [0, 50, 99], key=b"fine_labels"))
    return folder


def test_cifar100_python_uses_fine_labels(cifar100_python):
    dataset = load_images(cifar100_python, sums={})
    assert dataset.name == "cifar100"
    assert len(dataset.classes) == 100
    assert dataset.labels["train"].tolist() == [0, 50, 99]


def test_cifar100_binary_equals_python_and_offers_coarse_labels(cifar100_python, tmp_path):
    python = load_images(cifar100_python, sums={})
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    for name in ("train", "test"):
        pixels = np.asarray(python.images[name]).reshape(3, -1)
        labels = np.array([[3, 0], [19, 50], [7, 99]], dtype=np.uint8)  # coarse, fine
        (folder / f"{name}.bin").write_bytes(np.hstack([labels, pixels]).tobytes())
    assert load_images(folder, sums={}).fingerprint == python.fingerprint
    coarse = load_images(folder, sums={}, coarse=True)
    assert coarse.labels["test"].tolist() == [3, 19, 7]
    assert len(coarse.classes) == 20
    batch = bytearray((folder / "test.bin").read_bytes())
    batch[0] = 20  # beyond the superclasses, though not beyond the classes
    (folder / "test.bin").write_bytes(batch)
    with pytest.raises(UserError, match=r"test\.bin: label 20 is not one of 0 to 19"):
        load_images(folder, sums={}, coarse=True)


def test_parquet_of_cifar100_uses_fine_labels(tiny_cifar):
    names = class_names("cifar100")
    dataset = load_images(tiny_cifar.parquet_folder("PNG", label="fine_label", names=names))
    assert dataset.name == "parquet-PNG"  # twenty images are not CIFAR-100, whatever their classes are called
    assert dataset.classes == names
    assert dataset.labels["test"].tolist() == tiny_cifar.all_labels("test")


def test_class_names_are_whole_and_sorted():
    assert len(class_names("cifar10")) == 10
    for name, count in (("cifar100", 100), ("cifar100-coarse", 20)):
        names = class_names(name)
        assert len(set(names)) == count
        assert list(names) == sorted(names)


def test_other_size_is_resized_and_cached_apart(tiny_cifar):
    folder = tiny_cifar.binary_folder()
    assert load_images(folder, size=16, sums={}).images["train"].shape == (20, 3, 16, 16)
    assert load_images(folder, sums={}).images["train"].shape == (20, 3, 32, 32)


def test_parquet_with_one_split_says_what_is_missing(tiny_cifar):
    folder = tiny_cifar.parquet_folder("PNG")
    next(folder.glob("test-*")).unlink()
    with pytest.raises(UserError, match=r"train-00000-of-00001\.parquet\) without test or validation files"):
        load_images(folder)


def test_parquet_that_is_none_is_a_users_mistake(tiny_cifar):
    folder = tiny_cifar.parquet_folder("PNG")
    next(folder.glob("train-*")).write_bytes(b"not parquet")
    with pytest.raises(UserError, match="not a readable parquet file"):
        load_images(folder)


def test_broken_image_in_parquet_names_file_and_row(tiny_cifar):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = tiny_cifar.parquet_folder("PNG")
    file = next(folder.glob("test-*"))
    parquet.write_table(arrow.table({"img": [{"bytes": b"\x89PNG", "path": "x.png"}], "label": [1]}), file)
    with pytest.raises(UserError, match=r"test-00000-of-00001\.parquet: row 0: not a readable image"):
        load_images(folder)


def test_label_out_of_range_in_parquet_names_the_row(tiny_cifar):
    tiny_cifar.labels["test_batch"][1] = 77
    with pytest.raises(UserError, match="row 1: label 77 is not one of 0 to 9"):
        load_images(tiny_cifar.parquet_folder("PNG"))


def test_tar_that_is_not_compressed_is_checked_by_the_files_in_it(tiny_cifar, tmp_path):
    folder = tiny_cifar.binary_folder()
    sums = {f"{folder.name}/{file.name}": hashlib.md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    sums["cifar-10-binary.tar.gz"] = "0" * 32  # of the compressed archive, which a browser has unpacked
    plain = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(plain, "w") as tar:
        tar.add(folder, folder.name)
    _as_published(tiny_cifar, load_images(plain, sums=sums))
    sums[f"{folder.name}/test_batch.bin"] = "0" * 32
    with pytest.raises(UserError, match=r"MD5 is .* and it holds a tar archive that is not compressed") as caught:
        load_images(plain, sums=sums, cache_dir=tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_archive_is_known_by_its_content_whatever_its_name(tiny_cifar):
    archive = tiny_cifar.archive(tiny_cifar.binary_folder(), "download")
    _as_published(tiny_cifar, load_images(archive, sums={}))


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", r"not an archive, it holds a web page \(HTML\)"),
        (b"PK\x03\x04" + b"\0" * 100, "not an archive, it holds a zip archive"),
        (b"", "not an archive, it holds nothing: it is empty"),
    ],
)
def test_file_that_is_no_archive_says_what_was_seen(tmp_path, content, seen):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(content)
    with pytest.raises(UserError, match=seen):
        load_images(tmp_path / "cifar-10-python.tar.gz")


def test_archive_that_unpacks_to_too_much_is_refused(tiny_cifar, monkeypatch):
    monkeypatch.setattr("normlab.data.image.cifar._MOST_BYTES", 20_000)
    with pytest.raises(UserError, match="unpacks to more than 20,000 bytes"):
        load_images(tiny_cifar.archive(tiny_cifar.binary_folder(), "x.tar.gz"), sums={})
