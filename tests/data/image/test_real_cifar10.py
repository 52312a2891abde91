from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from normlab.data.check import check
from normlab.data.image.images import ImageDataset, load_images
from normlab.data.image.prediction import read_images_for_prediction
from normlab.data.split import channel_statistics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cifar10(shared_data: Path, cache: Path) -> ImageDataset:
    pytest.importorskip("pyarrow")
    pytest.importorskip("PIL")
    return load_images(shared_data / "cifar10", cache_dir=cache)


def test_folder_and_its_subfolder_are_the_same_data(cifar10, shared_data, cache):
    again = load_images(shared_data / "cifar10" / "plain_text", cache_dir=cache)
    assert again.fingerprint == cifar10.fingerprint
    assert cifar10.name == again.name == "cifar10"
    assert cifar10.fingerprint == "2e44d67daf2d2cc1"  # runs that were begun are resumed with these very data


def test_another_size_is_still_known(shared_data, cache):
    assert load_images(shared_data / "cifar10" / "plain_text", size=8, cache_dir=cache).name == "cifar10"


def test_every_class_has_6000_images(cifar10):
    for split, count in (("train", 5000), ("test", 1000)):
        assert np.bincount(cifar10.labels[split]).tolist() == [count] * 10


def test_first_hundred_test_images_equal_the_csv(cifar10, shared_data):
    rows = list(read_images_for_prediction(shared_data / "course" / "cifar_test.csv", size=32))
    assert np.array_equal(np.stack([image for _, image in rows]), cifar10.images["test"][:100])


def test_channel_statistics_are_the_true_ones_of_cifar10(cifar10):
    mean, std = channel_statistics(cifar10.images["train"], np.arange(50_000))
    assert mean.round(4).tolist() == [0.4914, 0.4822, 0.4465]
    assert std.round(4).tolist() == [0.2470, 0.2435, 0.2616]


def test_binary_files_made_from_it_have_the_published_sums_and_fingerprint(cifar10, cache, tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, split, start in [(f"data_batch_{n + 1}", "train", n * 10_000) for n in range(5)] + [
        ("test_batch", "test", 0)
    ]:
        part = slice(start, start + 10_000)
        labels = cifar10.labels[split][part, None].astype(np.uint8)
        pixels = cifar10.images[split][part].reshape(-1, 3072)
        (folder / f"{name}.bin").write_bytes(np.hstack([labels, pixels]).tobytes())
    found = check(folder, cache_dir=cache)
    assert found["fingerprint"] == cifar10.fingerprint
    assert found["sums"].count(".bin") == 6
