"""The best continuations of every sentence of a beam search, out of a table over all of its beams.

A sentence's best are among the best of its rows. So the table, which may be 128 rows of 32,000 numbers, is looked
through once and in its own type; only the few that remain are added up, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Candidate = tuple[int, int, float, float]  # beam, token, sum so far in float64, log-probability of the token


def best_candidates(table: Tensor, beams: Sequence[Sequence[float]], count: int) -> list[list[Candidate]]:
    """Return the best finite candidates of each sentence, best first; of equal ones the earlier beam, smaller token.

    Args:
        table: (R, V) log-probabilities of the next token, floating, for all beams of all sentences in order.
        beams: for each sentence, the sums of its beams so far.
        count: most candidates of a sentence.
    """
    sums = torch.tensor([total for of_sentence in beams for total in of_sentence], dtype=torch.float64)
    tokens, log_probs = _best_of_rows(table, sums.to(table.device), count)
    widths = torch.tensor([len(of_sentence) for of_sentence in beams])
    rows = torch.arange(int(widths.max())) + (widths.cumsum(0) - widths)[:, None]  # (sentences, most beams)
    is_live = torch.arange(rows.shape[1]) < widths[:, None]
    rows = rows.masked_fill_(~is_live, 0)
    totals = (sums[:, None] + log_probs)[rows].masked_fill_(~is_live[:, :, None], -math.inf).flatten(1)
    totals, order = totals.sort(descending=True, stable=True)
    order = order[:, :count]
    beam = order // tokens.shape[1]
    places = (rows.gather(1, beam), order % tokens.shape[1])
    columns = zip(beam.tolist(), tokens[places].tolist(), totals.tolist(), log_probs[places].tolist(), strict=True)
    return [
        [candidate for candidate in zip(*of_sentence, strict=False) if candidate[2] > -math.inf]
        for of_sentence in columns
    ]


def _best_of_rows(table: Tensor, sums: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return tokens and log-probabilities (float64) of each row's best, (R, at most count), in order of tokens."""
    width = min(count, table.shape[1])
    values, tokens = table.topk(min(count + 1, table.shape[1]))
    totals = sums[:, None] + values.double()
    if totals.shape[1] > width:
        # `topk` leaves open which of equal ones it returns: where that matters, ask again.
        tied = (totals[:, width - 1] == totals[:, width]) & (totals[:, width] > -math.inf)
        for row in tied.nonzero().flatten().tolist():
            tokens[row, :width] = (sums[row] + table[row].double()).sort(descending=True, stable=True).indices[:width]
            values[row, :width] = table[row, tokens[row, :width]]
    tokens, order = tokens[:, :width].cpu().sort()
    return tokens, values[:, :width].cpu().double().gather(1, order)
