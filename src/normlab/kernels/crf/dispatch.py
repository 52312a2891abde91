"""The loss, the decoding and the marginals of a linear-chain CRF: `crf.cpp` on CPUs, Triton on GPUs.

The kernels take float32 and any mask. Arguments are those of `nn.LinearChainCRF`, which has validated them.

Dimensions: B sentences, T positions, K tags.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.crf import operators
from normlab.kernels.crf.scores import REDUCTIONS, Legal, Scores, constrained, full_mask, reduced
from normlab.kernels.runtime import derivatives
from normlab.kernels.runtime.kernel import Kernel

_REDUCTION_CODES = {name: code for code, name in enumerate(REDUCTIONS)}
_SYMBOLS = ("crf_loss", "crf_loss_backward", "crf_viterbi")


class LossKernel(Kernel):
    """`LOSS.try_call(emissions, tags, mask, scores, legal, reduction)` -> the loss of gold sequences, or log Z."""

    has_triton = True

    def try_call(
        self, emissions: Tensor, tags: Tensor | None, mask: Tensor | None, scores: Scores, legal: Legal, reduction: str
    ) -> Tensor | None:
        """Return -log p(tags) of each sentence, or log Z if tags is None, reduced over the batch.

        Args:
            emissions: (B, T, K).
            tags: (B, T) in 0..K-1 where the mask is True.
            mask: (B, T), boolean; None if all positions are real.
            scores: finite.
            legal: the others count as impossible and get no gradient.
            reduction: one of REDUCTIONS.
        Raises: ValueError if a real tag is outside 0..K-1.
        """
        if torch.compiler.is_compiling() or not emissions.is_cpu:
            if not operators.takes(emissions, scores):
                return None if torch.compiler.is_compiling() else self.refuse(emissions)
            mask = full_mask(emissions, mask)
            return reduced(operators.crf_loss(emissions, tags, mask, *constrained(scores, legal))[0], mask, reduction)
        mask = None if mask is None else mask.contiguous()
        tags = None if tags is None else tags.to(torch.int64)
        result = self._run(emissions, mask, *scores, *legal, tags, _REDUCTION_CODES[reduction])
        return self.refuse(emissions) if result is None else result

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        emissions, scores = _example()
        return emissions, torch.zeros(1, 2, dtype=torch.int64), None, scores, (None, None, None), "mean"

    def prepare(self, module: Any) -> None:
        """Second derivatives are those of the reference."""
        module.reference("crf", functools.partial(derivatives.gradients, "crf_loss"))


class ViterbiKernel(Kernel):
    """`VITERBI.try_call(emissions, mask, scores, legal)` -> the best tag sequences."""

    has_triton = True

    def try_call(self, emissions: Tensor, mask: Tensor | None, scores: Scores, legal: Legal) -> Tensor | None:
        """Return the best tag sequences, (B, T) int64, 0 where the mask is False; the arguments are those of LOSS."""
        if torch.compiler.is_compiling() or not emissions.is_cpu:
            if not operators.takes(emissions, scores):
                return None if torch.compiler.is_compiling() else self.refuse(emissions)
            return operators.crf_viterbi(emissions, full_mask(emissions, mask), *constrained(scores, legal))
        mask = None if mask is None else mask.contiguous()
        result = self._run(emissions, mask, *scores, *legal)
        return self.refuse(emissions) if result is None else result

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        emissions, scores = _example()
        return emissions, None, scores, (None, None, None)


class MarginalsKernel(Kernel):
    """`MARGINALS.try_call(emissions, mask, scores, legal)` -> p(y_t = k), where no gradient is recorded."""

    has_triton = True

    def try_call(self, emissions: Tensor, mask: Tensor | None, scores: Scores, legal: Legal) -> Tensor | None:
        """Return p(y_t = k), (B, T, K), 0 where the mask is False; the arguments are those of LOSS.

        It is the gradient of log Z by the emissions, so it is computed by the loss and its backward pass.
        """
        if torch.is_grad_enabled() or not operators.takes(emissions, scores):
            why = "gradients are recorded" if torch.is_grad_enabled() else ""
            return None if torch.compiler.is_compiling() else self.refuse(emissions, why)
        mask, limited = full_mask(emissions, mask), constrained(scores, legal)
        if torch.compiler.is_compiling():
            losses, tape = operators.crf_loss(emissions, None, mask, *limited)
            return operators.crf_loss_backward(torch.ones_like(losses), None, mask, *limited, tape)[0]
        losses, tape = operators.loss(emissions, None, mask, limited)
        return operators.loss_backward(torch.ones_like(losses), None, mask, limited, tape)[0]

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return VITERBI.example()


def _example() -> tuple[Tensor, Scores]:
    return torch.zeros(1, 2, 3), (torch.zeros(3), torch.zeros(3, 3), torch.zeros(3))


LOSS = LossKernel("CRF loss", "crf", "crf", _SYMBOLS)
VITERBI = ViterbiKernel("CRF decoding", "crf", "viterbi", _SYMBOLS)
MARGINALS = MarginalsKernel("CRF marginals", "crf")
