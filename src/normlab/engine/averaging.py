"""Averaged weights: measured and saved, while training goes on with the weights that the optimiser moves.

The iterates of stochastic gradient descent circle around what they look for; their mean lies nearer to it (Polyak &
Juditsky 1992; for networks Izmailov et al. 2018, arXiv 1803.05407). An exponential moving average forgets the early
ones. `torch.optim.swa_utils` has the formula, which is used here; its `AveragedModel` would read a counter of the
device at each step, and copy frozen tables that never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from normlab.config import TrainConfig


class WeightAverage:
    """An exponential moving average of all that training moves in a model, kept beside it.

    a_t = d_t a_(t-1) + (1 - d_t) w_t with d_t = min(decay, (1 + t) / (10 + t)), a_0 the initial weights: the average
    reaches back over about a ninth of the steps so far until that is as far as the decay does, so the first weights
    lose their say early (as in TensorFlow's `tf.train.ExponentialMovingAverage`).

    Averaged are the trainable parameters and, with the same weights, the running statistics of batch norms. Those of
    the last steps describe networks scattered around the averaged one; to first order their mean describes it, and
    what the newest of them says alone does not. `bn_statistics: precise` measures them anew under averaged weights.

    It is kept outside of the recorded step of `engine.graphs`, because d_t changes; nothing waits for the device.

    Args:
        model: on its device already; its tensors have to stay where they are.
        decay: the largest d; None for no average, then every method does nothing.
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self._decay = decay
        self._moving: dict[str, Tensor] = {} if decay is None else _moving_tensors(model)
        self._counts = [count for name, count in model.named_buffers() if name.endswith("num_batches_tracked")]
        self.tensors = {name: tensor.detach().clone() for name, tensor in self._moving.items()}

    @property
    def on(self) -> bool:
        """Whether there is an average."""
        return self._decay is not None

    def update(self, step: int) -> None:
        """Take in the weights after a step of the run, counted from 1."""
        if self._decay is None:
            return
        decay = decay_at(step, self._decay)
        get_ema_multi_avg_fn(decay)(list(self.tensors.values()), list(self._moving.values()), None)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within the block the model holds the averages; after it, its own values to the bit.

        What the block does to averaged tensors, statistics measured anew say, is done to the average. Values are
        exchanged, not tensors: optimiser, recorded steps and wrappers know the model's by their address.
        """
        if not self.on:
            yield
            return
        counts = [count.clone() for count in self._counts]
        self._exchange()
        try:
            yield
        finally:
            self._exchange()
            for count, kept in zip(self._counts, counts, strict=True):
                count.copy_(kept)

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, tensor in self._moving.items():
            average = self.tensors[name]
            kept = tensor.detach().clone()
            tensor.copy_(average)
            average.copy_(kept)


def weight_average(model: nn.Module, config: TrainConfig, *, wanted: bool = True) -> WeightAverage:
    """Return the average that a configuration asks for; none if this process has no use for it."""
    return WeightAverage(model, config.average_decay if wanted and config.average == "ema" else None)


def decay_at(step: int, decay: float) -> float:
    """Return how much of the average a step keeps."""
    return min(decay, (1 + step) / (10 + step))


def _moving_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return trainable parameters and running statistics by name; other buffers are constants."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    running = {name: buffer for name, buffer in model.named_buffers() if name.rpartition(".")[2].startswith("running_")}
    return {**parameters, **running}
