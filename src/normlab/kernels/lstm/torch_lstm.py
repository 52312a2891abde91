"""A layer of a plain LSTM by torch's own operation, for shapes and types in which that is faster than the kernel.

torch's operation in float32 is oneDNN's, which has no second derivative. So it runs inside an autograd function: a
second derivative is taken of the reference, as the kernel's is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import derivatives

Three = tuple[Tensor, Tensor, Tensor]


def lstm_by_torch(x_tbd: Tensor, state: tuple[Tensor, Tensor], weights: Sequence[Tensor], eps: float) -> Three:
    """Return output, final h and final c of one layer without padding, in x's type; see `LSTMKernel.try_call`.

    Args:
        weights: of each direction weight_ih, weight_hh, bias_ih, bias_hh.
        eps: the reference's argument; a plain LSTM does not read it.
    """
    tensors = (x_tbd, *state, *weights)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        result: Three = _Layer.apply(eps, *tensors)
        return result
    return _layer(*tensors)


def _layer(x_tbd: Tensor, h_0: Tensor, c_0: Tensor, *weights: Tensor) -> Three:
    """Run the layer; under autocast torch's operation returns bfloat16, and the kernel x's type."""
    output, h_n, c_n = torch.lstm(
        x_tbd,
        (h_0, c_0),
        weights,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=torch.is_grad_enabled(),
        bidirectional=len(h_0) == 2,
        batch_first=False,
    )
    return output.to(x_tbd.dtype), h_n.to(x_tbd.dtype), c_n.to(x_tbd.dtype)


class _Layer(torch.autograd.Function):
    """The layer with its own graph kept inside, so that its gradient can be chosen when it is asked for."""

    @staticmethod
    def forward(ctx: Any, eps: float, *tensors: Tensor) -> Three:
        ctx.save_for_backward(*tensors)
        ctx.eps = eps
        with torch.enable_grad():
            ctx.leaves = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors]
            ctx.outputs = _layer(*ctx.leaves)
        ctx.set_materialize_grads(True)
        output, h_n, c_n = (part.detach() for part in ctx.outputs)
        return output, h_n, c_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # a second derivative was asked for
            x, h_0, c_0, *weights = ctx.saved_tensors
            of_inputs = derivatives.gradients("lstm_layer", [x, h_0, c_0, None, *weights], grads, ctx.eps)
            return None, *of_inputs[:3], *of_inputs[4:]
        needed = [leaf for leaf in ctx.leaves if leaf.requires_grad]
        computed = iter(torch.autograd.grad(ctx.outputs, needed, grads, retain_graph=True))
        return None, *(next(computed) if leaf.requires_grad else None for leaf in ctx.leaves)
