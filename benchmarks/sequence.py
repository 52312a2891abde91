"""Compare the LSTM and the CRF with their nearest peers: one process, each pair timed in turn.

The layer-normalised LSTM (150 -> 100, both directions, 32 sentences of 22 words, forward and backward) meets
`nn.LSTM`, which has no layer norm, and a plain loop over the steps. The CRF (17 tags) meets pytorch-crf, where
that is installed. The ratio is the median of the rounds' ratios peer / normlab: above 1, normlab is faster.

    python benchmarks/sequence.py --threads 1 --rounds 25
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.nn import LayerNormLSTM, LinearChainCRF

T, B, D, H, K = 22, 32, 150, 100, 17


def main() -> None:
    """Print a row a pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", choices=("lstm", "crf"), help="one of the two")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for part, pairs in (("lstm", lstm_pairs), ("crf", crf_pairs)):
        if options.only in (None, part):
            for name, peer, own in pairs():
                print(f"{name:44} {compare(peer, own, options.rounds)}", flush=True)


def lstm_pairs() -> list[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Return (name, peer's step, own step): a step is forward and backward."""
    own = LayerNormLSTM(D, H, bidirectional=True)
    x, grad = torch.randn(T, B, D, requires_grad=True), torch.randn(T, B, 2 * H)

    def step(layer: Callable[[Tensor], Any], parameters: nn.Module) -> Callable[[], Any]:
        leaves = [x, *parameters.parameters()]
        return lambda: torch.autograd.grad(layer(x)[0], leaves, grad)

    peer = nn.LSTM(D, H, bidirectional=True)
    with_norm = step(own, own)
    return [
        ("layer-normalised LSTM against nn.LSTM", step(peer, peer), with_norm),
        ("layer-normalised LSTM against a loop", step(lambda words: (naive(own, words),), own), with_norm),
    ]


def naive(lstm: LayerNormLSTM, x_tbd: Tensor) -> Tensor:
    """The equations of `LayerNormLSTM`, step by step."""
    outputs = []
    for suffix, words in (("_l0", x_tbd), ("_l0_reverse", x_tbd.flip(0))):
        p = {name: getattr(lstm, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        p |= {name: getattr(lstm, name + suffix) for name in ("gain_ih", "gain_hh", "gain_c", "bias_c")}
        h = c = x_tbd.new_zeros(B, H)
        steps = []
        for word in words:
            a = F.layer_norm(F.linear(word, p["weight_ih"]), (4 * H,), p["gain_ih"], p["bias_ih"])
            a = a + F.layer_norm(F.linear(h, p["weight_hh"]), (4 * H,), p["gain_hh"], p["bias_hh"])
            i, f, g, o = a.chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * F.layer_norm(c, (H,), p["gain_c"], p["bias_c"]).tanh()
            steps.append(h)
        outputs.append(torch.stack(steps if suffix == "_l0" else steps[::-1]))
    return torch.cat(outputs, dim=-1)


def crf_pairs() -> list[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Return (name, peer's step, own step) for the loss with its gradient, and for decoding."""
    try:
        peer = importlib.import_module("torchcrf").CRF(K, batch_first=True)
    except ImportError:
        print("pytorch-crf is not installed: nothing to compare the CRF with")
        return []
    own = LinearChainCRF(K)
    emissions, tags = torch.randn(B, T, K, requires_grad=True), torch.randint(K, (B, T))
    mask = torch.arange(T) < torch.randint(10, T + 1, (B, 1))
    mask[0] = True
    leaves, own_leaves = [emissions, *peer.parameters()], [emissions, *own.parameters()]
    scores = emissions.detach()
    return [
        (
            "CRF loss and gradient against pytorch-crf",
            lambda: torch.autograd.grad(-peer(emissions, tags, mask, reduction="mean"), leaves),
            lambda: torch.autograd.grad(own.nll(emissions, tags, mask), own_leaves),
        ),
        ("CRF decoding against pytorch-crf", lambda: peer.decode(scores, mask), lambda: own.viterbi(scores, mask)),
    ]


def compare(peer: Callable[[], Any], own: Callable[[], Any], rounds: int) -> str:
    """Time both in turn; return the medians and the ratio's quartiles."""
    seconds(peer), seconds(own)
    pairs = [(seconds(peer), seconds(own)) for _ in range(rounds)]
    low, ratio, high = statistics.quantiles([a / b for a, b in pairs], n=4)
    a, b = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
    return f"peer {a:8.3f} ms  normlab {b:8.3f} ms  ratio {ratio:6.2f} [{low:.2f}, {high:.2f}]"


def seconds(step: Callable[[], Any], repeat: int = 3) -> float:
    """Return the mean duration of a few steps."""
    start = time.perf_counter()
    for _ in range(repeat):
        step()
    return (time.perf_counter() - start) / repeat


if __name__ == "__main__":
    main()
