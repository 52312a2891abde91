"""Averaged weights: measured and saved, while training continues with the weights that the optimiser updates.

The iterates of stochastic gradient descent scatter around a minimum, and their mean is closer to it (Polyak & Juditsky
1992; for networks Izmailov et al. 2018, arXiv 1803.05407). An exponential moving average forgets the early ones. The
formula is that of `torch.optim.swa_utils`; its `AveragedModel` is not used, because it reads a counter from the device
at each step and copies frozen tables that never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from normlab.train_config import TrainConfig


class WeightAverage:
    """An exponential moving average of everything that training changes in a model, stored beside the model.

    a_t = d_t a_(t-1) + (1 - d_t) w_t with d_t = min(decay, (1 + t) / (10 + t)), a_0 the initial weights. Early in
    training the average spans about a ninth of the steps so far, later as many as the decay gives, so the initial
    weights are soon forgotten (as in TensorFlow's `tf.train.ExponentialMovingAverage`).

    The trainable parameters are averaged and, with the same decay, the running statistics of batch norms: the latest
    statistics describe the latest network, and to first order their mean describes the averaged network.
    `bn_statistics: precise` estimates them anew with the averaged weights.

    The update is not part of the recorded step of `engine.graphs`, because d_t changes; nothing waits for the device.

    Args:
        model: on its device already; its tensors must keep their addresses.
        decay: the largest d; with None there is no average and every method does nothing.
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
        """Add the weights after a step of the run, counted from 1."""
        if self._decay is None:
            return
        decay = decay_at(step, self._decay)
        get_ema_multi_avg_fn(decay)(list(self.tensors.values()), list(self._moving.values()), None)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within the block the model holds the averages; after it, its own values to the bit.

        If the block changes averaged tensors, e.g. estimates statistics anew, it changes the average. Values are
        exchanged, not tensors: optimiser, recorded steps and wrappers refer to the model's tensors.
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
            for count, saved in zip(self._counts, counts, strict=True):
                count.copy_(saved)

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, tensor in self._moving.items():
            average = self.tensors[name]
            trained = tensor.detach().clone()
            tensor.copy_(average)
            average.copy_(trained)


def weight_average(model: nn.Module, config: TrainConfig, *, wanted: bool = True) -> WeightAverage:
    """Return the average of a configuration; switched off where the process does not need it (`wanted`)."""
    return WeightAverage(model, config.average_decay if wanted and config.average == "ema" else None)


def decay_at(step: int, decay: float) -> float:
    """Return d_t, the weight of the old average in a step."""
    return min(decay, (1 + step) / (10 + step))


def _moving_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return trainable parameters and running statistics by name; other buffers are constants."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    running = {name: buffer for name, buffer in model.named_buffers() if name.rpartition(".")[2].startswith("running_")}
    return {**parameters, **running}
