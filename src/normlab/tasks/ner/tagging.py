"""Tag sentences that training never saw, chunk by chunk, so that memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from normlab.data.tagging.case_table import CaseTable
from normlab.data.tagging.letter_case import restored
from normlab.data.tagging.scheme import Span, spans, split_tag
from normlab.data.tagging.sentences import Sentence
from normlab.tasks.base import Placement
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import evaluation_batches
from normlab.tasks.ner.encoding import Lexicon
from normlab.tasks.ner.model import Tagger
from normlab.tasks.ner.reading import Input

_CHUNK = 50_000  # words


class Tagged:
    """A tagged sentence: its tags, their probabilities, and its entities with theirs."""

    def __init__(self, tags: list[str], probabilities: list[float], entities: list[tuple[Span, float]]) -> None:
        self.tags = tags
        self.probabilities = probabilities
        self.entities = entities


class Records(Iterator[dict[str, Any]]):
    """A record per sentence, in order; `given` is the input, which `write_predictions` may need."""

    def __init__(
        self, model: Tagger, given: Input, card: Mapping[str, Any], config: NerConfig, placement: Placement
    ) -> None:
        self.given = given
        self._records = _records(model, given, card, config, placement)

    def __next__(self) -> dict[str, Any]:
        return next(self._records)


def _records(
    model: Tagger, given: Input, card: Mapping[str, Any], config: NerConfig, placement: Placement
) -> Iterator[dict[str, Any]]:
    lexicon = Lexicon(card, lowercase=config.lowercase)
    table = CaseTable(card["case"]) if "case" in card and config.input_case != "written" else None
    everywhere = config.input_case == "restored"
    for chunk in _chunks(given.sentences):
        read = [_as_read(sentence, table, everywhere=everywhere) for sentence in chunk]
        for sentence, tagged in zip(chunk, _tag(model, read, lexicon, config, placement), strict=True):
            yield {"input": given.kind, **_record(sentence, tagged)}


def _as_read(sentence: Sentence, table: CaseTable | None, *, everywhere: bool) -> Sentence:
    """Return what the model reads of a sentence: running text as training would spell it, given words as they are."""
    running = sentence.offsets is not None
    words = sentence.tokens if running else sentence.words
    if table is not None and (running or everywhere):
        words = restored(words, table)
    elif not running:
        return sentence
    return replace(sentence, words=words, tokens=words if running else sentence.tokens)


@torch.inference_mode()
def _tag(
    model: Tagger, sentences: Sequence[Sentence], lexicon: Lexicon, config: NerConfig, placement: Placement
) -> list[Tagged]:
    encoded = lexicon.encode(sentences)
    respell = lexicon.respell
    tagged_sentences: list[Tagged | None] = [None] * len(encoded)
    for rows, _, batch in evaluation_batches(encoded, config, placement):
        with placement.autocast():
            emissions = model(batch).float()
        mask = batch.mask
        best = model.decode(emissions, mask)
        probabilities = model.probabilities(emissions, mask)
        of_best = probabilities.gather(2, best.unsqueeze(-1)).squeeze(-1)
        names = [
            [lexicon.tags[tag] for tag in tags[:length]]
            for tags, length in zip(best.tolist(), batch.lengths.tolist(), strict=True)
        ]
        entities = [spans(tags) for tags in names]
        flat = _gathered(entities, names, lexicon.tags, best.device)
        shares = _span_probabilities(model, emissions, mask, probabilities, entities, flat)
        for row, tags, values, items in zip(rows, names, of_best.tolist(), entities, strict=True):
            scored = [(span, next(shares)) for span in items]
            tagged_sentences[row] = Tagged(respell(tags), values[: len(tags)], scored)
    return [tagged for tagged in tagged_sentences if tagged is not None]


class _Spans(NamedTuple):
    """(S,) entities of a batch: rows, first words, tags (S, L) with -1 after the last, and the tag that would go on."""

    sentences: Tensor
    starts: Tensor
    tags: Tensor
    then_not: Tensor  # -1 for none


def _span_probabilities(
    model: Tagger, emissions: Tensor, mask: Tensor, probabilities: Tensor, entities: list[list[Span]], flat: _Spans
) -> Iterator[float]:
    """Return p(exactly this entity) of all entities, sentence after sentence.

    That is p(its tags, and that the next word does not continue it): exact under the CRF; without one words are
    independent, and it is a product.
    """
    if not any(entities):
        return iter(())
    if model.crf is not None:
        return iter(model.crf.span_probabilities(emissions, mask, *flat).tolist())
    inside = flat.tags >= 0
    ends = flat.starts + inside.sum(1)
    last = probabilities.shape[1] - 1
    positions = (flat.starts[:, None] + torch.arange(inside.shape[1], device=probabilities.device)).clamp(max=last)
    of_tags = (
        probabilities[flat.sentences[:, None], positions].gather(2, flat.tags.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    )
    after = (
        probabilities[flat.sentences, ends.clamp(max=last)].gather(1, flat.then_not.clamp(min=0)[:, None]).squeeze(1)
    )
    may_continue = (flat.then_not >= 0) & (ends < mask.sum(1)[flat.sentences])
    shares = of_tags.masked_fill(~inside, 1.0).prod(1) * (1 - after.masked_fill(~may_continue, 0.0))
    return iter(shares.tolist())


def _gathered(entities: list[list[Span]], names: list[list[str]], tags: Sequence[str], device: torch.device) -> _Spans:
    number = {tag: index for index, tag in enumerate(tags)}
    flat = [(row, span, names[row][span.start : span.end]) for row, items in enumerate(entities) for span in items]
    longest = max((len(spelled) for _, _, spelled in flat), default=1)
    spelled_out = [[number[tag] for tag in spelled] + [-1] * (longest - len(spelled)) for _, _, spelled in flat]
    then_not = [
        number.get(f"I-{span.type}", -1) if split_tag(spelled[-1])[0] in {"B", "I"} else -1 for _, span, spelled in flat
    ]
    columns = [row for row, _, _ in flat], [span.start for _, span, _ in flat], spelled_out, then_not
    return _Spans(*(torch.tensor(column, dtype=torch.int64, device=device) for column in columns))


def _record(sentence: Sentence, tagged: Tagged) -> dict[str, Any]:
    places = {} if sentence.offsets is None else {"characters": [sentence.offsets[0][0], sentence.offsets[-1][1]]}
    return {
        "sentence": sentence.number,
        "line": sentence.line,
        **places,
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
