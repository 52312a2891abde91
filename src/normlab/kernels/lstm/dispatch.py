"""One layer of a (layer-normalised) LSTM: all directions of it in one call of `lstm.cpp`.

Words beyond a sentence's length cost nothing. The matrix products are those of the BLAS that torch brings along.

Dimensions: T steps, B sentences, D input size, H hidden size, G = 4 H.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.lstm import operators
from normlab.kernels.lstm.directions import State, run_directions
from normlab.kernels.lstm.torch_lstm import lstm_by_torch
from normlab.kernels.runtime import derivatives, gpu, guards
from normlab.kernels.runtime.contest import ContestedKernel


class LSTMKernel(ContestedKernel):
    """`LSTM.try_call(x, state, weights, lengths, eps)` -> the output (T, B, directions * H), and the final h and c.

    It takes float32 tensors; on a GPU only with layer norm and at most 1,024 units. Under bfloat16 autocast a plain
    LSTM's products are made of bfloat16 where the CPU has such (AVX512-BF16), with float32 sums; all else, and what is
    returned, stays float32. With layer norm the products stay float32 too: dividing by the small deviation of a young
    cell would magnify what bfloat16 rounds, in the gradients to 2 to 9 %.
    """

    has_triton = True

    def call_own(
        self,
        x_tbd: Tensor,
        state: State,
        weights: Sequence[Sequence[Tensor | None]],
        lengths: Tensor | None,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Run one layer by the kernel, forwards and with a second set of weights backwards too.

        Args:
            x_tbd: (T, B, D).
            state: h and c, (directions, B, H).
            weights: per direction weight_ih, weight_hh, bias_ih, bias_hh, gain_ih, gain_hh, gain_c, bias_c; the last
                four are None in a plain LSTM. What follows them is not read.
            lengths: (B,), None if there is no padding.
        Returns: the output, 0 in padding, and the final h and c, (directions, B, H).
        """
        if torch.compiler.is_compiling():
            return _by_operator(x_tbd, state, weights, lengths, eps)
        if not x_tbd.is_cpu:
            return self._try_gpu(x_tbd, state, weights, lengths, eps)
        flat = _flat(weights)
        in_half = False
        if torch.is_autocast_enabled("cpu"):
            if not guards.allows_kernel(x_tbd, *state):
                return self.refuse(x_tbd)
            x_tbd, state = x_tbd.float(), (state[0].float(), state[1].float())
            plain = len(flat) == 4 * len(state[0])  # no gains
            in_half = plain and torch.get_autocast_dtype("cpu") == torch.bfloat16
        lengths = None if lengths is None else lengths.to("cpu", torch.int64).contiguous()
        result = self._run(x_tbd, *state, lengths, flat, eps, in_half)
        return self.refuse(x_tbd) if result is None else result

    def key(self, *arguments: Any) -> tuple[Any, ...] | None:
        """See `ContestedKernel.key`: torch has the plain LSTM, and padding only as packed steps, which cost more."""
        x, state, weights, lengths, _ = arguments
        if lengths is not None or x.dim() != 3 or x.numel() == 0 or weights[0][4] is not None:
            return None
        tensors = (x, *state, *_flat(weights))
        if x.dtype not in (torch.float32, torch.float64) or any(tensor.dtype != x.dtype for tensor in tensors):
            return None
        with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        return x.shape, x.dtype, state[0].shape, half, with_gradient, torch.get_num_threads()

    def family(self, *arguments: Any) -> str:
        """See `ContestedKernel.family`: up to a power of two steps, and of sentences, share an answer."""
        x, state, *_ = arguments
        key = self.key(*arguments)
        assert key is not None
        _, _, _, half, with_gradient, threads = key
        T, B, D = x.shape
        steps, sentences = (1 << (count - 1).bit_length() for count in (T, B))
        dtype = str(half or x.dtype).removeprefix("torch.")
        sizes = f"{sentences}x{steps} {D} to {state[0].shape[2]}{' both ways' if len(state[0]) == 2 else ''}"
        return f"{sizes} {dtype} {'training' if with_gradient else 'inference'} {threads} thread(s)"

    def by_torch(self, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        """See `ContestedKernel.by_torch`."""
        x, state, weights, _, eps = arguments
        return lstm_by_torch(x, state, _flat(weights), eps)

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        H = 4
        weights = [torch.zeros(4 * H, H), torch.zeros(4 * H, H), torch.zeros(4 * H), torch.zeros(4 * H)]
        return torch.zeros(2, 1, H), (torch.zeros(1, 1, H), torch.zeros(1, 1, H)), [weights], None, 1e-5

    def reason_against_cpu(self) -> str:
        """See `Kernel.reason_against_cpu`."""
        no_blas = "torch's library has no sgemm" if operators.sgemm() is None else ""
        return super().reason_against_cpu() or no_blas

    def prepare(self, module: Any) -> None:
        """Matrix products are those of torch's BLAS; second derivatives are those of the reference."""
        module.connect("sgemm", operators.sgemm())
        module.reference("lstm", functools.partial(derivatives.gradients, "lstm_layer"))

    def run_on_gpu(
        self,
        x_tbd: Tensor,
        state: State,
        weights: Sequence[Sequence[Tensor | None]],
        lengths: Tensor | None,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """See `Kernel.run_on_gpu`. A plain LSTM has no Triton implementation."""
        gain_hh = weights[0][5]
        if gain_hh is None or x_tbd.dtype != torch.float32 or torch.is_autocast_enabled("cuda") or x_tbd.numel() == 0:
            return None
        module = gpu.triton_module("lstm")
        if len(gain_hh) > 4 * module.MOST_UNITS:
            return None
        return run_directions(module.TritonRunner(x_tbd, lengths), x_tbd, state, weights, eps)


def _flat(weights: Sequence[Sequence[Tensor | None]]) -> tuple[Tensor, ...]:
    return tuple(weight for of_direction in weights for weight in of_direction if weight is not None)


def _by_operator(
    x_tbd: Tensor, state: State, weights: Sequence[Sequence[Tensor | None]], lengths: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Run a layer by the operator that torch.compile records instead of tracing into it."""
    if x_tbd.device.type != "cpu" or x_tbd.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return None
    if not guards.allows_kernel(x_tbd, lengths) or x_tbd.numel() == 0 or not operators.available():
        return None
    return run_directions(operators.OperatorRunner(x_tbd, lengths), x_tbd, state, weights, eps)


LSTM = LSTMKernel("LSTM layer", "lstm", "lstm", ("lstm_forward", "lstm_backward"))
