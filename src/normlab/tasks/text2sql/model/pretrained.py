"""A pretrained encoder over question and schema: frozen, or with all or the top of its layers tuned.

Word pieces go in, one state for every node comes out, the mean over its pieces. Pretrained weights are read when a
new run draws its weights, not when a trained one is rebuilt from its checkpoint. Layers that are not tuned
run over each example once, alone and without dropout, so that their states depend on nothing but the text, and are kept
as float16: the nodes' of a frozen encoder, the pieces' below the layers that are tuned.

Dimensions: B examples, L pieces, N nodes, D the encoder's hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.nn.pretrained import build_encoder, load_pretrained
from normlab.plurals import plural
from normlab.tasks.text2sql.inputs.serialize import Serialized


class PretrainedEncoder(nn.Module):
    """BERT or its like, from pieces to node states.

    Args:
        card: what `normlab.nn.pretrained.encoder_card` returned; it travels with the run.
        frozen: keep all weights, and remember the states of each example.
        top_layers: how many of the last layers are tuned, embeddings never unless None: then all is.
        lr_scale: the encoder's learning rate over that of the rest.
        cache_bytes: most memory for the states of layers that are not tuned; beyond it they are computed anew.
    Raises: `UserError` if there are fewer layers than `top_layers`.
    """

    def __init__(
        self,
        card: Mapping[str, Any],
        *,
        frozen: bool,
        top_layers: int | None = None,
        lr_scale: float = 1.0,
        cache_bytes: int = 2 * 1024**3,
    ) -> None:
        super().__init__()
        self._card = card
        self.frozen = frozen
        encoder: Any = build_encoder(card)
        encoder.pretrained = True  # `initialise` leaves it alone; `reset_parameters` fills it
        self.encoder = encoder
        self.size = int(encoder.config.hidden_size)
        self.missing = nn.Parameter(torch.zeros(self.size))  # the state of a node without pieces
        self._segmented = getattr(encoder.config, "type_vocab_size", 0) > 1
        self._states = _Memory(cache_bytes)
        self._fixed = self._freeze(frozen, top_layers)
        self.train()
        _declare_rates(self.encoder, lr_scale)
        self.register_load_state_dict_post_hook(lambda *_: self._states.clear())

    @property
    def _layers(self) -> nn.ModuleList:
        """The stack of layers, whatever the architecture calls it: the longest list of modules."""
        lists = [module for module in self.encoder.modules() if isinstance(module, nn.ModuleList)]
        return max(lists, key=len)

    def reset_parameters(self) -> None:
        """Read the pretrained weights.

        Raises: `UserError` if they are neither here nor can be fetched.
        """
        load_pretrained(self.encoder, self._card)
        nn.init.zeros_(self.missing)
        self._states.clear()

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """Set the mode; what is not tuned stays in evaluation mode, without dropout."""
        super().train(mode)
        if self._fixed:
            self.encoder.eval()
            self._layers[self._fixed :].train(mode)
        return self

    def forward(self, items: Sequence[Serialized], nodes: Tensor | None = None) -> Tensor:
        """Return the states of the nodes, float32 (B, N, D).

        Args:
            items: the examples.
            nodes: (B, N), which node of its example stands where, -1 for none; by default all in their order, padded.
        Node states that are padding, or of nodes without pieces, are `missing`.
        """
        states, has_pieces = self._remembered(items) if self.frozen else self._pooled(items)
        if nodes is not None:
            nodes = nodes.to(states.device)
            at = nodes.clamp(min=0)
            states = states.gather(1, at.unsqueeze(-1).expand(-1, -1, states.shape[-1]))
            has_pieces = has_pieces.gather(1, at) & (nodes >= 0)
        return torch.where(has_pieces.unsqueeze(-1), states, self.missing)

    def _remembered(self, items: Sequence[Serialized]) -> tuple[Tensor, Tensor]:
        device = self.missing.device
        length = max(len(item.starts) for item in items)
        states = torch.zeros(len(items), length, self.size, device=device)
        has_pieces = torch.zeros(len(items), length, dtype=torch.bool, device=device)
        for row, item in enumerate(items):
            known = self._states.get(item.key)
            if known is None:
                with torch.no_grad():
                    known = self._pooled([item])[0][0].to("cpu", torch.float16)
                self._states.put(item.key, known)
            states[row, : len(known)] = known.to(device, torch.float32)
            has_pieces[row, : len(known)] = torch.from_numpy(item.ends > item.starts).to(device)
        return states, has_pieces

    def _pooled(self, items: Sequence[Serialized]) -> tuple[Tensor, Tensor]:
        """Mean states of the nodes' pieces, float32 (B, N, D), and which nodes have any, (B, N)."""
        device = self.missing.device
        pad = int(self._card["pad"])
        pieces, segments, starts, ends = (
            _stacked([getattr(item, name) for item in items], fill).to(device)
            for name, fill in (("pieces", pad), ("segments", 0), ("starts", 0), ("ends", 0))
        )
        lengths = torch.tensor([len(item.pieces) for item in items], device=device)
        at = torch.arange(pieces.shape[1], device=device)
        inputs = {"input_ids": pieces, "attention_mask": (at < lengths[:, None]).long()}
        if self._segmented:
            inputs["token_type_ids"] = segments
        states_bld = self._read(items, inputs)
        inside_bnl = (at >= starts.unsqueeze(-1)) & (at < ends.unsqueeze(-1))
        count_bn = (ends - starts).clamp(min=1)
        with torch.autocast(device.type, enabled=False):  # a mean of float32s, not of what a product rounds to
            weights_bnl = inside_bnl.float() / count_bn.unsqueeze(-1)
            return weights_bnl @ states_bld.float(), ends > starts

    def _read(self, items: Sequence[Serialized], inputs: dict[str, Tensor]) -> Tensor:
        """Return the last layer's states of the pieces, (B, L, D)."""
        states: Tensor
        if self.frozen or not self._fixed:
            states = self.encoder(**inputs).last_hidden_state
            return states
        below = [self._below(item, row, inputs) for row, item in enumerate(items)]
        handed = nn.utils.rnn.pad_sequence([states.float() for states in below], batch_first=True)
        with self._only(_Handed(handed), *self._layers[self._fixed :]):
            states = self.encoder(**inputs).last_hidden_state
            return states

    def _below(self, item: Serialized, row: int, inputs: dict[str, Tensor]) -> Tensor:
        """Return what the fixed layers make of one example, (its L, D)."""
        known = self._states.get(item.key)
        if known is None:
            alone = {name: value[row : row + 1, : len(item.pieces)] for name, value in inputs.items()}
            with torch.no_grad(), self._only(*self._layers[: self._fixed]):
                known = self.encoder(**alone).last_hidden_state[0].to("cpu", torch.float16)
            self._states.put(item.key, known)
        return known.to(self.missing.device)

    @contextmanager
    def _only(self, *layers: nn.Module) -> Iterator[None]:
        """Let the encoder run these layers instead of its own."""
        stack = self._layers
        all_layers, stack._modules = stack._modules, {str(index): layer for index, layer in enumerate(layers)}
        try:
            yield
        finally:
            stack._modules = all_layers

    def _freeze(self, frozen: bool, top_layers: int | None) -> int:
        """Leave out of training what is not to be tuned; return how many of the layers, from below, that are."""
        layers = self._layers
        if top_layers is not None and not 0 <= top_layers <= len(layers):
            raise UserError(
                f"the encoder has {plural(len(layers), 'layer')}, not {top_layers}: tune at most all of them"
            )
        tuned = 0 if frozen else len(layers) if top_layers is None else top_layers
        if frozen or top_layers is not None:
            self.encoder.requires_grad_(False)
            layers[len(layers) - tuned :].requires_grad_(True)
        return len(layers) - tuned


class _Handed(nn.Module):
    """Replaces the fixed layers and returns their remembered states."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self._handed = states

    def forward(self, *_: object, **__: object) -> Tensor:
        return self._handed


class _Memory:
    """States by key, up to a number of bytes; what no longer fits is not kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._known: dict[bytes, Tensor] = {}

    def get(self, key: bytes) -> Tensor | None:
        return self._known.get(key)

    def put(self, key: bytes, states: Tensor) -> None:
        size = states.numel() * states.element_size()
        if self._used + size <= self._limit:
            self._known[key] = states
            self._used += size

    def clear(self) -> None:
        self._known.clear()
        self._used = 0


def _declare_rates(encoder: nn.Module, lr_scale: float) -> None:
    """Give each part of the encoder the `parameter_options` that the optimiser asks for.

    Biases and layer norms are not decayed (Devlin et al. 2019, appendix A.2, as their code does it).
    """
    for module in encoder.modules():
        options = {}
        for name, parameter in module.named_parameters(recurse=False):
            options[name] = {"lr_scale": lr_scale} | ({"weight_decay": 0.0} if parameter.dim() == 1 else {})
        if options:
            module.parameter_options = partial(dict, options)  # type: ignore[assignment]


def _stacked(rows: Sequence[np.ndarray], fill: int) -> Tensor:
    length = max(len(row) for row in rows)
    stacked = np.full((len(rows), length), fill, dtype=np.int64)
    for index, row in enumerate(rows):
        stacked[index, : len(row)] = row
    return torch.from_numpy(stacked)
