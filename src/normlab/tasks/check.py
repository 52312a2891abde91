"""The contract of a task, as a function that authors of new ones can call in their tests.

`check_task` prepares the data of a small configuration, trains two steps, resumes after the first one, evaluates and
predicts, on the CPU in float32. It leaves the global random state alone and names the broken clause in an
AssertionError.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from normlab import metrics
from normlab.plurals import plural
from normlab.tasks.base import Evaluation, Placement, Task

_CPU = Placement(torch.device("cpu"))
_STEP = 0.01  # learning rate of the check's plain SGD
_CLOCK = ("seconds", "per_second")  # units of metrics that differ between two measurements


def check_task(task: Task, config: Any, inputs: Any = None) -> None:
    """Raise AssertionError, saying what is wrong, unless the task keeps the contract.

    Checked: `monitor` is a validation metric and the headline's direction is known; the card is plain JSON and the
        fingerprint is repeatable; an epoch's batches depend on seed and epoch alone, as many as `steps_per_epoch` says;
        the shares of two processes are the whole batch; two steps change the weights, and a model that is restored
        after the first ends with the same bits; `finalize_statistics` leaves the parameters alone; evaluation changes
        nothing, repeats its numbers, and measures declared metrics; a model that is rebuilt from configuration and
        card predicts the same.

    Args:
        task: an instance.
        config: of the task's configuration class: small data, at least two training steps, float32.
        inputs: what `predict` takes; None leaves prediction unchecked. It is read several times.
    """
    assert isinstance(task, Task), f"{type(task).__name__} is not a subclass of normlab.tasks.base.Task"
    with torch.random.fork_rng(devices=[]):
        _names_its_metrics(task)
        case = _Case(task, config, _described_data(task, config))
        for clause in (
            _repeats_its_batches,
            _shares_whole_batches,
            _resumes_with_the_same_bits,
            _keeps_parameters_when_it_finalizes,
            _evaluates_without_side_effects,
        ):
            clause(case)
        if inputs is not None:
            _predicts_the_same_when_rebuilt(case, inputs)


@dataclass(frozen=True)
class _Case:
    """A task with a configuration and its data."""

    task: Task
    config: Any
    data: Any

    def model(self) -> nn.Module:
        """Build the network from configuration and card; always with the same initial weights."""
        torch.manual_seed(0)
        return self.task.build(self.config, json.loads(json.dumps(self.data.card)))

    def batches(self, epoch: int, placement: Placement = _CPU) -> list[Any]:
        return list(self.task.train_batches(self.config, self.data, epoch, placement))

    def step(self, model: nn.Module, batch: Any, seed: int) -> None:
        """Make one step of plain SGD, with dropout drawn from `seed`."""
        torch.manual_seed(seed)
        model.train()
        output = self.task.loss(model, batch, self.config)
        assert output.loss.dim() == 0, f"loss: has shape {tuple(output.loss.shape)}, a scalar is needed"
        assert output.loss.requires_grad, "loss: has no graph: it must not be detached"
        assert math.isfinite(output.loss.item()), f"loss: is {output.loss.item()}"
        assert output.count > 0, f"loss: count is {output.count}, the number of the batch's examples is needed"
        with_graph = sorted(name for name, value in output.sums.items() if value.requires_grad)
        assert not with_graph, f"loss: the sums {with_graph} must be detached"
        model.zero_grad()
        output.loss.backward()
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        torch.optim.SGD(trainable, lr=_STEP).step()

    def evaluate(self, model: nn.Module, *, final: bool = False) -> Evaluation:
        model.eval()
        with torch.inference_mode():
            return self.task.evaluate(model, self.data, "val", self.config, _CPU, final=final)


def _names_its_metrics(task: Task) -> None:
    assert task.name, "name: is empty"
    assert task.monitor.startswith("val/"), f"monitor: '{task.monitor}' is not a metric of the validation split"
    for attribute, name in (("monitor", task.monitor), ("headline", task.headline)):
        assert metrics.has_direction(name), f"{attribute}: '{name}' is not declared, or neither side is better"


def _described_data(task: Task, config: Any) -> Any:
    data = task.prepare(config)
    assert json.loads(json.dumps(data.card)) == data.card, "prepare: the card is not plain JSON"
    assert isinstance(data.fingerprint, str), "prepare: the fingerprint is not text"
    assert data.fingerprint, "prepare: the fingerprint is empty"
    for split in ("train", "val"):
        assert data.sizes.get(split, 0) > 0, f"prepare: sizes has no examples of the split '{split}'"
    again = task.prepare(config)
    assert again.fingerprint == data.fingerprint, "prepare: the fingerprint differs between two calls"
    return data


def _repeats_its_batches(case: _Case) -> None:
    torch.manual_seed(0)
    batches = case.batches(1)
    steps = case.task.steps_per_epoch(case.config, case.data)
    assert len(batches) == steps, (
        f"train_batches: yields {plural(len(batches), 'batch', 'batches')}, steps_per_epoch says {steps}"
    )
    assert steps >= 2, f"config: has {plural(steps, 'training step')} in an epoch, this check needs two"
    other_epoch = case.batches(0)
    torch.manual_seed(1)
    message = "train_batches: depends on more than seed and epoch (torch's generator, or an earlier epoch)"
    assert _equal(batches, case.batches(1)), message
    assert not _equal(batches, other_epoch), "train_batches: two epochs have the same batches in the same order"


def _shares_whole_batches(case: _Case) -> None:
    if not case.task.shares_batches:
        return
    shares = [case.batches(0, Placement(_CPU.device, rank=rank, processes=2)) for rank in range(2)]
    model = case.model()
    batches = list(zip(case.batches(0), *shares, strict=True))
    for batch, *parts in (batches[0], batches[-1]):  # the last one may be smaller
        count, *counts = (case.task.loss(model, part, case.config).count for part in (batch, *parts))
        assert count == sum(counts), f"train_batches: shares of {counts} examples do not make up a batch of {count}"


def _resumes_with_the_same_bits(case: _Case) -> None:
    first, second = case.batches(0)[:2]
    straight = case.model()
    before = _copied(straight)
    case.step(straight, first, seed=1)
    saved = _copied(straight)
    case.step(straight, second, seed=2)
    assert not _equal(before, _copied(straight)), "loss: two steps change no parameter"
    resumed = case.model()
    resumed.load_state_dict(saved)
    case.step(resumed, second, seed=2)
    message = "build: a model restored from its state dict takes another step: it has state outside of the state dict"
    assert _equal(_copied(straight), _copied(resumed)), message


def _keeps_parameters_when_it_finalizes(case: _Case) -> None:
    model = case.model()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    case.task.finalize_statistics(model, case.data, case.config, _CPU)
    after = [parameter.detach() for parameter in model.parameters()]
    assert _equal(before, after), "finalize_statistics: changes parameters; only buffers may change"


def _evaluates_without_side_effects(case: _Case) -> None:
    model = case.model()
    before = _copied(model)
    evaluation = case.evaluate(model)
    unknown = sorted(name for name in evaluation.metrics if metrics.find(name) is None)
    assert not unknown, f"evaluate: the metrics {unknown} are not declared: see normlab.metrics.declare"
    monitored = evaluation.metrics.get(case.task.monitor.removeprefix("val/"))
    assert monitored is not None, f"evaluate: does not measure what `monitor` names, {case.task.monitor}"
    assert math.isfinite(monitored), f"evaluate: {case.task.monitor} is {monitored}"
    assert not model.training, "evaluate: leaves the model in training mode"
    final = case.evaluate(model, final=True)
    json.dumps(final.tables)
    lengths = {name: len(column) for name, column in final.predictions.items()}
    assert len(set(lengths.values())) <= 1, f"evaluate: columns of predictions differ in length: {lengths}"
    assert _equal(before, _copied(model)), "evaluate: changes the model"
    again = case.evaluate(model)
    assert _untimed(again) == _untimed(evaluation), "evaluate: two calls measure different numbers"


def _predicts_the_same_when_rebuilt(case: _Case, inputs: Any) -> None:
    model = case.model()
    case.step(model, case.batches(0)[0], seed=1)
    rebuilt = case.model()
    rebuilt.load_state_dict(_copied(model))
    card = json.loads(json.dumps(case.data.card))

    def predict(network: nn.Module) -> Any:
        return case.task.predict(network.eval(), inputs, case.config, card, _CPU)

    records = list(predict(model))
    assert records, "predict: yields no record"
    json.dumps(records)
    assert list(predict(rebuilt)) == records, "predict: a model rebuilt from configuration and card predicts otherwise"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "predictions.jsonl"
        written = case.task.write_predictions(predict(model), out, "auto", inputs)
        assert out.exists(), "write_predictions: writes no file"
    assert written == len(records), f"write_predictions: returns {written} for {len(records)} records"


def _untimed(evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics that do not depend on the clock."""
    units = {name: metrics.known(name).unit for name in evaluation.metrics}
    return {name: value for name, value in evaluation.metrics.items() if units[name] not in _CLOCK}


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _equal(one: Any, other: Any) -> bool:
    """Compare nested containers of tensors and plain values, bit by bit."""
    ones, others = tree_leaves(one), tree_leaves(other)
    return len(ones) == len(others) and all(
        torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in zip(ones, others, strict=True)
    )
