"""Splits and batches of the image task: disjoint, paired, the same pictures whatever the batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normlab
from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.tasks.base import Placement, StepOutput
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.data import Batch, ImageData, evaluation_batches, prepare, training_batches
from normlab.tasks.image.task import ImageTask

CPU = Placement(torch.device("cpu"))
CONFIG = ImageConfig(data="digits", batch_size=100)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return prepare(CONFIG)


def test_training_and_validation_are_disjoint_parts_of_the_training_split(data: ImageData) -> None:
    train, val = (set(data.rows[split][1].tolist()) for split in ("train", "val"))
    assert not train & val
    assert len(train | val) == len(data.labels["train"])
    assert data.rows["test"][0] == "test"


def test_validation_is_drawn_by_the_seed(data: ImageData) -> None:
    again, other = prepare(CONFIG), prepare(CONFIG.with_values("x", seed=1))
    assert torch.equal(again.rows["val"][1], data.rows["val"][1])
    assert not torch.equal(other.rows["val"][1], data.rows["val"][1])


def test_mean_and_deviation_are_those_of_the_training_part_alone(data: ImageData) -> None:
    source, rows = data.rows["train"]
    pixels = data.images[source][rows].double() / 255
    assert data.card["mean"] == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert data.card["std"] == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist())


def test_every_training_image_is_seen_once_an_epoch_and_the_last_batch_is_smaller(data: ImageData) -> None:
    batches = list(training_batches(CONFIG, data, 0, CPU))
    assert [len(batch.labels) for batch in batches][:-1] == [100] * (len(batches) - 1)
    assert sum(len(batch.labels) for batch in batches) == data.sizes["train"]
    seen = torch.cat([batch.labels for batch in batches])
    expected = data.labels["train"][data.rows["train"][1]]
    assert torch.equal(seen.bincount(), expected.bincount())


def test_batches_are_a_function_of_seed_and_epoch(data: ImageData) -> None:
    first, again, later = (next(training_batches(CONFIG, data, epoch, CPU)) for epoch in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, later.images)


def test_an_image_meets_the_same_crop_whatever_the_batch_size(data: ImageData) -> None:
    def epoch(batch_size: int) -> torch.Tensor:
        config = CONFIG.with_values("x", batch_size=batch_size, rotation=10.0)
        return torch.cat([batch.images for batch in training_batches(config, data, 1, CPU)])

    assert torch.equal(epoch(8), epoch(128))


def test_schemes_train_on_the_same_crops_and_flips_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches the loss, step by step: no scheme's layers or parameters shift another draw."""
    met: dict[str, list[tuple[Tensor, Tensor]]] = {}

    loss = ImageTask.loss

    def listening(self: ImageTask, model: nn.Module, batch: Batch, config: ImageConfig) -> StepOutput:
        met.setdefault(config.norm, []).append((batch.images.clone(), batch.labels.clone()))
        return loss(self, model, batch, config)

    monkeypatch.setattr(ImageTask, "loss", listening)
    settings = {"data": "digits", "n": 1, "epochs": 2, "limit_train": 100, "validation": 50, "batch_size": 32}
    settings |= {"image_size": 8, "pad": 1, "distributions": "off", "train_metrics": "end"}
    for norm in NORMS:
        normlab.train("image", norm=norm, seed=3, out=tmp_path / norm, **settings)
    reference = met.pop("torch_batch")
    assert len(reference) == 2 * 4
    assert not torch.equal(reference[0][0], reference[4][0])
    for norm, steps in met.items():
        for (images, labels), (expected, classes) in zip(steps, reference, strict=True):
            assert torch.equal(images, expected), norm
            assert torch.equal(labels, classes), norm
    assert set(met) == set(NORMS) - {"torch_batch"}


def test_evaluation_never_augments(data: ImageData) -> None:
    batch = next(evaluation_batches(CONFIG, data, "train", CPU))
    source, rows = data.rows["train"]
    pixels = data.images[source][rows[: len(batch.labels)]].double() / 255
    mean, std = (torch.tensor(data.card[name]).view(-1, 1, 1) for name in ("mean", "std"))
    assert torch.allclose(batch.images.double(), (pixels - mean) / std, atol=1e-5)


def test_a_subset_is_drawn_by_seed_and_leaves_validation_alone(data: ImageData) -> None:
    small = prepare(CONFIG.with_values("x", limit_train=50))
    assert small.sizes["train"] == 50
    assert torch.equal(small.rows["val"][1], data.rows["val"][1])
    assert set(small.rows["train"][1].tolist()) < set(data.rows["train"][1].tolist())


@pytest.mark.parametrize("more", [0, 100000])
def test_a_validation_part_that_leaves_nothing_is_refused(data: ImageData, more: int) -> None:
    with pytest.raises(UserError, match=r"validation: .*leaves"):
        prepare(CONFIG.with_values("x", validation=len(data.labels["train"]) + more))


def test_labels_match_images(data: ImageData) -> None:
    """The same picture is found under the same label through a batch as in the raw arrays."""
    batch = next(evaluation_batches(CONFIG, data, "test", CPU))
    assert np.array_equal(batch.labels.numpy(), data.labels["test"][: len(batch.labels)].numpy())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_one_pass_kernel_makes_the_batches_of_the_plain_path(
    data: ImageData, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from normlab.kernels.augment import AUGMENT

    if AUGMENT.reason_against_cpu():
        pytest.skip("no C++ compiler here: there is no kernel to compare")
    placement = Placement(torch.device("cpu"), precision)
    fast = next(training_batches(CONFIG, data, 0, placement))
    monkeypatch.setattr(AUGMENT, "try_call", lambda *_, **__: None)
    plain = next(training_batches(CONFIG, data, 0, placement))
    assert fast.images.dtype == plain.images.dtype
    assert fast.images.stride() == plain.images.stride()
    assert torch.equal(fast.labels, plain.labels)
    assert torch.allclose(fast.images.float(), plain.images.float(), atol=1e-6 if precision == "float32" else 2e-2)
