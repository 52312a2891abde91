"""The tagger: its parts, a whole training step, tagging a text, and scoring.

A training step is compared by words a second, since the batches of both sides differ. Where no corpus is given, both
train on made-up sentences, which are shorter (9 words) than real ones (22 in GMB).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from normlab.bench.apart import Apart
from normlab.bench.limits import Limits
from normlab.bench.row import Goal, Row, faster, missing, rate
from normlab.bench.sequence import NOT_INSTALLED, crf_rows, lazy_rows, lstm_rows, lstm_work, pytorch_crf
from normlab.bench.student_tagger import StudentTagging
from normlab.bench.timing import Settings, compare, compare_work, measure
from normlab.bench.training import OwnTraining
from normlab.engine.device import choose_placement
from normlab.runs.memory import frozen_objects
from normlab.tasks.ner.config import SETTINGS, NerConfig
from normlab.tasks.ner.data import NerData, prepare
from normlab.tasks.ner.entities import entity_table, find_entities
from normlab.tasks.ner.generated import generated_sentences
from normlab.tasks.ner.task import TASK

TRAINING, WORDS = Goal(at_least=20.0), Goal(at_least=12_000.0)
TAGGING = Goal(at_least=50_000.0)  # words/s, set for two cores: one thread has half the machine
_COURSE = "a course program (all GloVe words under dense Adam, loops over the steps)"


def rows(settings: Settings) -> Iterator[Row]:
    """Yield parts, training, tagging and scores."""
    limits = Limits(settings)
    table = 25_000 if settings.quick else 400_000
    yield from lstm_rows(settings, limits)
    yield from crf_rows(settings)
    yield from lazy_rows(settings, table)
    config, data = corpus(settings)
    yield from training_rows(config, data, settings, limits, table)
    yield tagging_row(config, data, settings)
    yield score_row(settings)


def corpus(settings: Settings) -> tuple[NerConfig, NerData]:
    """Return the tagger's configuration, all parts on, and the corpus to train it on."""
    values = {
        "data": str(settings.corpus or "generated"),
        "glove": str(settings.glove or "generated"),
        "threads": settings.threads,
        "device": "cpu",
    }
    config = SETTINGS.make("full", values, "bench")
    assert isinstance(config, NerConfig)
    return config, prepare(config)


def training_rows(config: NerConfig, data: NerData, settings: Settings, limits: Limits, table: int) -> Iterator[Row]:
    """Words a second of whole training steps, and how that compares with a course program."""
    steps = 4
    own = OwnTraining(TASK, config, data, steps, lambda batch: int(batch.lengths.sum()))
    what = f"training the tagger, all parts, {config.batch_size} sentences a step, {data.card['data']}"
    crf = pytorch_crf()
    if crf is None:
        yield missing(what, _COURSE, NOT_INSTALLED, TRAINING)
        return
    course = StudentTagging, config, data, 1, table, crf
    with Apart(*course, threads=settings.threads, clock=settings.clock) as student:
        comparison = compare_work(student, own, settings)
    yield faster(
        what,
        f"{_COURSE}, {table:,} words",
        comparison,
        goal=TRAINING,
        details={"words_per_s": 1 / comparison.baseline.median},
    )
    floor = limits.floor(flops=word_work(config, data), dtype=own.placement.dtype)
    yield rate(f"{what}, {settings.threads} thread(s)", "words/s", comparison.own, 1, goal=WORDS, floor=floor)


def word_work(config: NerConfig, data: NerData) -> float:
    """Return the operations of a word's products in training: both LSTMs and the output layer.

    Characters are those of the words that differ within a batch, which are the ones read.
    """
    train = data.splits["train"]
    letters = words = 0
    for rows in np.array_split(np.arange(len(train)), max(1, len(train) // config.batch_size))[:50]:
        batch = train.batch(rows)
        assert batch.characters is not None
        letters += int((batch.characters != 0).sum())
        words += int(batch.lengths.sum())
    size = int(data.card["embedding_dim"]) + 2 * config.char_hidden
    by_letters = lstm_work(config.char_dim, config.char_hidden) * letters / words
    return lstm_work(size, config.hidden) + by_letters + 6.0 * 2 * config.hidden * len(data.card["classes"])


def tagging_row(config: NerConfig, data: NerData, settings: Settings) -> Row:
    """Words a second of a text file, from reading to records, all parts on.

    The tagger is trained a little: untrained, it takes most words for entities, and writing those down takes longer.
    """
    training = OwnTraining(TASK, config, data, 4 if settings.quick else 150)
    training()
    model = training.model.eval()
    text = [" ".join(sentence.words) for sentence in generated_sentences("train")] * (1 if settings.quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text("\n".join(text) + "\n", encoding="utf-8")

        def tag() -> int:
            records = TASK.predict(model, path, config, data.card, choose_placement(config))
            return sum(len(record["words"]) for record in records)

        words = tag()
        with frozen_objects():  # as when a run predicts into a file
            seconds = measure(tag, settings)
    what = f"tagging {words:,} words of text, reading to records, {settings.threads} thread(s)"
    return rate(what, "words/s", seconds, words, goal=TAGGING)


def score_row(settings: Settings) -> Row:
    """Precision, recall and F1 of the entities of 2,000 sentences beside seqeval."""
    sentences = [list(sentence.tags or ()) for sentence in generated_sentences("train")] * 3
    what = f"entity scores of {len(sentences):,} sentences"
    report = seqeval_report()
    if report is None:
        return missing(what, "seqeval", "seqeval is not installed")
    names = sorted({tag for tags in sentences for tag in tags})
    draw = np.random.default_rng(0)
    guesses = [[tag if draw.random() < 0.9 else "O" for tag in tags] for tags in sentences]
    number = {tag: index for index, tag in enumerate(names)}
    offsets = np.cumsum([0, *map(len, sentences)])
    gold, predicted = (np.array([number[tag] for tags in side for tag in tags]) for side in (sentences, guesses))

    def by_normlab() -> object:
        right, guessed = (find_entities(tags, offsets, names, "bio") for tags in (gold, predicted))
        return entity_table(right, guessed, names, strict=False)

    def by_seqeval() -> object:
        return report(sentences, guesses, output_dict=True)

    pair = compare(by_seqeval, by_normlab, settings)
    return faster(what, "seqeval", pair)


def seqeval_report() -> Any:
    """Return seqeval's `classification_report`, or None where seqeval is not installed."""
    try:
        from seqeval.metrics import classification_report
    except ImportError:
        return None
    return classification_report
