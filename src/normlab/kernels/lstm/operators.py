"""The LSTM kernel as operators that torch.compile calls: the library (lstm.cpp) is called directly, through ctypes.

Dimensions: T steps, B sentences, D input size, H hidden size, G = 4 H.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import build, guards

_POINTERS = ["sgemm", "lengths", "order", "x", "h0", "c0", "weight_ih", "weight_hh", "bias_ih", "bias_hh"]
_POINTERS += [
    "gain_ih",
    "gain_hh",
    "gain_c",
    "bias_c",
    "y",
    "h_n",
    "c_n",
    "tape",
    "grad_y",
    "grad_h_n",
    "grad_c_n",
]
_GRADIENTS = ["grad_x", "grad_h0", "grad_c0", "grad_weight_ih", "grad_weight_hh", "grad_bias"]
_GRADIENTS += ["grad_gain_ih", "grad_gain_hh", "grad_gain_c", "grad_bias_c"]
_INTEGERS = [
    "T",
    "B",
    "D",
    "H",
    "x_stride_t",
    "x_stride_b",
    "y_stride_t",
    "y_stride_b",
    "grad_y_stride_t",
    "grad_y_stride_b",
    "reverse",
    "threads",
    "half",
]


class _Call(ctypes.Structure):
    """LstmCall in lstm.h, field by field."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS + _GRADIENTS),
        *((name, ctypes.c_int64) for name in _INTEGERS),
        ("eps", ctypes.c_float),
    ]


@guards.constant_when_compiled
def available() -> bool:
    """Return whether the library is available here; builds it at the first call."""
    return build.load("lstm") is not None and sgemm() is not None


class OperatorRunner:
    """Runs directions over one batch, see `run_directions`."""

    def __init__(self, x_tbd: Tensor, lengths: Tensor | None) -> None:
        T, B = x_tbd.shape[:2]
        steps = torch.full((B,), T) if lengths is None else lengths.to("cpu", torch.int64)
        self.lengths, self.order = steps.sort(descending=True, stable=True)

    def __call__(
        self,
        x_tbd: Tensor,
        state: tuple[Tensor, Tensor],
        weights: Sequence[Any],
        *,
        reverse: bool,
        eps: float,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output (T, B, H), 0 in padding, and the final (h, c), each (B, H)."""
        arguments = (x_tbd, *state, *tuple(weights)[:8], self.lengths, self.order, reverse, eps)
        y, h_n, c_n, _ = lstm_direction(*arguments)
        return y, (h_n, c_n)


@torch.library.custom_op("normlab::lstm_direction", mutates_args=())
def lstm_direction(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
    gain_ih: Tensor | None,
    gain_hh: Tensor | None,
    gain_c: Tensor | None,
    bias_c: Tensor | None,
    lengths: Tensor,
    order: Tensor,
    reverse: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return y (T, B, H), h_n and c_n (B, H), and the tape for the backward pass.

    `lengths` are sorted, longest first; `order` says which sentence each belongs to.
    """
    return _forward(
        x,
        h0,
        c0,
        weight_ih,
        weight_hh,
        bias_ih,
        bias_hh,
        gain_ih,
        gain_hh,
        gain_c,
        bias_c,
        lengths,
        order,
        reverse,
        eps,
    )


@lstm_direction.register_fake
def _(x: Tensor, h0: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _outputs(x, h0, layer_norm=rest[5] is not None)


@torch.library.custom_op("normlab::lstm_direction_backward", mutates_args=())
def lstm_direction_backward(
    grad_y: Tensor,
    grad_h_n: Tensor,
    grad_c_n: Tensor,
    x: Tensor,
    c0: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    gain_ih: Tensor | None,
    gain_hh: Tensor | None,
    gain_c: Tensor | None,
    lengths: Tensor,
    order: Tensor,
    tape: Tensor,
    reverse: bool,
) -> list[Tensor]:
    """Return the gradients of x, h0, c0, both weights, their common bias, and the four of layer norm."""
    return _gradients_of(
        grad_y,
        grad_h_n,
        grad_c_n,
        x,
        c0,
        weight_ih,
        weight_hh,
        gain_ih,
        gain_hh,
        gain_c,
        lengths,
        order,
        tape,
        reverse,
    )


@lstm_direction_backward.register_fake
def _(*arguments: Any) -> list[Tensor]:
    x, c0, weight_ih, weight_hh, gain_ih = arguments[3:8]
    return _gradients(x, c0, weight_ih, weight_hh, gain_ih)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, _, c0, weight_ih, weight_hh, _, _, gain_ih, gain_hh, gain_c, _, lengths, order, reverse, _ = inputs
    saved = (x, c0, weight_ih, weight_hh, gain_ih, gain_hh, gain_c, lengths, order, output[3])
    ctx.save_for_backward(*saved)
    ctx.reverse = reverse


def _backward(ctx: Any, grad_y: Tensor, grad_h_n: Tensor, grad_c_n: Tensor, _tape: Tensor) -> tuple[Any, ...]:
    return _arrange(lstm_direction_backward(grad_y, grad_h_n, grad_c_n, *ctx.saved_tensors, ctx.reverse))


def _arrange(gradients: list[Tensor]) -> tuple[Any, ...]:
    """Return one gradient, or None, per argument of `lstm_direction`."""
    x, h0, c0, weight_ih, weight_hh, bias, *layer_norm = gradients
    norm: list[Tensor | None] = [*layer_norm] or [None] * 4
    # Each bias gets its own copy: an optimiser may change gradients in place.
    return x, h0, c0, weight_ih, weight_hh, bias, bias.clone(), *norm, None, None, None, None


lstm_direction.register_autograd(_backward, setup_context=_setup_context)


_ARGUMENTS = [
    "h0",
    "c0",
    "weight_ih",
    "weight_hh",
    "bias_ih",
    "bias_hh",
    "gain_ih",
    "gain_hh",
    "gain_c",
    "bias_c",
]


def _forward(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *tensors, lengths, order, reverse, eps = arguments
    named = dict(zip(_ARGUMENTS, tensors, strict=True))
    x = _inner_contiguous(x)
    y, h_n, c_n, tape = outputs = _outputs(x, named["h0"], layer_norm=named["gain_ih"] is not None)
    named |= {"lengths": lengths, "order": order, "y": y.zero_(), "h_n": h_n, "c_n": c_n, "tape": tape}
    _run("lstm_forward", x, named["h0"], named, {"reverse": reverse, "eps": eps})
    return outputs


def _gradients_of(grad_y: Tensor, grad_h_n: Tensor, grad_c_n: Tensor, x: Tensor, *rest: Any) -> list[Tensor]:
    c0, weight_ih, weight_hh, gain_ih, gain_hh, gain_c, lengths, order, tape, reverse = rest
    grad_y = _inner_contiguous(grad_y)
    gradients = _gradients(x, c0, weight_ih, weight_hh, gain_ih)
    gradients[0].zero_()
    named = {
        "grad_h_n": grad_h_n,
        "grad_c_n": grad_c_n,
        "c0": c0,
        "weight_ih": weight_ih,
        "weight_hh": weight_hh,
    }
    named |= {"gain_ih": gain_ih, "gain_hh": gain_hh, "gain_c": gain_c}
    named |= {"lengths": lengths, "order": order, "tape": tape}
    named |= dict(zip(_GRADIENTS, gradients, strict=False))
    strides = {"grad_y_stride_t": grad_y.stride(0), "grad_y_stride_b": grad_y.stride(1)}
    _run("lstm_backward", x, c0, named, strides | {"reverse": reverse}, grad_y=grad_y.data_ptr())
    return gradients


def _outputs(x: Tensor, h0: Tensor, *, layer_norm: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (T, B, D), H = x.shape, h0.shape[1]
    # lstm_tape_width in lstm.h: per packed row D + 7 H numbers, and 9 H + 3 more with layer norm.
    tape = x.new_empty(T * B * (D + 7 * H + (9 * H + 3 if layer_norm else 0)))
    return x.new_empty(T, B, H), x.new_empty(B, H), x.new_empty(B, H), tape


def _gradients(x: Tensor, c0: Tensor, weight_ih: Tensor, weight_hh: Tensor, gain_ih: Tensor | None) -> list[Tensor]:
    G, H = weight_hh.shape
    states = [x.new_empty(x.shape), x.new_empty(c0.shape), x.new_empty(c0.shape)]
    weights = [x.new_empty(weight_ih.shape), x.new_empty(weight_hh.shape), x.new_empty(G)]
    norm = [] if gain_ih is None else [x.new_empty(size) for size in (G, G, H, H)]
    return states + weights + norm


def _run(
    function: str, x: Tensor, state: Tensor, tensors: dict[str, Any], numbers: dict[str, Any], **pointers: int
) -> None:
    """Call the library. `x` may have any strides but the last; all else is made contiguous."""
    given = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None} | {"x": x}
    for name, tensor in given.items():
        if tensor.dtype != (torch.int64 if name in ("lengths", "order") else torch.float32):
            raise TypeError(f"{name} is {tensor.dtype}: input, states and weights of an LSTM must have one type")
        pointers[name] = tensor.data_ptr()
    (T, B, D), H = x.shape, state.shape[1]
    numbers = numbers | {"T": T, "B": B, "D": D, "H": H, "threads": torch.get_num_threads()}
    numbers |= {"x_stride_t": x.stride(0), "x_stride_b": x.stride(1), "y_stride_t": B * H, "y_stride_b": H}
    library = build.load("lstm")
    assert library is not None
    getattr(library, function)(ctypes.byref(_Call(sgemm=sgemm(), **pointers, **numbers)))


def _inner_contiguous(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


@functools.cache
def sgemm() -> int | None:
    """Return the address of BLAS's single-precision matrix product in torch's own library."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*")):
        try:
            return ctypes.cast(ctypes.CDLL(str(path)).sgemm_, ctypes.c_void_p).value
        except (OSError, AttributeError):
            continue
    return None
