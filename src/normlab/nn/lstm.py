"""A layer-normalised LSTM with the arguments, inputs, outputs and parameters of `nn.LSTM`.

Parameters bear nn.LSTM's names (`weight_ih_l0`, `bias_hh_l1_reverse`, gates in the order i, f, g, o), so that
state dicts go both ways; layer norm adds `gain_ih`, `gain_hh`, `gain_c`, `bias_c` per layer and direction.
With `lengths` a sentence's result depends on nothing but itself: states stand still in padding, so the
backward direction starts at the sentence's last word and the final states are those at its true ends. The
input product of all steps is one matrix product; only the recurrent part is a loop (`lstm_reference`).
Float32 on a CPU runs in a compiled kernel (`kernels.lstm`); so it does under autocast, with products of bfloat16 where
the CPU has them and no layer norm follows. torch.func, tracing, export and second derivatives run the reference.

Dimensions: T steps, B sentences, D input size, H hidden size, P output size (`proj_size`, or H), G = 4 H gate sums.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from normlab.kernels.lstm import LSTM
from normlab.kernels.lstm.directions import run_directions
from normlab.kernels.runtime import guards
from normlab.nn.lstm_reference import LSTMWeights, ReferenceRunner, State


class LayerNormLSTM(nn.Module):
    """LSTM whose gate sums and cell output are layer-normalised (Ba, Kiros & Hinton 2016, eq. 20-22).

    a_t = LN(W_ih x_t; gain_ih, bias_ih) + LN(W_hh h_{t-1}; gain_hh, bias_hh)      over all 4 H gate sums
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)                              carried as it is
    h_t = sigmoid(o) * tanh(LN(c_t; gain_c, bias_c))                               normalised only here
    h_t = W_hr h_t                                            with proj_size only (Sak, Senior & Beaufays 2014)

    It takes the place of `nn.LSTM`: same positional arguments, inputs, outputs and state dict. What it does not do:
    TorchScript (`torch.jit.script`), and pass `isinstance(module, nn.LSTM)`.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype: as in
            `nn.LSTM`. Without `bias` layer norm has its gains only.
        layer_norm: False gives the plain LSTM, equal to `nn.LSTM` with the same weights.
        eps: added to the variance. With h0 = 0 the first recurrent sum has variance 0, so the gradient of a
            *learned* h0 is scaled by 1 / sqrt(eps), about 316.
    Shape: x (T, B, D), (B, T, D) if batch_first, (T, D) for one sentence, or a PackedSequence; h_0 and h_n
        (layers * directions, B, P), c_0 and c_n (layers * directions, B, H), without B for one sentence; output
        like x with directions * P in the last place, 0 in padding.
    Initialisation: weights and biases U(-1/sqrt(H), 1/sqrt(H)) as in `nn.LSTM`; gains 1, bias_c 0.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(f"sizes must be positive, got {input_size=}, {hidden_size=}, {num_layers=}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"proj_size must be 0 for none, or less than {hidden_size=}, got {proj_size}")
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"dropout is a probability, got {dropout}")
        if dropout > 0 and num_layers == 1:
            warnings.warn("dropout acts between layers: with num_layers=1 it does nothing", stacklevel=2)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.layer_norm = layer_norm
        self.eps = eps
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                width = input_size if layer == 0 else self.output_size * self.num_directions
                self._add_direction(width, suffix, device, dtype)
        self.reset_parameters()

    @property
    def num_directions(self) -> int:
        """1, or 2 if bidirectional."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """P, the size of h: proj_size, or hidden_size without a projection."""
        return self.proj_size or self.hidden_size

    def flatten_parameters(self) -> None:
        """Do nothing: `nn.LSTM` lays its weights out for cuDNN here, and programs call it."""

    def reset_parameters(self) -> None:
        """Draw weights and biases as `nn.LSTM` does; gains 1, the cell's bias 0."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name, parameter in self.named_parameters():
            if name.startswith("gain_"):
                nn.init.ones_(parameter)
            elif name.startswith("bias_c_"):
                nn.init.zeros_(parameter)
            else:
                nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        x: Tensor | PackedSequence,
        hx: State | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run all layers and directions.

        Args:
            x: the input, see the class.
            hx: initial (h_0, c_0), zeros if None.
            lengths: real steps per sentence, (B,) in any order, 0 allowed; None if there is no padding.
        Returns: output, (h_n, c_n).
        Raises: ValueError naming the shape that was expected.
        """
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, hx, lengths)
        if x.dim() == 2:
            return self._forward_unbatched(x, hx, lengths)
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ValueError(
                f"x must be (T, B, {self.input_size}), (B, T, {self.input_size}) with batch_first, or "
                f"(T, {self.input_size}) for one sentence, with last size {self.input_size}; got {tuple(x.shape)}"
            )
        x_tbd = x.transpose(0, 1) if self.batch_first else x
        h_0, c_0 = self._initial_state(x_tbd, hx)
        steps = _check_lengths(lengths, x_tbd)
        output_tbh, h_n, c_n = self._run_layers(x_tbd, h_0, c_0, steps)
        return output_tbh.transpose(0, 1) if self.batch_first else output_tbh, (h_n, c_n)

    def extra_repr(self) -> str:
        """Show the sizes and settings."""
        shown = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size", "layer_norm")
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *(f"{n}={getattr(self, n)}" for n in shown)])

    def _run_layers(self, x: Tensor, h_0: Tensor, c_0: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        finals: list[State] = []
        for layer in range(self.num_layers):
            if layer > 0:
                x = F.dropout(x, self.dropout, self.training)
            of_layer = slice(layer * self.num_directions, (layer + 1) * self.num_directions)
            state = (h_0, c_0) if self.num_layers == 1 else (h_0[of_layer], c_0[of_layer])
            weights = [self._weights(suffix) for suffix in self._suffixes(layer)]
            result = None if self.proj_size else LSTM.try_call(x, state, weights, lengths, self.eps)
            if result is None:
                _check_types(x, state, weights[0])
                result = run_directions(ReferenceRunner(x, lengths), x, state, weights, self.eps)
            x, *final = result
            finals.append((final[0], final[1]))
        h_n, c_n = (torch.cat(states) if len(states) > 1 else states[0] for states in zip(*finals, strict=True))
        return x, h_n, c_n

    def _forward_packed(
        self, packed: PackedSequence, hx: State | None, lengths: object
    ) -> tuple[PackedSequence, State]:
        if lengths is not None:
            raise ValueError("a PackedSequence has its own lengths: leave `lengths` out")
        padded, own_lengths = pad_packed_sequence(packed, batch_first=self.batch_first)
        output, state = self(padded, hx, own_lengths)
        axis = 0 if self.batch_first else 1
        order = packed.sorted_indices
        if order is not None:
            output, own_lengths = output.index_select(axis, order), own_lengths[order.cpu()]
        data = pack_padded_sequence(output, own_lengths, self.batch_first).data
        return PackedSequence(data, packed.batch_sizes, order, packed.unsorted_indices), state

    def _forward_unbatched(self, x: Tensor, hx: State | None, lengths: object) -> tuple[Tensor, State]:
        if lengths is not None:
            raise ValueError("lengths belong to a batch, x is one sentence (2-D)")
        axis = 0 if self.batch_first else 1
        state = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        output, (h_n, c_n) = self(x.unsqueeze(axis), state)
        return output.squeeze(axis), (h_n.squeeze(1), c_n.squeeze(1))

    def _initial_state(self, x_tbd: Tensor, hx: State | None) -> State:
        rows = self.num_layers * self.num_directions, x_tbd.shape[1]
        shapes = (*rows, self.output_size), (*rows, self.hidden_size)
        if hx is None:
            zeros = x_tbd.new_zeros(shapes[1])
            return (x_tbd.new_zeros(shapes[0]) if self.proj_size else zeros), zeros
        for name, state, shape in zip(("h_0", "c_0"), hx, shapes, strict=True):
            if tuple(state.shape) != shape:
                raise ValueError(f"{name} must have shape {shape}, got {tuple(state.shape)}")
        return hx

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.num_directions]

    def _add_direction(
        self, input_size: int, suffix: str, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        H, G, P = self.hidden_size, 4 * self.hidden_size, self.output_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (G, input_size), "weight_hh": (G, P)}
        if self.bias:
            shapes |= {"bias_ih": (G,), "bias_hh": (G,)}
        if self.proj_size:
            shapes |= {"weight_hr": (P, H)}
        if self.layer_norm:
            shapes |= {"gain_ih": (G,), "gain_hh": (G,), "gain_c": (H,)} | ({"bias_c": (H,)} if self.bias else {})
        for name, shape in shapes.items():
            self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))

    def _weights(self, suffix: str) -> LSTMWeights:
        weights = LSTMWeights(*(getattr(self, name + suffix, None) for name in LSTMWeights._fields))  # type: ignore[arg-type]
        if self.bias:
            return weights
        sums = weights.weight_hh.new_zeros(4 * self.hidden_size)
        of_cell = weights.weight_hh.new_zeros(self.hidden_size) if self.layer_norm else None
        return weights._replace(bias_ih=sums, bias_hh=sums, bias_c=of_cell)


def _check_types(x: Tensor, state: State, weights: LSTMWeights) -> None:
    if not x.is_meta and torch.is_autocast_enabled(x.device.type):
        return
    dtype = weights.weight_ih.dtype
    for name, tensor in (("x", x), ("h_0", state[0]), ("c_0", state[1])):
        if tensor.dtype != dtype:
            raise TypeError(f"{name} is {tensor.dtype}, the weights are {dtype}: they must have one type")


def _check_lengths(lengths: Tensor | Sequence[int] | None, x_tbd: Tensor) -> Tensor | None:
    if lengths is None:
        return None
    checked = torch.as_tensor(lengths)
    T, B = x_tbd.shape[:2]
    if checked.shape != (B,) or checked.is_floating_point():
        raise ValueError(f"lengths must be {B} whole numbers, got {checked.dtype} of shape {tuple(checked.shape)}")
    if B and guards.allows_reading(checked) and not 0 <= int(checked.min()) <= int(checked.max()) <= T:
        raise ValueError(f"lengths must lie in 0..{T}, got {int(checked.min())}..{int(checked.max())}")
    return checked
