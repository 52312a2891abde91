"""Population statistics for batch norms, measured after training instead of averaged during it.

Running averages lag behind the weights, and at small batches each of them is noisy. Measuring mean and variance anew
under the final weights ("precise BN", Wu & Johnson 2021, sec. 3) tells bad statistics and bad weights apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers that keep running statistics, torch's and ours."""
    layers = (module for module in model.modules() if isinstance(module, _BatchNorm))  # a RunningNorm is one
    return [layer for layer in layers if layer.running_mean is not None]


@contextmanager
def reestimated(model: nn.Module, batches: Iterable[Tensor]) -> Iterator[None]:
    """Within the block the model has statistics measured anew (see `reestimate_statistics`); after it, its own."""
    saved = [(buffer, buffer.clone()) for layer in batch_norms(model) for buffer in layer.buffers()]
    reestimate_statistics(model, batches)
    try:
        yield
    finally:
        for buffer, value in saved:
            buffer.copy_(value)


@torch.no_grad()
def reestimate_statistics(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Replace the running estimates of all batch norms by plain averages over batches.

    Args:
        model: any network; torch's own batch norms and those of `normlab.norms` take part. Modes, momenta and all
            else are left as they were.
        batches: inputs of the model, e.g. (N, 3, H, W); large ones, because the variance within a batch is averaged.
    Returns: the number of layers; if it is 0, no batch was drawn.
    """
    layers = batch_norms(model)
    if not layers:
        return 0
    before = [(layer.training, layer.momentum, getattr(layer, "sync", None)) for layer in layers]
    mode = model.training
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over all batches
        layer.train()
        if hasattr(layer, "sync"):
            layer.sync = False  # type: ignore[assignment]  # one process measures; the others do not reach it
    for batch in batches:
        model(batch)
    model.train(mode)
    for layer, (training, momentum, sync) in zip(layers, before, strict=True):
        layer.train(training)
        layer.momentum = momentum
        if sync is not None:
            layer.sync = sync
    return len(layers)
