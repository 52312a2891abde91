"""The encoded questions of a run, and batches that are functions of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from normlab.data.sql.schema import Schema
from normlab.data.text import buckets
from normlab.data.text.embedding_files import VectorSource
from normlab.data.text.vocabulary import SPECIAL, Vocabulary
from normlab.data.text.word_forms import fold, tokens_of
from normlab.nn.pretrained import encoder_card
from normlab.tasks.base import Placement
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.grammar.actions import UNKNOWN_VALUE
from normlab.tasks.text2sql.inputs.augment import shown_items
from normlab.tasks.text2sql.inputs.contents import fingerprint_parts, input_fingerprints, whole_fingerprint
from normlab.tasks.text2sql.inputs.encoding import Batch, Item, collate
from normlab.tasks.text2sql.inputs.notes import data_notes
from normlab.tasks.text2sql.inputs.questions import Questions, questions_of
from normlab.tasks.text2sql.inputs.rows import Rows, data_folder, read_rows
from normlab.tasks.text2sql.inputs.start import start_card, start_fingerprint

_LISTED = 20


@dataclass(frozen=True)
class Text2SqlData:
    """What `prepare` returns.

    Attributes:
        items: split -> one per row.
        rows: the questions themselves, and what they leak.
        questions: encodes more of them.
        trainable: rows of the training part whose gold the decoder can write.
        costs: of each of them, for batches of questions that cost alike.
    """

    card: dict[str, Any]
    fingerprint: str
    sizes: dict[str, int]
    items: dict[str, list[Item]]
    rows: Rows
    questions: Questions
    trainable: np.ndarray
    costs: np.ndarray


def prepare(config: Text2SqlConfig, trained_card: Mapping[str, Any] | None = None) -> Text2SqlData:
    """Read the questions, number the words by the training part, link and encode everything.

    Args:
        trained_card: of a trained model, whose words are taken: no file of word vectors is needed.
    """
    rows = read_rows(config)
    known = _word_inputs(rows, config) if trained_card is None else {name: trained_card[name] for name in _OF_WORDS}
    words = known["words"]
    card: dict[str, Any] = {
        "data": "generated" if config.data == "generated" else Path(config.data).name,
        "view": config.view,
        **known,
        "schemas": [schema.entry() for schema in rows.schemas.values()],
        "databases": str(rows.databases),
        "fingerprints": _fingerprints(config) if trained_card is None else {},
        "fingerprint_parts": fingerprint_parts(rows),
        "encoder": encoder_card(config.encoder) if config.pretrained else None,
    }
    questions = questions_of(card, rows.databases, config.linking)
    items: dict[str, list[Item]] = {}
    skipped: dict[str, list[str]] = {}
    folder = data_folder(config)
    for split, examples in rows.splits.items():
        encoded = [questions.encode(row.question, row.db_id, row.query) for row in examples]
        items[split] = [item for item, _ in encoded]
        skipped[split] = [f"{row.source}: {why}" for row, (_, why) in zip(examples, encoded, strict=True) if why]
    card |= {
        "leakage": str(rows.leakage),
        "skipped": {split: {"count": len(entries), "first": entries[:_LISTED]} for split, entries in skipped.items()},
        "unknown_values": {split: _unknown_values(entries) for split, entries in items.items()},
        "without_cells": sorted(questions.missing),
        "notes": [
            *data_notes(folder, rows, skipped, questions.left_out, cells=config.linking == "cells"),
            *([] if trained_card is not None else _coverage(config, words[: known["trained_words"] - len(SPECIAL)])),
        ],
    }
    trainable = np.flatnonzero([item.gold is not None for item in items["train"]])
    return Text2SqlData(
        card=card,
        fingerprint=whole_fingerprint(card["fingerprint_parts"]),
        sizes={split: len(examples) for split, examples in rows.splits.items()},
        items=items,
        rows=rows,
        questions=questions,
        trainable=trainable,
        costs=_costs([items["train"][row] for row in trainable], questions, config),
    )


_OF_WORDS = ("words", "trained_words", "embedding_dim")


def _word_inputs(rows: Rows, config: Text2SqlConfig) -> dict[str, Any]:
    """The words that the model knows and the size of their vectors, for its card."""
    words, trained = _words(rows, config)
    size = 0 if config.pretrained else vector_source(config).size()
    return dict(zip(_OF_WORDS, (words, trained, size), strict=True))


def _coverage(config: Text2SqlConfig, words: list[str]) -> list[str]:
    """How many words have vectors."""
    return [] if config.pretrained or config.start else vector_source(config).coverage(words)


def _fingerprints(config: Text2SqlConfig) -> dict[str, str]:
    return input_fingerprints(config, vector_source(config)) | start_fingerprint(config)


def vector_source(config: Text2SqlConfig) -> VectorSource:
    """Return which word vectors a run starts from; those of another model are part of its weights."""
    if config.start:
        return VectorSource("", "", start_card(config)["embedding_dim"] or None, random=True)
    return VectorSource(config.glove, config.data, config.embedding_dim, random=config.embeddings == "random")


def steps_per_epoch(config: Text2SqlConfig, data: Text2SqlData) -> int:
    """Return the number of training batches; the last may be smaller."""
    return -(-len(data.trainable) // config.batch_size)


def training_batches(config: Text2SqlConfig, data: Text2SqlData, epoch: int, placement: Placement) -> Iterator[Batch]:
    """Yield an epoch's batches of questions that cost alike."""
    items = data.items["train"]
    for places in buckets.training_batches(data.costs, config.batch_size, seed=config.seed, epoch=epoch):
        rows = data.trainable[places].tolist()
        shown = [_shown(items[row], data, config, epoch, row) for row in rows]
        # What layers that are not tuned have read is remembered, so their text keeps the schema's own order.
        reads_anew = config.model == "bert_finetuned" and config.encoder_layers is None
        yield make_batch([items[row] for row in rows], data.questions, shown, gold=True, reorder=reads_anew).to(
            placement.device
        )


def evaluation_batches(
    items: list[Item], questions: Questions, size: int, placement: Placement, *, gold: bool
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yield (rows, batch), longest first; with `gold` only rows that have some."""
    rows = np.array([row for row, item in enumerate(items) if item.gold is not None or not gold], dtype=np.int64)
    lengths = [_length(items[row]) for row in rows]
    for places in buckets.evaluation_batches(lengths, size, max_tokens=120 * size):
        chosen = rows[places]
        yield chosen, make_batch([items[row] for row in chosen], questions, gold=gold).to(placement.device)


def make_batch(
    items: list[Item],
    questions: Questions,
    shown: list[np.ndarray] | None = None,
    *,
    gold: bool = False,
    reorder: bool = True,
) -> Batch:
    """Return questions as a batch; see `collate`. `reorder`: a pretrained encoder reads tables in the shown order."""
    texts = questions.texts(items, shown if reorder else None)
    schemas = [questions.codes(item) for item in items]
    return collate(items, schemas, questions.names, shown, gold=gold, texts=texts)


def _shown(item: Item, data: Text2SqlData, config: Text2SqlConfig, epoch: int, row: int) -> np.ndarray:
    schema = data.questions.automaton(item).schema
    options = {"shuffle": config.shuffle_tables, "drop": config.drop_table, "seed": config.seed}
    return shown_items(item, schema, epoch=epoch, row=row, **options)  # type: ignore[arg-type]


def _costs(items: list[Item], questions: Questions, config: Text2SqlConfig) -> np.ndarray:
    """What each question costs in training: a tuned encoder reads its word pieces anew at every step."""
    if config.model != "bert_finetuned":
        return np.array([_length(item) for item in items])
    texts = questions.texts(items)
    return np.array([len(text.pieces) + 2 * item.steps for text, item in zip(texts, items, strict=True)])


def _length(item: Item) -> int:
    """What a question costs: a step of the decoder about as much as two nodes of the encoder."""
    return len(item.relations) + 2 * item.steps


def _words(rows: Rows, config: Text2SqlConfig) -> tuple[list[str], int]:
    if config.start:
        card = start_card(config)
        return card["words"], card["trained_words"]
    return ([], 0) if config.pretrained else _vocabulary(rows, config)


def _vocabulary(rows: Rows, config: Text2SqlConfig) -> tuple[list[str], int]:
    """Return all known words, and how many rows from 0 on have vectors that are trained.

    Words of the questions count as often as they occur, words of names once for each name. What is rarer than
    `min_count` keeps its GloVe vector if it has one, and is unknown if not, which trains the unknown word's vector.
    """
    train = rows.splits["train"]
    databases = sorted({row.db_id for row in train})
    names = {name for db_id in databases for name in _names(rows.schemas[db_id])}
    running = [word for row in train for word in question_words(row.question)]
    seen = Vocabulary.from_words(
        [*running, *(word for name in sorted(names) for word in name.split())], config.min_count
    )
    pretrained = vector_source(config).words() if config.glove_vocabulary else []
    words = Vocabulary([*seen.words[len(SPECIAL) :], *(word for word in pretrained if word not in seen)])
    return list(words.words[len(SPECIAL) :]), len(seen)


def question_words(question: str) -> list[str]:
    """Return a question's words as the vocabulary is asked for them."""
    return [fold(token.text) for token in tokens_of(question)]


def _names(schema: Schema) -> Iterator[str]:
    yield from (table.natural.lower() for table in schema.tables)
    yield from (column.natural.lower() for column in schema.columns)


def _unknown_values(items: list[Item]) -> dict[str, int]:
    """Count questions whose gold names a value that is not among the candidates."""
    golds = [item.gold for item in items if item.gold is not None]
    missing = [int((gold.actions == UNKNOWN_VALUE).sum()) for gold in golds]
    return {"questions": sum(count > 0 for count in missing), "values": sum(missing)}
