"""Folds, stratified validation and class weights of image runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from normlab.data.split import stratified_folds
from normlab.errors import UserError
from normlab.tasks.base import Placement
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.data import Batch, ImageData, evaluation_batches, prepare, training_batches
from normlab.tasks.image.network import build_network
from normlab.tasks.image.splits import balanced_weights
from normlab.tasks.image.task import TASK

Image = pytest.importorskip("PIL.Image")
CPU = Placement(torch.device("cpu"))
COUNTS = {"rare": 10, "some": 15, "many": 30}  # sorted: many, rare, some


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of classes of unequal sizes; each image has a red of its own."""
    red = 0
    for name, count in COUNTS.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (32, 32), (red, 0, 0)).save(tmp_path / "set" / name / f"{number:02}.png")
            red += 1
    return tmp_path / "set"


def _prepare(folder: Path, **settings) -> ImageData:
    return prepare(ImageConfig(data=str(folder), **settings))


def _reds(data: ImageData, split: str) -> set[int]:
    source, rows = data.rows[split]
    return set(data.images[source][rows][:, 0, 0, 0].tolist())


def _per_class(data: ImageData, split: str) -> list[int]:
    source, rows = data.rows[split]
    return torch.bincount(data.labels[source][rows], minlength=3).tolist()


def test_seeds_of_a_round_test_each_image_once(folder):
    tested = [_reds(_prepare(folder, folds=5, seed=seed), "test") for seed in range(5)]
    assert sum(map(len, tested)) == 55
    assert set().union(*tested) == set(range(55))
    again = [_reds(_prepare(folder, folds=5, seed=seed), "test") for seed in range(5, 10)]
    assert set().union(*again) == set(range(55))
    assert set(map(frozenset, tested)).isdisjoint(map(frozenset, again))


def test_parts_of_a_fold_are_disjoint_and_hold_every_class_in_proportion(folder):
    data = _prepare(folder, folds=5, seed=3)
    parts = [_reds(data, split) for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 55
    assert _per_class(data, "test") == [6, 2, 3]
    assert _per_class(data, "val") == [5, 2, 2]
    assert data.card["notes"][-1] == "set: fold 4 of 5: tested on 11 of the training images"


def test_schemes_under_one_seed_have_the_same_fold(folder):
    first, other = (_prepare(folder, folds=5, seed=2, norm=norm) for norm in ("batch", "group"))
    assert all(torch.equal(first.rows[split][1], other.rows[split][1]) for split in ("train", "val", "test"))


def test_given_test_images_are_left_alone_and_the_fold_is_validation():
    digits = [prepare(ImageConfig(data="digits", folds=4, seed=seed)) for seed in range(4)]
    assert all(data.rows["test"][0] == "test" and data.sizes["test"] == 359 for data in digits)
    held = torch.cat([data.rows["val"][1] for data in digits])
    assert torch.equal(held.sort()[0], torch.arange(1438))
    assert "fold 1 of 4: validated on" in digits[0].card["notes"][-1]


def test_nothing_to_fold_is_refused(folder):
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            target = folder.parent / "given" / split / name
            target.mkdir(parents=True)
            Image.new("RGB", (32, 32), (3, 0, 0)).save(target / "1.png")
    with pytest.raises(UserError, match="has validation and test images of its own, so there is nothing to fold"):
        _prepare(folder.parent / "given", folds=2)
    with pytest.raises(UserError, match="folds: 60 of 55 images: give fewer folds"):
        _prepare(folder, folds=60)


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_of_each_class_and_of_all_differ_by_at_most_one(folds):
    labels = np.repeat([5, 2, 9], [11, 4, 23])
    fold_of = stratified_folds(labels, folds, seed=1)
    for chosen in (labels >= 0, labels == 5, labels == 2, labels == 9):
        counts = np.bincount(fold_of[chosen], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_stratified_validation_has_every_class_in_proportion(folder):
    for seed in range(5):
        data = _prepare(folder, stratified=True, seed=seed)
        assert _per_class(data, "val") == [5, 2, 3]  # a fifth of the 25, 8 and 13 that were not drawn for testing
    random = {tuple(_per_class(_prepare(folder, seed=seed), "val")) for seed in range(5)}
    assert len(random) > 1


def test_balanced_weights_give_every_class_the_same_sum():
    labels = np.repeat([0, 1, 3], [10, 15, 30])
    weights = balanced_weights(labels, 4)
    assert weights == pytest.approx([55 / 30, 55 / 45, 0, 55 / 90])
    assert np.bincount(labels, np.array(weights)[labels], minlength=4) == pytest.approx([55 / 3, 55 / 3, 0, 55 / 3])


def test_weights_count_in_the_training_loss_only(folder):
    config = ImageConfig(data=str(folder), class_weights="balanced", batch_size=16, label_smoothing=0.1)
    data = prepare(config)
    model = build_network(config, data.card)
    batch = next(training_batches(config, data, 0, CPU))
    expected = torch.tensor(balanced_weights(np.repeat([0, 1, 2], _per_class(data, "train")), 3))
    assert torch.allclose(batch.weights, expected[batch.labels])
    losses = F.cross_entropy(model(batch.images), batch.labels, reduction="none", label_smoothing=0.1)
    assert TASK.loss(model, batch, config).loss.item() == pytest.approx(
        (losses * batch.weights).mean().item(), rel=1e-4
    )
    assert all(other.weights is None for other in evaluation_batches(config, data, "val", CPU))


def test_an_image_counts_the_same_whatever_shares_its_batch(folder):
    config = ImageConfig(data=str(folder), class_weights="balanced", batch_size=32, norm="none")
    data = prepare(config)
    model = build_network(config, data.card)
    batch = next(training_batches(config, data, 0, CPU))
    assert batch.weights is not None
    halves = [Batch(batch.images[part], batch.labels[part], batch.weights[part]) for part in (slice(16), slice(16, 32))]
    whole = TASK.loss(model, batch, config).loss.item()
    assert np.mean([TASK.loss(model, half, config).loss.item() for half in halves]) == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize(("background", "expected"), [("#102030", 16), ("black", 0), ("auto", 255)])
def test_the_background_of_training_is_that_of_prediction(folder, background, expected):
    for file in folder.rglob("*.png"):
        Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(file)
    config = ImageConfig(data=str(folder), background=background)
    data = prepare(config)
    assert _reds(data, "train") == {expected}
    assert data.card.get("background", "auto") == background
    model = build_network(config, data.card).eval()
    record = next(TASK.predict(model, next(folder.rglob("*.png")), config, data.card, CPU))
    shown = "white" if background == "auto" else background
    assert record["changed"] == f"transparency laid over {shown}"


def test_a_background_that_is_no_colour_is_refused():
    with pytest.raises(UserError, match="background: must be auto, white, black, grey, or red, green and blue as"):
        ImageConfig.parse({"background": "#12345"}, "command line")
