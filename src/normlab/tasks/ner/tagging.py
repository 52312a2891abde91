"""Tagging sentences that training never saw: chunk by chunk, so that memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from normlab.data.sentences import Sentence
from normlab.data.tagging_scheme import Span, spans, split_tag
from normlab.tasks.base import Placement
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import evaluation_batches
from normlab.tasks.ner.encoding import Lexicon
from normlab.tasks.ner.model import Tagger

_CHUNK = 50_000  # words


class Tagged:
    """A sentence's answer: its tags, their probabilities, and its entities with theirs."""

    def __init__(self, tags: list[str], probabilities: list[float], entities: list[tuple[Span, float]]) -> None:
        self.tags = tags
        self.probabilities = probabilities
        self.entities = entities


def records(
    model: Tagger, sentences: Iterable[Sentence], lexicon: Lexicon, config: NerConfig, placement: Placement, kind: str
) -> Iterator[dict[str, Any]]:
    """Yield a record per sentence, in order; `input` holds `kind`, what the sentences came in."""
    for chunk in _chunks(sentences):
        for sentence, tagged in zip(chunk, _tag(model, chunk, lexicon, config, placement), strict=True):
            yield {"input": kind, **_record(sentence, tagged)}


@torch.inference_mode()
def _tag(
    model: Tagger, sentences: Sequence[Sentence], lexicon: Lexicon, config: NerConfig, placement: Placement
) -> list[Tagged]:
    encoded = lexicon.encode(sentences)
    found: list[Tagged | None] = [None] * len(encoded)
    for rows, _, batch in evaluation_batches(encoded, config, placement):
        with placement.autocast():
            emissions = model(batch).float()
        mask = batch.mask
        best = model.decode(emissions, mask)
        sure = model.probabilities(emissions, mask)
        own = sure.gather(2, best.unsqueeze(-1)).squeeze(-1)
        names = [
            [lexicon.tags[tag] for tag in tags[:length]]
            for tags, length in zip(best.tolist(), batch.lengths.tolist(), strict=True)
        ]
        entities = [spans(tags) for tags in names]
        shares = _span_probabilities(model, emissions, mask, best, sure, entities, lexicon.tags)
        for row, tags, values, items in zip(rows, names, own.tolist(), entities, strict=True):
            scored = [(span, next(shares)) for span in items]
            found[row] = Tagged(tags, values[: len(tags)], scored)
    return [tagged for tagged in found if tagged is not None]


def _span_probabilities(
    model: Tagger,
    emissions: Tensor,
    mask: Tensor,
    best: Tensor,
    sure: Tensor,
    entities: list[list[Span]],
    tags: Sequence[str],
) -> Iterator[float]:
    """Return p(exactly this entity) of all entities, sentence after sentence.

    That is p(its tags, and that the next word does not continue it): exact under the CRF; without one words are
    independent, and it is a product.
    """
    flat = [(row, span) for row, items in enumerate(entities) for span in items]
    if not flat:
        return iter(())
    sentence = torch.tensor([row for row, _ in flat], device=best.device)
    start = torch.tensor([span.start for _, span in flat], device=best.device)
    length = torch.tensor([span.end - span.start for _, span in flat], device=best.device)
    steps = torch.arange(int(length.max()), device=best.device)
    inside = steps < length[:, None]
    place = (start[:, None] + steps).clamp(max=best.shape[1] - 1)
    spelled = best[sentence[:, None], place].masked_fill(~inside, -1)
    number = {tag: index for index, tag in enumerate(tags)}
    last = [tags[int(tag)] for tag in spelled.gather(1, (length - 1)[:, None]).squeeze(1)]
    continuing = [number.get(f"I-{span.type}", -1) for _, span in flat]
    then_not = torch.tensor([n if split_tag(t)[0] in {"B", "I"} else -1 for n, t in zip(continuing, last, strict=True)])
    then_not = then_not.to(best.device)
    if model.crf is not None:
        return iter(model.crf.span_probabilities(emissions, mask, sentence, start, spelled, then_not).tolist())
    own = sure[sentence[:, None], place].gather(2, spelled.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    after = (start + length).clamp(max=best.shape[1] - 1)
    applies = (then_not >= 0) & (start + length < mask.sum(1)[sentence])
    continued = sure[sentence, after].gather(1, then_not.clamp(min=0)[:, None]).squeeze(1)
    shares = own.masked_fill(~inside, 1.0).prod(1) * (1 - continued.masked_fill(~applies, 0.0))
    return iter(shares.tolist())


def _record(sentence: Sentence, tagged: Tagged) -> dict[str, Any]:
    return {
        "sentence": sentence.number,
        "line": sentence.line,
        "words": list(sentence.words),
        "tags": tagged.tags,
        "probabilities": np.round(tagged.probabilities, 6).tolist(),
        "spans": [_span_record(sentence, span, share) for span, share in tagged.entities],
    }


def _span_record(sentence: Sentence, span: Span, probability: float) -> dict[str, Any]:
    record = {
        "type": span.type,
        "start": span.start,
        "end": span.end,
        "text": " ".join(sentence.words[span.start : span.end]),
        "probability": round(probability, 6),
    }
    if sentence.offsets is not None:
        record["characters"] = [sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]]
    return record


def _chunks(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    chunk: list[Sentence] = []
    words = 0
    for sentence in sentences:
        chunk.append(sentence)
        words += len(sentence)
        if words >= _CHUNK:
            yield chunk
            chunk, words = [], 0
    if chunk:
        yield chunk
