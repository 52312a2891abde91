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
from normlab.bench.timing import SLOWEST, Comparison, Settings, Step, compare
from normlab.engine.lazy_adam import LazyAdam
from normlab.engine.precision import has_fast_bfloat16
from normlab.nn import LayerNormLSTM, LinearChainCRF

T, B, D, H, K = 22, 32, 150, 100, 17
# Steps, sentences, inputs, hidden units, layers of further shapes: many sentences, a wide network, one long text.
SHAPES = ((22, 256, 150, 100, 1), (50, 64, 256, 512, 2), (1000, 1, 128, 256, 1))
# Tags, sentences, words, type of further chains.
CHAINS = (
    (K, B, 30, torch.float64),
    (K, B, 30, torch.bfloat16),
    (64, B, 30, torch.float32),
    (K, 4, 1000, torch.float32),
)
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
    if not settings.quick:
        yield from _further_shapes(settings)


def _further_shapes(settings: Settings) -> Iterator[Row]:
    """The same in other shapes, float32, both ways, beside nn.LSTM."""
    for steps, sentences, inputs, hidden, layers in SHAPES:
        x = torch.randn(steps, sentences, inputs, requires_grad=True)
        sizes: dict[str, Any] = {"num_layers": layers, "bidirectional": True}
        peer = _gradients(nn.LSTM(inputs, hidden, **sizes), x)
        shape = f"{inputs} -> {hidden}, {layers} layer(s), both ways, {sentences} x {steps} words, float32"
        for normalised in (True, False):
            ours = _gradients(LayerNormLSTM(inputs, hidden, layer_norm=normalised, **sizes), x)
            comparison = compare(peer, ours, settings, at_least=0.02, expected=SLOWEST)
            name, against = ("layer-normalised LSTM", "nn.LSTM, which normalises nothing")
            if not normalised:
                name, against = ("LSTM without normalization", "nn.LSTM")
            yield faster(f"{name}, {shape}", against, comparison, goal=NO_SLOWER, torchs=not normalised)


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
    """Loss with gradient, and decoding, 17 tags, 32 ragged sentences of up to 30 words; then other sizes and types."""
    loss, decoding = (f"CRF {what}, 17 tags, 32 sentences" for what in ("loss and gradient", "decoding"))
    peer = pytorch_crf()
    if peer is None:
        yield missing(loss, PEER, NOT_INSTALLED, LOSS)
        yield missing(decoding, PEER, NOT_INSTALLED, DECODING)
        return
    learned, decoded = _chains(settings, peer, K, B, 30, torch.float32)
    yield faster(loss, PEER, learned, goal=LOSS)
    yield faster(decoding, PEER, decoded, goal=DECODING)
    for tags, sentences, words, dtype in () if settings.quick else CHAINS:
        learned, decoded = _chains(settings, peer, tags, sentences, words, dtype)
        size = f"{tags} tags, {sentences} sentences of {words} words, {str(dtype).removeprefix('torch.')}"
        yield faster(f"CRF loss and gradient, {size}", PEER, learned, goal=NO_SLOWER)
        yield faster(f"CRF decoding, {size}", PEER, decoded, goal=NO_SLOWER)


def _chains(
    settings: Settings, peer: Any, tags: int, sentences: int, words: int, dtype: torch.dtype
) -> tuple[Comparison, Comparison]:
    """Compare loss with gradient, and decoding, of ragged sentences."""
    ours, theirs = LinearChainCRF(tags).to(dtype), peer(tags, batch_first=True).to(dtype)
    emissions = torch.randn(sentences, words, tags, dtype=dtype, requires_grad=True)
    gold = torch.randint(tags, (sentences, words))
    mask = torch.arange(words) < torch.randint(words // 4 + 1, words + 1, (sentences, 1))
    mask[0] = True

    def gradients(crf: nn.Module, value: Callable[[], Tensor]) -> Step:
        return lambda: torch.autograd.grad(value(), [emissions, *crf.parameters()])

    learned = compare(
        gradients(theirs, lambda: -theirs(emissions, gold, mask)),
        gradients(ours, lambda: ours.nll(emissions, gold, mask, reduction="sum")),
        settings,
        at_least=0.01,
    )
    with torch.no_grad():
        decoded = compare(
            lambda: theirs.decode(emissions, mask), lambda: ours.viterbi(emissions, mask), settings, at_least=0.01
        )
    return learned, decoded


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
