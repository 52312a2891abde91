"""Percentiles without keeping values, dead channels, gates: against numpy and against what a plain hook sees."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import normlab
from normlab.bench.image import evaluation, made_up_images
from normlab.bench.timing import Settings
from normlab.engine.layers import GradientNorms, weight_norms
from normlab.nn.resnet import ResNet
from normlab.norms.batch_instance import BatchInstanceNorm
from normlab.runs import RunFolder
from normlab.tasks.image.distributions import LayerWatch, PercentileSketch, gate_histograms
from normlab.tasks.image.distributions.sketch import count_patterns_plain

LEVELS = [0, 1, 20, 37.3, 80, 99, 100]


def numpys(values: Tensor) -> list[float]:
    return np.percentile(values.double().numpy(), LEVELS).tolist()


@settings(max_examples=80, deadline=None)
@given(
    parts=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    scale=st.floats(1e-6, 1e6),
    relu=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_percentiles_equal_numpys_of_the_very_values(parts: list[int], scale: float, relu: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batches = [(torch.randn(size, 3, generator=generator) * scale).bfloat16() for size in parts]
    batches = [batch.relu() for batch in batches] if relu else batches
    sketch = PercentileSketch()
    for batch in batches:
        sketch.update(batch)
    assert sketch.percentiles(LEVELS) == pytest.approx(numpys(torch.cat(batches)), rel=1e-12)
    assert sketch.count == 3 * sum(parts)
    assert not sketch.rounded


def test_float32_gives_the_percentiles_of_the_rounded_values_within_a_256th() -> None:
    values = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    sketch = PercentileSketch()
    sketch.update(values)
    assert sketch.rounded
    assert sketch.percentiles(LEVELS) == pytest.approx(numpys(values.bfloat16()), rel=1e-12)
    assert sketch.percentiles([1, 99]) == pytest.approx(np.percentile(values.numpy(), [1, 99]).tolist(), rel=2**-8)


def test_values_that_are_no_finite_numbers_are_treated_as_numpy_treats_them() -> None:
    sketch = PercentileSketch()
    sketch.update(torch.tensor([-torch.inf, 1.0, 2.0, torch.inf]).bfloat16())
    assert sketch.percentiles([0, 50, 100]) == [-np.inf, 1.5, np.inf]
    sketch.update(torch.tensor([torch.nan]).bfloat16())
    assert np.isnan(sketch.percentiles([50])).all()


def test_an_empty_sketch_has_no_percentiles_and_wrong_input_is_an_error() -> None:
    sketch = PercentileSketch()
    assert np.isnan(sketch.percentiles([50])).all()
    with pytest.raises(ValueError, match="0 to 100"):
        sketch.percentiles([101])
    with pytest.raises(ValueError, match="floating"):
        sketch.update(torch.arange(3))
    sketch.update(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="4 channels, but there were 3"):
        sketch.update(torch.zeros(2, 4))


def test_a_channel_is_dead_only_if_it_is_zero_in_every_update() -> None:
    sketch = PercentileSketch()
    first, second = torch.zeros(2, 2, 4, 3, 3)
    first[0, 1, 2, 2], second[1, 3, 0, 1] = 1e-20, -0.0
    sketch.update(first)
    sketch.update(second)
    assert sketch.dead_share == 0.75


def plain_activations(model: ResNet, images: Tensor) -> dict[str, Tensor]:
    """Compute every layer's output step by step, without the fused path."""
    found = {"conv": model.norm(model.conv(images)).relu()}
    x = found["conv"]
    for name, block in model.named_modules():
        if hasattr(block, "conv2"):
            found[f"{name}.conv1"] = hidden = block.norm1(block.conv1(x)).relu()
            found[f"{name}.conv2"] = x = (block.norm2(block.conv2(hidden)) + block.shortcut(x)).relu()
    return found


@pytest.mark.parametrize("norm", ["torch_batch", "batch", "instance", "batch_instance", "layer", "group", "none"])
def test_the_watch_sees_every_layer_and_changes_nothing(norm: str) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"groups": 4} if norm == "group" else {}
    model = ResNet(2, 10, norm, **options).eval()
    with torch.no_grad():
        model.get_submodule("stages.1.0.conv1").weight[3:7] = 0.0  # dead where a channel is normalised alone
    images = torch.randn(6, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = model(images)
        with LayerWatch(model, (1, 20, 80, 99)) as watch:
            logits = [model(half) for half in images.split(3)]
        unwatched = model(images)
    activations = plain_activations(model, images)
    found = watch.summary()
    assert list(found) == list(activations)
    assert len(found) == 13
    torch.testing.assert_close(torch.cat(logits), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(unwatched, expected)
    assert all(sketch.count == activations[layer].numel() for layer, sketch in watch.sketches.items())
    for layer, values in activations.items():
        levels = np.percentile(values.detach().double().numpy(), [1, 20, 80, 99]).tolist()
        assert [found[layer][f"p{level:02d}"] for level in (1, 20, 80, 99)] == pytest.approx(levels, rel=0.01, abs=1e-4)
        dead = (values == 0).all(0).flatten(1).all(1).double().mean()
        assert found[layer]["dead"] == pytest.approx(float(dead))
    if norm not in ("layer", "group"):
        assert found["stages.1.0.conv1"]["dead"] >= 4 / 32
    total = sum(int((values == 0).all(0).flatten(1).all(1).sum()) for values in activations.values())
    assert watch.dead_share == pytest.approx(total / sum(values.shape[1] for values in activations.values()))
    assert ("gate" in found["conv"]) == (norm == "batch_instance")


def test_gates_are_counted_in_ten_bins_with_those_at_the_bounds_apart() -> None:
    model = nn.Sequential(BatchInstanceNorm(4))
    model[0].gate.data = torch.tensor([-0.3, 0.05, 0.95, 1.0])  # projected on use
    found = gate_histograms(model)["0"]
    assert found == {"gate": [2, 0, 0, 0, 0, 0, 0, 0, 0, 2], "gate_at_0": 1, "gate_at_1": 1}


def test_gradient_norms_are_means_over_the_steps_since_the_last_reading() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    norms, expected = GradientNorms(model), []
    for step in range(3):
        model.zero_grad()
        model(torch.randn(5, 3, generator=torch.Generator().manual_seed(step))).square().sum().backward()
        norms.look()
        expected.append([model[0].weight.grad.norm().item(), model[2].weight.grad.norm().item()])
    found = norms.read()
    assert list(found) == ["0", "2"]
    assert [found[name]["gradient_norm"] for name in ("0", "2")] == pytest.approx(np.mean(expected, 0).tolist())
    assert norms.read() == {}


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_layer_has_an_effective_rate_only_where_its_scale_does_not_matter(norm: str) -> None:
    torch.manual_seed(0)
    model = ResNet(1, 10, norm).train()
    images = torch.randn(8, 3, 8, 8)
    found = weight_norms(model, lr=0.1)
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert list(found) == layers
    assert len(layers) > 6
    for name, values in found.items():
        weight = model.get_submodule(name).weight
        assert values["weight_norm"] == pytest.approx(weight.norm().item())
        with torch.no_grad():
            before = model(images)
            weight.mul_(2)
            unchanged = torch.allclose(model(images), before, rtol=1e-2, atol=1e-3)
            weight.div_(2)
        assert unchanged == ("effective_lr" in values), name
        if unchanged:
            assert values["effective_lr"] == pytest.approx(0.1 / weight.square().sum().item())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("distributions") / "run"
    return normlab.train("image", preset="smoke", norm="batch_instance", limit_train=320, out=path)


def test_a_run_records_every_layer_after_each_epoch(run: Any) -> None:
    records = RunFolder(run.path).layers()
    assert [record["epoch"] for record in records] == [1, 2]
    layers = records[-1]["layers"]
    assert set(layers["stages.0.0.conv1"]) == {
        "p01", "p20", "p80", "p99", "dead", "gate", "gate_at_0", "gate_at_1", "gradient_norm", "weight_norm",
        "effective_lr",
    }  # fmt: skip
    assert set(layers["linear"]) == {"gradient_norm", "weight_norm"}
    assert layers["penultimate"]["p99"] == run.metrics[-1]["features/p99"]
    assert sum(layers["conv"]["gate"]) == 16
    assert run.result["tables"]["test"]["layers"].keys() >= {"conv", "penultimate"}
    spread = run.metrics[-1]["features/p99"] - run.metrics[-1]["features/p01"]
    assert run.metrics[-1]["val/penultimate_spread"] == pytest.approx(spread)
    assert {"test/penultimate_spread", "test/dead_channels"} <= run.result["metrics"].keys()


@pytest.mark.parametrize("wanted", ["off", "penultimate"])
def test_less_is_recorded_when_less_is_asked_for_and_training_is_the_same(
    wanted: str, run: Any, tmp_path: Path
) -> None:
    config = {"preset": "smoke", "norm": "batch_instance", "limit_train": 320, "distributions": wanted}
    less = normlab.train("image", **config, out=tmp_path / "run")
    assert not (less.path / "layers.jsonl").exists()
    assert ("features/p99" in less.metrics[-1]) == (wanted == "penultimate")
    assert "val/dead_channels" not in less.metrics[-1]
    assert less.result["config_hash"] == run.result["config_hash"]
    for name in ("val/loss", "val/accuracy", "train/online_loss"):
        assert less.metrics[-1][name] == run.metrics[-1][name]


def test_records_that_a_checkpoint_does_not_know_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for epoch in (1, 2, 3):
        folder.append_metrics({"epoch": epoch})
        folder.append_layers({"epoch": epoch, "layers": {"conv": {"p99": float("nan"), "gate": [1, 2]}}})
    folder.keep_metrics(2)
    assert [record["epoch"] for record in folder.layers()] == [1, 2]
    assert json.loads((tmp_path / "layers.jsonl").read_text().splitlines()[0])["layers"]["conv"]["p99"] is None


def test_tensorboard_gets_every_layers_scalars(run: Any) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    names = set(events.Tags()["scalars"])
    assert {"layers/conv/p99", "layers/conv/gate/9", "layers/linear/gradient_norm", "val/penultimate_spread"} <= names


def test_the_plain_reference_copies_no_map_that_is_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randn(2, 16, 8, 8).bfloat16().contiguous(memory_format=torch.channels_last)
    seen = []
    flatten = Tensor.flatten
    monkeypatch.setattr(Tensor, "flatten", lambda self, *args: seen.append(flatten(self, *args)) or seen[-1])
    count_patterns_plain(values, torch.zeros(1 << 16, dtype=torch.int64), torch.zeros(16, dtype=torch.bool))
    assert [tensor.data_ptr() for tensor in seen] == [values.data_ptr()]


def test_a_sparse_gradients_norm_counts_a_repeated_row_once() -> None:
    tables = [nn.Embedding.from_pretrained(torch.ones(5, 3), freeze=False, sparse=sparse) for sparse in (True, False)]
    norms = []
    for table in tables:
        watched = GradientNorms(table)
        table(torch.tensor([1, 1, 4])).square().sum().backward()
        watched.look()
        norms += [entry["gradient_norm"] for entry in watched.read().values()]
    assert norms[0] == pytest.approx(norms[1])


@pytest.fixture
def evaluations() -> Iterator[dict[str, Callable[[], object]]]:
    """Return evaluations of a ResNet-14 on 1,024 images, by what they record; one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data, settings = made_up_images(), Settings(threads=1)
    yield {record: evaluation(record, data, settings) for record in ("off", "all")}
    torch.set_num_threads(threads)


def test_every_layers_percentiles_take_a_fifth_of_the_evaluations_memory_at_most(
    evaluations: dict[str, Callable[[], object]],
) -> None:
    peaks = {}
    for record, evaluate in evaluations.items():
        evaluate()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            evaluate()
        changes = [event.nbytes() for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
        peaks[record] = max(itertools.accumulate(changes))
    assert peaks["all"] <= 1.2 * peaks["off"]
