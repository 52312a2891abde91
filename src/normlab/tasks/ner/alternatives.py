"""The k best taggings of sentences: what a tagger nearly said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from normlab.data.tagging.sentences import Sentence
from normlab.nn.crf import LinearChainCRF
from normlab.tasks.base import Placement
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import evaluation_batches
from normlab.tasks.ner.encoding import Lexicon
from normlab.tasks.ner.model import Tagger


class Tagging(NamedTuple):
    """A tag for each word of a sentence, and the probability of exactly these tags together."""

    tags: list[str]
    probability: float


@torch.inference_mode()
def best_taggings(
    model: Tagger,
    sentences: Sequence[Sequence[str]],
    config: NerConfig,
    card: Mapping[str, Any],
    placement: Placement,
    *,
    k: int,
) -> list[list[Tagging]]:
    """Return the k best taggings of each sentence, best first; fewer where fewer are legal.

    A tagger without CRF scores words independently: a chain whose transitions all score 0.

    Args:
        sentences: their words; none is empty.
    """
    lexicon = Lexicon(card, lowercase=config.lowercase)
    given = [Sentence(tuple(words), None, tuple(words), number, number) for number, words in enumerate(sentences)]
    chain = model.crf if model.crf is not None else _independent(len(lexicon.tags)).to(placement.device)
    taggings: list[list[Tagging]] = [[] for _ in given]
    for rows, _, batch in evaluation_batches(lexicon.encode(given), config, placement):
        with placement.autocast():
            emissions = model(batch).float()
        tags, scores = chain.k_best(emissions, batch.mask, k)
        log_shares = (scores - chain.log_partition(emissions, batch.mask)[:, None]).tolist()
        for row, length, paths, shares in zip(rows, batch.lengths.tolist(), tags.tolist(), log_shares, strict=True):
            taggings[row] = [
                Tagging(lexicon.respell([lexicon.tags[tag] for tag in path[:length]]), math.exp(min(share, 0.0)))
                for path, share in zip(paths, shares, strict=True)
                if share > _IMPOSSIBLE
            ]
    return taggings


def _independent(num_tags: int) -> LinearChainCRF:
    chain = LinearChainCRF(num_tags)
    for parameter in chain.parameters():
        parameter.zero_()
    return chain


_IMPOSSIBLE = -1e20  # illegal sequences score about -1e30
