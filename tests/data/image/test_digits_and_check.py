from __future__ import annotations

import json

import numpy as np
import pytest

from normlab.data.check import check
from normlab.data.image.images import load_images
from normlab.errors import UserError


def test_digits_are_the_same_everywhere():
    # Part of what the data set is: if this changes, results on it are not comparable with earlier ones.
    assert load_images("digits").fingerprint == "48fed11df019bcf7"


def test_digits_have_every_image_of_scikit_learn_once():
    from sklearn.datasets import load_digits

    dataset = load_images("digits")
    assert dataset.images["train"].shape == (1438, 3, 32, 32)
    assert dataset.images["test"].shape == (359, 3, 32, 32)
    labels = np.concatenate([dataset.labels["train"], dataset.labels["test"]])
    assert np.array_equal(np.bincount(labels), np.bincount(load_digits().target))
    assert len({image.tobytes() for split in ("train", "test") for image in dataset.images[split]}) == 1797


def test_digits_keep_their_labels_and_are_enlarged_bilinearly_and_grey():
    from sklearn.datasets import load_digits

    dataset = load_images("digits", size=8)
    bunch = load_digits()
    originals = [np.round(image * 255 / 16).astype(np.uint8).tobytes() for image in bunch.images]
    target = dict(zip(originals, bunch.target.tolist(), strict=True))
    for split in ("train", "test"):
        assert [target[image[0].tobytes()] for image in dataset.images[split]] == dataset.labels[split].tolist()
    large = load_images("digits")
    assert large.images["test"].shape[2:] == (32, 32)
    # Pixel 3 lies 3/8 of the way from the middle of the first original pixel to that of the second.
    small, big = (d.images["test"][:, 0].astype(float) for d in (dataset, large))
    assert np.abs(big[:, 0, 3] - (0.625 * small[:, 0, 0] + 0.375 * small[:, 0, 1])).max() <= 1.0
    for d in (dataset, large):
        assert np.array_equal(d.images["train"][:, 0], d.images["train"][:, 2])


def test_share_of_every_digit_is_kept():
    dataset = load_images("digits")
    share = np.bincount(dataset.labels["test"]) / (
        np.bincount(dataset.labels["test"]) + np.bincount(dataset.labels["train"])
    )
    assert np.abs(share - 0.2).max() < 0.01


def test_check_counts_classes_and_can_be_written_as_json(tiny_cifar):
    found = check(tiny_cifar.parquet_folder("PNG"))
    assert found["kind"] == "parquet"
    assert found["counts"] == {"train": 20, "test": 4}
    assert sum(found["per_class"]["train"].values()) == 20
    assert found["per_class"]["test"]["cat"] == tiny_cifar.all_labels("test").count(3)
    assert found["sums"] == "none published for this form"
    assert json.loads(json.dumps(found)) == found


def test_check_tells_what_was_left_out(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(3):
            image.new("RGB", (8, 8)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "labels.csv").write_text("1,2")
    assert check(tmp_path)["notes"][-1] == "left out 1 file: .csv 1 (labels.csv)"


def test_check_refuses_a_wrong_sum_even_when_the_data_are_cached(tiny_cifar):
    folder = tiny_cifar.binary_folder()
    load_images(folder, sums={})
    with pytest.raises(UserError, match=r"data_batch_1\.bin: MD5 is"):
        check(folder)


def test_check_counts_the_rows_of_a_csv(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text((",".join(["7"] * 3072) + "\n") * 2)
    assert check(path) == {"kind": "images without labels (CSV)", "rows": 2}
