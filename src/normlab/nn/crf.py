"""A linear-chain conditional random field (Lafferty, McCallum & Pereira 2001), batched, as one module.

The score of a tag sequence is start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_{t-1}, y_t] +
end[y_n]. All questions about the distribution exp(score) / Z are answered by the recursions in `crf_lattice`
and `crf_decoding`: loops over time, never over sentences. Parameters bear pytorch-crf's names.

Dimensions: B sentences, T positions, K tags. Masks are True where a position is real; real positions need not
be on the left, nor adjacent: the others are skipped. An empty sentence has one (empty) path with score 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.kernels.crf import dispatch as kernel
from normlab.kernels.runtime import guards
from normlab.kernels.runtime.derivatives import register_reference
from normlab.nn import crf_decoding, crf_lattice
from normlab.nn.crf_lattice import FORBIDDEN, Lattice

Reduction = Literal["mean", "sum", "none", "token_mean"]


class LinearChainCRF(nn.Module):
    """Loss, decoding and probabilities of tag sequences, given emission scores (B, T, K).

    Args:
        num_tags: K.
        allowed: which transitions are legal: a boolean (K, K) array [from, to], or a triple (start (K,),
            transitions (K, K), end (K,)) as `data.tagging.scheme.legal_transitions` returns. The others score
            -1e30 everywhere, so they have probability 0 in the loss too and are never decoded, unless a
            sentence has no legal path at all; a gold sequence that is illegal makes the loss about 1e30.
    Initialisation: all scores U(-0.1, 0.1), as in pytorch-crf.
    """

    allowed_start: Tensor | None
    allowed_transitions: Tensor | None
    allowed_end: Tensor | None

    def __init__(self, num_tags: int, allowed: Any = None) -> None:
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"num_tags must be positive, got {num_tags}")
        self.num_tags = num_tags
        self.start_transitions = nn.Parameter(torch.empty(num_tags))
        self.end_transitions = nn.Parameter(torch.empty(num_tags))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        for name, legal in zip(("start", "transitions", "end"), _legal_triple(allowed, num_tags), strict=True):
            self.register_buffer(f"allowed_{name}", legal, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all scores from U(-0.1, 0.1)."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def extra_repr(self) -> str:
        """Show the number of tags, and whether transitions are constrained."""
        return f"{self.num_tags}, constrained={self.allowed_transitions is not None}"

    def nll(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None, reduction: Reduction = "mean") -> Tensor:
        """Return the negative log-likelihood -log p(tags | emissions) of gold sequences.

        Args:
            emissions: (B, T, K), floating; halves are computed in float32.
            tags: (B, T) in 0..K-1 where the mask is True, anything elsewhere.
            mask: (B, T), True where a position is real; None for all.
            reduction: "mean" over sentences, "sum", "none" (B,), or "token_mean" over real positions.
        """
        found = kernel.reduced_loss(emissions, tags, mask, self._scores(), self._legal(), reduction)
        if found is not None:
            return found
        mask = self._check(emissions, mask)
        self._check_tags(tags, mask)
        if kernel.applies(emissions, self.transitions):
            losses = kernel.loss(emissions, tags, mask, self.constrained_scores())
        else:
            lattice, order = self._lattice(emissions, mask)
            losses = crf_lattice.log_partition(lattice) - self._path_score(lattice, order, tags)
        return _reduce(losses, mask, reduction)

    def score(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the unnormalised score of each tag sequence, (B,)."""
        self._check_tags(tags, self._check(emissions, mask))
        lattice, order = self._lattice(emissions, mask)
        return self._path_score(lattice, order, tags)

    def log_partition(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log Z, the log of the summed exp(score) of all sequences, (B,)."""
        found = kernel.reduced_loss(emissions, None, mask, self._scores(), self._legal(), "none")
        if found is not None:
            return found
        if kernel.applies(emissions, self.transitions):
            return kernel.loss(emissions, None, self._check(emissions, mask), self.constrained_scores())
        return crf_lattice.log_partition(self._lattice(emissions, mask)[0])

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the best tag sequence of each sentence, (B, T) int64, 0 where the mask is False."""
        found = kernel.legal_best_path(emissions, mask, self._scores(), self._legal())
        if found is not None:
            return found
        if kernel.applies(emissions, self.transitions):
            return kernel.best_path(emissions, self._check(emissions, mask), self.constrained_scores())
        paths, _ = self.k_best(emissions, mask, k=1)
        return paths[:, 0]

    @torch.no_grad()
    def k_best(self, emissions: Tensor, mask: Tensor | None = None, k: int = 1) -> tuple[Tensor, Tensor]:
        """Return the k best sequences, best first: tags (B, k, T), 0 where masked, and scores (B, k).

        A sentence with fewer legal sequences than k has score -inf in the surplus rows.
        """
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        lattice, order = self._lattice(emissions, mask)
        paths, scores = crf_decoding.k_best(lattice, k)
        back = order.unsqueeze(1).expand(-1, k, -1)
        return torch.zeros_like(paths).scatter(2, back, paths)[:, :, : emissions.shape[1]], scores

    def marginals(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return p(y_t = k), (B, T, K), 0 where the mask is False. Differentiable."""
        if not torch.is_grad_enabled() and kernel.applies(emissions, self.transitions):
            return kernel.token_marginals(emissions, self._check(emissions, mask), self.constrained_scores())
        lattice, order = self._lattice(emissions, mask)
        probabilities = crf_lattice.token_marginals(lattice)
        back = order.unsqueeze(-1).expand_as(probabilities)
        return torch.zeros_like(probabilities).scatter(1, back, probabilities)[:, : emissions.shape[1]]

    def pairwise_marginals(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return p(y_t = i, y_{t+1} = j), (B, T-1, K, K), 0 beyond the last real pair. Differentiable.

        With gaps in the mask, pair t is the t-th and the next real position.
        """
        return crf_lattice.pairwise_marginals(self._lattice(emissions, mask)[0])

    def entropy(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the entropy of the distribution over tag sequences in nats, (B,). Differentiable."""
        return crf_lattice.entropy(self._lattice(emissions, mask)[0])

    def span_probabilities(
        self,
        emissions: Tensor,
        mask: Tensor | None,
        sentences: Tensor,
        starts: Tensor,
        tags: Tensor,
        then_not: Tensor | None = None,
    ) -> Tensor:
        """Return p(y_{start} .. y_{start+n-1} = tags) of S spans, (S,): the confidence of an entity.

        Args:
            emissions, mask: the batch; real positions adjacent and on the left.
            sentences: (S,), the span's row in the batch.
            starts: (S,), its first position.
            tags: (S, L), its tags, -1 after the last.
            then_not: (S,), a tag that the position after the span must not have (`I-X`, so that a longer
                entity does not count), -1 for none.
        """
        lattice, _ = self._lattice(emissions, mask)
        has_kernel = not torch.is_grad_enabled() and kernel.applies(emissions, self.transitions)
        marginals = self.marginals(emissions, mask) if has_kernel and emissions.shape[1] else None
        return crf_lattice.span_probabilities(lattice, sentences, starts, tags, then_not, marginals)

    def constrained_scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return start (K,), transition (K, K) and end scores (K,), -1e30 where illegal."""
        return _constrained(self._scores(), self._legal())

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.start_transitions, self.transitions, self.end_transitions

    def _legal(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return self.allowed_start, self.allowed_transitions, self.allowed_end

    def _lattice(self, emissions: Tensor, mask: Tensor | None) -> tuple[Lattice, Tensor]:
        return _aligned(emissions, self._check(emissions, mask), self.constrained_scores())

    def _path_score(self, lattice: Lattice, order: Tensor, tags: Tensor) -> Tensor:
        if tags.shape[1] == 0:
            return lattice.emissions.new_zeros(tags.shape[0])
        front = _front_tags(lattice, order, tags)
        if front.numel() and guards.allows_reading(front) and not 0 <= front.min() <= front.max() < self.num_tags:
            raise ValueError(f"tags must lie in 0..{self.num_tags - 1}, got {int(front.min())}..{int(front.max())}")
        return crf_lattice.path_score(lattice, front)

    def _check(self, emissions: Tensor, mask: Tensor | None) -> Tensor:
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags:
            raise ValueError(f"emissions must be (B, T, {self.num_tags}), got {tuple(emissions.shape)}")
        if not emissions.is_floating_point():
            raise ValueError(f"emissions must be floating-point scores, got {emissions.dtype}")
        if mask is None:
            return torch.ones(emissions.shape[:2], dtype=torch.bool, device=emissions.device)
        if mask.shape != emissions.shape[:2]:
            raise ValueError(f"mask must be {tuple(emissions.shape[:2])}, got {tuple(mask.shape)}")
        return mask.bool()

    @staticmethod
    def _check_tags(tags: Tensor, mask: Tensor) -> None:
        if tags.shape != mask.shape:
            raise ValueError(f"tags must be {tuple(mask.shape)}, got {tuple(tags.shape)}")
        if tags.is_floating_point() or tags.is_complex() or tags.dtype == torch.bool:
            raise ValueError(f"tags must be whole numbers, got {tags.dtype}")


def _constrained(scores: Sequence[Tensor], legal: Sequence[Tensor | None]) -> tuple[Tensor, Tensor, Tensor]:
    start, transitions, end = (
        values if ok is None else values.masked_fill(~ok, FORBIDDEN) for values, ok in zip(scores, legal, strict=True)
    )
    return start, transitions, end


def _aligned(emissions: Tensor, mask: Tensor, scores: Sequence[Tensor]) -> tuple[Lattice, Tensor]:
    if emissions.dtype in (torch.float16, torch.bfloat16):
        emissions = emissions.float()
    start, transitions, end = (values.to(emissions.dtype) for values in scores)
    return crf_lattice.front_aligned(emissions, mask, start, transitions, end)


def _front_tags(lattice: Lattice, order: Tensor, tags: Tensor) -> Tensor:
    """Return the tags (B, T) in the lattice's order, 0 where it has no real position."""
    tags = F.pad(tags.to(torch.int64), (0, order.shape[1] - tags.shape[1]))
    return tags.gather(1, order).masked_fill(~lattice.mask, 0)


def _loss_reference(inputs: Sequence[Tensor | None], scale: float) -> tuple[Tensor]:
    """Compute the kernel's loss: of each sentence where scale is negative, else their sum times scale."""
    emissions, start, transitions, end, tags, mask, *legal = inputs
    assert emissions is not None
    mask = torch.ones(emissions.shape[:2], dtype=torch.bool) if mask is None else mask.bool()
    mask = mask.to(emissions.device)
    scores = _constrained([start, transitions, end], legal)  # type: ignore[list-item]
    lattice, order = _aligned(emissions, mask, scores)
    losses = crf_lattice.log_partition(lattice)
    if tags is not None:
        losses = losses - crf_lattice.path_score(lattice, _front_tags(lattice, order, tags))
    return (losses if scale < 0 else losses.sum() * scale,)


register_reference("crf_loss", _loss_reference)


def _reduce(losses: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.mean()
    if reduction == "token_mean":
        return losses.sum() / mask.sum()
    raise ValueError(f"reduction must be mean, sum, none or token_mean, got {reduction!r}")


def _legal_triple(allowed: Any, K: int) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    if allowed is None:
        return None, None, None
    parts = tuple(allowed) if isinstance(allowed, tuple) else (np.ones(K, bool), allowed, np.ones(K, bool))
    start, transitions, end = (torch.as_tensor(part).bool() for part in parts)
    shapes = tuple(start.shape), tuple(transitions.shape), tuple(end.shape)
    if shapes != ((K,), (K, K), (K,)):
        raise ValueError(f"allowed must have shapes ({K},), ({K}, {K}), ({K},), got {shapes}")
    return start, transitions, end
