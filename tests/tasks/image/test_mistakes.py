"""The misclassified images that a run keeps."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import normlab
from normlab.data.image.png import png_bytes
from normlab.tasks.image.data import ImageData
from normlab.tasks.image.mistakes import LARGEST, MOST, confident_mistakes


def image_data(count: int, side: int = 8) -> ImageData:
    pixels = torch.randint(0, 256, (count + 2, 3, side, side), dtype=torch.uint8, generator=torch.Generator())
    numbers = torch.arange(2, count + 2)  # the split's first image is the source's third
    return ImageData({}, "", {"test": count}, {"all": pixels}, {}, {"test": ("all", numbers)})


def decoded(png: bytes) -> np.ndarray:
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png))
    assert image.mode == "RGB"
    return np.asarray(image).transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (32, 32)])
def test_png_holds_the_same_pixels(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, *size), dtype=np.uint8)
    assert (decoded(png_bytes(pixels)) == pixels).all()


def test_mistakes_are_sorted_by_the_probability_of_the_wrong_class() -> None:
    logits = torch.tensor([[5.0, 0.0], [0.0, 1.0], [0.0, 4.0], [2.0, 0.0]])
    labels = torch.tensor([0, 0, 0, 1])  # the first is right
    found = confident_mistakes(image_data(4), "test", labels, logits)
    assert [each["index"] for each in found] == [2, 3, 1]
    assert [(each["label"], each["prediction"]) for each in found] == [(0, 1), (1, 0), (0, 1)]
    assert found[0]["probability"] == pytest.approx(float(logits[2].softmax(0)[1]), abs=1e-6)


def test_a_mistake_has_the_pixels_of_its_image() -> None:
    data = image_data(4)
    found = confident_mistakes(data, "test", torch.zeros(4, dtype=torch.int64), torch.tensor([[0.0, 1.0]] * 4))
    assert [each["index"] for each in found] == [0, 1, 2, 3]  # equal probabilities keep the order of the split
    for each in found:
        expected = data.images["all"][each["index"] + 2].numpy()
        assert (decoded(base64.b64decode(each["png"])) == expected).all()


def test_the_number_and_the_size_of_kept_images_are_bounded() -> None:
    many = torch.tensor([[0.0, 1.0]] * 100)
    labels = torch.zeros(100, dtype=torch.int64)
    assert len(confident_mistakes(image_data(100), "test", labels, many)) == MOST
    assert confident_mistakes(image_data(2, LARGEST + 1), "test", labels[:2], many[:2]) == []


def test_a_run_keeps_its_mistakes_beside_its_predictions(tmp_path: Path) -> None:
    run = normlab.train("image", preset="smoke", out=tmp_path / "run", epochs=1)
    content = json.loads((tmp_path / "run" / "predictions" / "wrong.json").read_text())
    assert content["split"] == "test"
    assert 0 < len(content["images"]) <= MOST
    rows = (tmp_path / "run" / "predictions" / "test.csv").read_text().splitlines()[1:]
    for each in content["images"]:
        label, prediction, _ = rows[each["index"]].split(",")
        assert (int(label), int(prediction)) == (each["label"], each["prediction"])
    assert "wrong" not in json.dumps(run.result)
