"""The best tag sequences: Viterbi's recursion with the k best partial paths per tag (k = 1: Viterbi itself).

Letters: B sentences, T positions, K tags. A partial path is known by `tag * k + rank`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from normlab.nn.crf_lattice import FORBIDDEN, Lattice


def k_best(lattice: Lattice, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best sequences, (B, k, T), and scores, (B, k), -inf where no path is left."""
    B, T, K = lattice.emissions.shape
    scores = lattice.emissions.new_full((B, K, k), -torch.inf)
    scores[:, :, 0] = lattice.start + lattice.emissions[:, 0]
    stay = torch.arange(K * k, device=scores.device).view(1, K, k)
    pointers = []
    for t in range(1, T):
        # (B, K * k, K): every partial path, continued by every tag
        continued = (scores[:, :, :, None] + lattice.transitions[:, None, :]).flatten(1, 2)
        best, origin = _largest(continued, k)
        real = lattice.mask[:, t, None, None]
        scores = torch.where(real, best.transpose(1, 2) + lattice.emissions[:, t, :, None], scores)
        pointers.append(torch.where(real, origin.transpose(1, 2), stay).flatten(1))
    final, path = _largest((scores + lattice.end[:, None]).flatten(1).unsqueeze(-1), k)
    tags = _trace_back(path.squeeze(-1), pointers, k)
    return _clean(tags, final.squeeze(-1), lattice.mask)


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    found = scores.max(dim=1, keepdim=True) if k == 1 else scores.topk(k, dim=1)
    return found[0], found[1]


def _trace_back(path: Tensor, pointers: list[Tensor], k: int) -> Tensor:
    tags = [path // k]
    for origin in reversed(pointers):
        path = origin.gather(1, path)
        tags.append(path // k)
    return torch.stack(tags[::-1], dim=2)


def _clean(tags: Tensor, scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drop ranks that no legal path fills, and give an empty sentence its one empty path."""
    rank = torch.arange(scores.shape[1], device=scores.device)
    # The best path stays even where no legal one exists: a caller who decodes needs some answer.
    scores = scores.masked_fill((scores < FORBIDDEN / 2) & (rank > 0), -torch.inf)
    of_empty = torch.where(rank == 0, 0.0, -torch.inf).to(scores.dtype)
    scores = torch.where(mask[:, :1], scores, of_empty)
    return tags.masked_fill(~mask[:, None, :] | (scores == -torch.inf)[:, :, None], 0), scores
