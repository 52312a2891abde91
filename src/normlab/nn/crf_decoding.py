"""The best tag sequences: Viterbi's recursion with the k best partial paths per tag (k = 1: Viterbi itself).

Dimensions: B sentences, T positions, K tags. A partial path is known by `tag * k + rank`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.kernels.crf.scores import FORBIDDEN
from normlab.nn.crf_lattice import Lattice
from normlab.nn.recurrence import recur


def k_best(lattice: Lattice, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best sequences, (B, k, T), and scores, (B, k), -inf where no path is left."""
    # Of no use to a gradient; an exported program says so itself, wherever it is run.
    lattice = Lattice(*(tensor.detach() for tensor in lattice))
    K = lattice.emissions.shape[2]
    first = F.pad((lattice.start + lattice.emissions[:, 0]).unsqueeze(-1), (0, k - 1), value=-torch.inf)
    stay = torch.arange(K * k, device=first.device).view(1, K, k)

    def step(state: tuple[Tensor], position: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor], Tensor]:
        (scores,), (emitted, real) = state, position
        # (B, K * k, K): every partial path, continued by every tag
        continued = (scores[:, :, :, None] + lattice.transitions[:, None, :]).flatten(1, 2)
        best, origin = _largest(continued, k)
        real = real[:, None, None]
        scores = torch.where(real, best.transpose(1, 2) + emitted[:, :, None], scores)
        return (scores,), torch.where(real, origin.transpose(1, 2), stay).flatten(1)

    inputs = lattice.emissions[:, 1:].transpose(0, 1), lattice.mask[:, 1:].t()
    (scores,), pointers = recur(step, (first,), inputs)
    final, path = _largest((scores + lattice.end[:, None]).flatten(1).unsqueeze(-1), k)
    tags = _trace_back(path.squeeze(-1), pointers, k)
    return _clean(tags, final.squeeze(-1), lattice.mask)


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    best = scores.max(dim=1, keepdim=True) if k == 1 else scores.topk(k, dim=1)
    return best[0], best[1]


def _trace_back(last: Tensor, pointers: Tensor | None, k: int) -> Tensor:
    """Follow the pointers (T-1, B, K * k) back from the last partial paths (B, k); return tags (B, k, T)."""

    def step(state: tuple[Tensor], position: tuple[Tensor]) -> tuple[tuple[Tensor], Tensor]:
        path = position[0].gather(1, state[0])
        return (path,), path

    earlier = None if pointers is None else recur(step, (last,), (pointers,), reverse=True)[1]
    paths = last.unsqueeze(0) if earlier is None else torch.cat([earlier, last.unsqueeze(0)])
    return paths.permute(1, 2, 0) // k


def _clean(tags: Tensor, scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drop ranks that no legal path fills, and give an empty sentence its one empty path."""
    rank = torch.arange(scores.shape[1], device=scores.device)
    # The best path stays even where no legal one exists: a caller who decodes needs some answer.
    scores = scores.masked_fill((scores < FORBIDDEN / 2) & (rank > 0), -torch.inf)
    of_empty = torch.where(rank == 0, 0.0, -torch.inf).to(scores.dtype)
    scores = torch.where(mask[:, :1], scores, of_empty)
    return tags.masked_fill(~mask[:, None, :] | (scores == -torch.inf)[:, :, None], 0), scores
