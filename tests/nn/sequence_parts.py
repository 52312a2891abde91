"""Small programs around LayerNormLSTM and LinearChainCRF, which the tests transform, trace, export and compile."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from normlab.nn import LayerNormLSTM, LinearChainCRF

B, T, D, K = 3, 6, 4, 5


class Hidden(nn.Module):
    """The LSTM's output and final states as one tensor."""

    def __init__(self, **options) -> None:
        super().__init__()
        self.lstm = LayerNormLSTM(D, 3, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        output, (h_n, c_n) = self.lstm(x)
        return torch.cat([output.flatten(1), h_n.transpose(0, 1).flatten(1), c_n.transpose(0, 1).flatten(1)], 1)


class OfLengths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = LayerNormLSTM(D, 3, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = torch.arange(x.shape[0]) % 2 + x.shape[1] - 1
        return self.lstm(x, lengths=lengths)[0].flatten(1)


class Asked(nn.Module):
    """A CRF behind a linear layer, asked for one quantity."""

    def __init__(self, quantity: str, constrained: bool = False, masked: bool = False) -> None:
        super().__init__()
        allowed = torch.ones(K, K).bool()
        allowed[1, 2] = allowed[4, 0] = False
        self.quantity, self.masked = quantity, masked
        self.linear, self.crf = nn.Linear(D, K), LinearChainCRF(K, allowed if constrained else None)

    def forward(self, x: Tensor) -> Tensor:
        emissions = 2 * self.linear(x)
        mask = (torch.arange(x.shape[1]) < x.shape[1] - 1).expand(x.shape[:2]) if self.masked else None
        if self.quantity == "nll":
            tags = torch.arange(x.shape[1]).remainder(2).expand(x.shape[:2])
            return self.crf.nll(emissions, tags, mask, "none")
        if self.quantity == "k_best":
            paths, scores = self.crf.k_best(emissions, mask, 3)
            return (paths * torch.arange(1, 4)[:, None]).sum(1) + scores.sum(1, keepdim=True)
        return getattr(self.crf, self.quantity)(emissions, mask)


DIFFERENTIABLE: dict[str, Callable[[], nn.Module]] = {
    "lstm": Hidden,
    "plain lstm": lambda: Hidden(layer_norm=False),
    "two layers, both directions": lambda: Hidden(num_layers=2, bidirectional=True),
    "projected": lambda: Hidden(proj_size=2, bias=False),
    "lengths": OfLengths,
    "nll": lambda: Asked("nll"),
    "nll, constrained and masked": lambda: Asked("nll", True, True),
    "log_partition": lambda: Asked("log_partition", masked=True),
    "marginals": lambda: Asked("marginals"),
    "entropy": lambda: Asked("entropy", True, True),
}
DECODING: dict[str, Callable[[], nn.Module]] = {
    "viterbi": lambda: Asked("viterbi", True),
    "viterbi, masked": lambda: Asked("viterbi", masked=True),
    "k_best": lambda: Asked("k_best", masked=True),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    module = (DIFFERENTIABLE | DECODING)[name]()
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module


def inputs(batch: int = B, steps: int = T) -> Tensor:
    return torch.randn(batch, steps, D, generator=torch.Generator().manual_seed(1))


def scalar(module: nn.Module, x: Tensor) -> Tensor:
    return module(x).square().sum()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-3, atol=1e-4)
