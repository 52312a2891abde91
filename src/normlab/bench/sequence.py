"""The tagger's parts beside their nearest peers: the LSTM beside `nn.LSTM` and a loop, the CRF beside pytorch-crf."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from normlab.bench.limits import Limits
from normlab.bench.row import Goal, Row, faster, missing
from normlab.bench.student_tagger import NaiveBiLSTM
from normlab.bench.timing import SLOWEST, Settings, Step, compare
from normlab.engine.lazy_adam import LazyAdam
from normlab.engine.precision import has_fast_bfloat16
from normlab.nn import LayerNormLSTM, LinearChainCRF

T, B, D, H, K = 22, 32, 150, 100, 17
NO_SLOWER, LOOP = Goal(at_least=1.0), Goal(at_least=3.0)
LOSS, DECODING = Goal(at_least=20.0), Goal(at_least=30.0)
PEER = "pytorch-crf"
NOT_INSTALLED = "pytorch-crf is not installed"


def pytorch_crf() -> Any:
    """Return pytorch-crf's `CRF`, or None where it is not installed."""
    try:
        return importlib.import_module("torchcrf").CRF
    except ImportError:
        return None


def lstm_rows(settings: Settings, limits: Limits) -> Iterator[Row]:
    """Forward and backward, 150 -> 100, both directions, 32 sentences of 22 words; in bfloat16 where the CPU has it.

    In bfloat16 both sides run under autocast; the goals are for float32. Layer norm's products stay float32 there too
    (see `kernels.lstm`), so that is the limit of both.
    """
    x = torch.randn(T, B, D, requires_grad=True)
    normalised = LayerNormLSTM(D, H, bidirectional=True)
    plain = LayerNormLSTM(D, H, bidirectional=True, layer_norm=False)
    peer, loop = nn.LSTM(D, H, bidirectional=True), NaiveBiLSTM(D, H)
    pairs = [
        ("layer-normalised LSTM", "nn.LSTM, which normalises nothing", peer, normalised, NO_SLOWER),
        ("layer-normalised LSTM", "a loop over the steps", loop, normalised, LOOP),
        ("LSTM without normalization", "nn.LSTM", peer, plain, None),
    ]
    types = [torch.float32, *([torch.bfloat16] if has_fast_bfloat16(torch.device("cpu")) else [])]
    for dtype, (name, against, baseline, ours, goal) in itertools.product(types, pairs):
        multiplied = torch.float32 if ours is normalised else dtype
        floor = limits.floor(flops=lstm_work(D, H) * T * B, dtype=multiplied)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            comparison = compare(
                _gradients(baseline, x), _gradients(ours, x), settings, at_least=0.02, expected=SLOWEST
            )
        what = f"{name}, 150 -> 100, both ways, 32 x 22 words, {str(dtype).removeprefix('torch.')}"
        bound = goal if dtype == torch.float32 else None
        yield faster(what, against, comparison, goal=bound, floor=floor, torchs=ours is plain)


def lstm_work(inputs: int, hidden: int) -> float:
    """Return the operations of a word's products in training: both directions, forward and two passes back."""
    return 2.0 * 4 * hidden * (inputs + hidden) * 2 * 3


def _gradients(layer: nn.Module, x: Tensor) -> Step:
    def step() -> object:
        returned = layer(x)
        output = returned[0] if isinstance(returned, tuple) else returned
        return torch.autograd.grad(output.sum(), [x, *layer.parameters()])

    return step


def crf_rows(settings: Settings) -> Iterator[Row]:
    """Loss with gradient, and decoding, 17 tags, 32 ragged sentences of up to 30 words."""
    loss, decoding = (f"CRF {what}, 17 tags, 32 sentences" for what in ("loss and gradient", "decoding"))
    peer = pytorch_crf()
    if peer is None:
        yield missing(loss, PEER, NOT_INSTALLED, LOSS)
        yield missing(decoding, PEER, NOT_INSTALLED, DECODING)
        return
    ours, theirs = LinearChainCRF(K), peer(K, batch_first=True)
    emissions = torch.randn(B, 30, K, requires_grad=True)
    tags = torch.randint(K, (B, 30))
    mask = torch.arange(30) < torch.randint(8, 31, (B, 1))

    def gradients(crf: nn.Module, value: Callable[[], Tensor]) -> Step:
        return lambda: torch.autograd.grad(value(), [emissions, *crf.parameters()])

    comparison = compare(
        gradients(theirs, lambda: -theirs(emissions, tags, mask)),
        gradients(ours, lambda: ours.nll(emissions, tags, mask, reduction="sum")),
        settings,
        at_least=0.01,
    )
    yield faster(loss, PEER, comparison, goal=LOSS)
    with torch.no_grad():
        comparison = compare(
            lambda: theirs.decode(emissions, mask), lambda: ours.viterbi(emissions, mask), settings, at_least=0.01
        )
    yield faster(decoding, PEER, comparison, goal=DECODING)


def lazy_rows(settings: Settings, table: int) -> Iterator[Row]:
    """Adam over a large table of word vectors, 700 words a step."""
    words = torch.randint(table, (700,))

    def stepped(sparse: bool) -> Step:
        vectors = nn.Embedding(table, 100, sparse=sparse)
        parameters = list(vectors.parameters())
        optimizer = LazyAdam(parameters) if sparse else torch.optim.Adam(parameters, fused=True)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            vectors(words).square().sum().backward()
            optimizer.step()

        return step

    comparison = compare(stepped(False), stepped(True), settings)
    yield faster(f"lazy Adam over {table:,} x 100, 700 words a step", "Adam over the whole table, fused", comparison)
