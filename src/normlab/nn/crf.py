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

from normlab.kernels.crf import LOSS, MARGINALS, VITERBI
from normlab.kernels.crf.scores import REDUCTIONS, Legal, Scores, constrained, full_mask, reduced
from normlab.kernels.runtime import guards
from normlab.kernels.runtime.derivatives import register_reference
from normlab.nn import crf_decoding, crf_lattice
from normlab.nn.crf_lattice import Lattice

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
        mask = self._check(emissions, mask)
        _check_tags(tags, emissions)
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be mean, sum, none or token_mean, got {reduction!r}")
        loss = LOSS.try_call(emissions, tags, mask, self._scores(), self._legal(), reduction)
        if loss is not None:
            return loss
        mask = full_mask(emissions, mask)
        lattice, order = self._lattice(emissions, mask)
        losses = crf_lattice.log_partition(lattice) - self._path_score(lattice, order, tags)
        return reduced(losses, mask, reduction)

    def score(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the unnormalised score of each tag sequence, (B,)."""
        mask = self._check(emissions, mask)
        _check_tags(tags, emissions)
        lattice, order = self._lattice(emissions, mask)
        return self._path_score(lattice, order, tags)

    def log_partition(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log Z, the log of the summed exp(score) of all sequences, (B,)."""
        mask = self._check(emissions, mask)
        result = LOSS.try_call(emissions, None, mask, self._scores(), self._legal(), "none")
        if result is not None:
            return result
        return crf_lattice.log_partition(self._lattice(emissions, mask)[0])

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the best tag sequence of each sentence, (B, T) int64, 0 where the mask is False."""
        mask = self._check(emissions, mask)
        best_path = VITERBI.try_call(emissions, mask, self._scores(), self._legal())
        if best_path is not None:
            return best_path
        paths, _ = self.k_best(emissions, mask, k=1)
        return paths[:, 0]

    @torch.no_grad()
    def k_best(self, emissions: Tensor, mask: Tensor | None = None, k: int = 1) -> tuple[Tensor, Tensor]:
        """Return the k best sequences, best first: tags (B, k, T), 0 where masked, and scores (B, k).

        A sentence with fewer legal sequences than k has score -inf in the surplus rows.
        """
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        lattice, order = self._lattice(emissions, self._check(emissions, mask))
        paths, scores = crf_decoding.k_best(lattice, k)
        back = order.unsqueeze(1).expand(-1, k, -1)
        return torch.zeros_like(paths).scatter(2, back, paths)[:, :, : emissions.shape[1]], scores

    def marginals(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return p(y_t = k), (B, T, K), 0 where the mask is False. Differentiable."""
        mask = self._check(emissions, mask)
        result = MARGINALS.try_call(emissions, mask, self._scores(), self._legal())
        if result is not None:
            return result
        lattice, order = self._lattice(emissions, mask)
        probabilities = crf_lattice.token_marginals(lattice)
        back = order.unsqueeze(-1).expand_as(probabilities)
        return torch.zeros_like(probabilities).scatter(1, back, probabilities)[:, : emissions.shape[1]]

    def pairwise_marginals(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return p(y_t = i, y_{t+1} = j), (B, T-1, K, K), 0 beyond the last real pair. Differentiable.

        With gaps in the mask, pair t is the t-th and the next real position.
        """
        return crf_lattice.pairwise_marginals(self._lattice(emissions, self._check(emissions, mask))[0])

    def entropy(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the entropy of the distribution over tag sequences in nats, (B,). Differentiable."""
        return crf_lattice.entropy(self._lattice(emissions, self._check(emissions, mask))[0])

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
        mask = self._check(emissions, mask)
        lattice, _ = self._lattice(emissions, mask)
        marginals = MARGINALS.try_call(emissions, mask, self._scores(), self._legal()) if emissions.shape[1] else None
        return crf_lattice.span_probabilities(lattice, sentences, starts, tags, then_not, marginals)

    def constrained_scores(self) -> Scores:
        """Return start (K,), transition (K, K) and end scores (K,), -1e30 where illegal."""
        return constrained(self._scores(), self._legal())

    def _scores(self) -> Scores:
        return self.start_transitions, self.transitions, self.end_transitions

    def _legal(self) -> Legal:
        return self.allowed_start, self.allowed_transitions, self.allowed_end

    def _lattice(self, emissions: Tensor, mask: Tensor | None) -> tuple[Lattice, Tensor]:
        return _aligned(emissions, full_mask(emissions, mask), self.constrained_scores())

    def _path_score(self, lattice: Lattice, order: Tensor, tags: Tensor) -> Tensor:
        if tags.shape[1] == 0:
            return lattice.emissions.new_zeros(tags.shape[0])
        front = _front_tags(lattice, order, tags)
        if front.numel() and guards.allows_reading(front) and not 0 <= front.min() <= front.max() < self.num_tags:
            raise ValueError(f"tags must lie in 0..{self.num_tags - 1}, got {int(front.min())}..{int(front.max())}")
        return crf_lattice.path_score(lattice, front)

    def _check(self, emissions: Tensor, mask: Tensor | None) -> Tensor | None:
        """Refuse what does not fit; return the mask as booleans, None for all positions."""
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags:
            raise ValueError(f"emissions must be (B, T, {self.num_tags}), got {tuple(emissions.shape)}")
        if not emissions.is_floating_point():
            raise ValueError(f"emissions must be floating-point scores, got {emissions.dtype}")
        if mask is None:
            return None
        if mask.shape != emissions.shape[:2]:
            raise ValueError(f"mask must be {tuple(emissions.shape[:2])}, got {tuple(mask.shape)}")
        return mask.bool()


def _check_tags(tags: Tensor, emissions: Tensor) -> None:
    if tags.shape != emissions.shape[:2]:
        raise ValueError(f"tags must be {tuple(emissions.shape[:2])}, got {tuple(tags.shape)}")
    if tags.is_floating_point() or tags.is_complex() or tags.dtype == torch.bool:
        raise ValueError(f"tags must be whole numbers, got {tags.dtype}")


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
    scores = constrained([start, transitions, end], legal)  # type: ignore[list-item]
    lattice, order = _aligned(emissions, full_mask(emissions, mask).bool().to(emissions.device), scores)
    losses = crf_lattice.log_partition(lattice)
    if tags is not None:
        losses = losses - crf_lattice.path_score(lattice, _front_tags(lattice, order, tags))
    return (losses if scale < 0 else losses.sum() * scale,)


register_reference("crf_loss", _loss_reference)


def _legal_triple(allowed: Any, K: int) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    if allowed is None:
        return None, None, None
    parts = tuple(allowed) if isinstance(allowed, tuple) else (np.ones(K, bool), allowed, np.ones(K, bool))
    start, transitions, end = (torch.as_tensor(part).bool().contiguous() for part in parts)
    shapes = tuple(start.shape), tuple(transitions.shape), tuple(end.shape)
    if shapes != ((K,), (K, K), (K,)):
        raise ValueError(f"allowed must have shapes ({K},), ({K}, {K}), ({K},), got {shapes}")
    return start, transitions, end
