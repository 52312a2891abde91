"""The tagging task as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import nn

from normlab.data.text.vocabulary import SPECIAL
from normlab.tasks.base import Evaluation, Placement, StepOutput, Task, unwrapped
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import NerData, prepare, steps_per_epoch, training_batches
from normlab.tasks.ner.encoding import Batch
from normlab.tasks.ner.evaluation import evaluate
from normlab.tasks.ner.labelled import labelled
from normlab.tasks.ner.model import CharacterEncoder, Tagger, WordEmbedding
from normlab.tasks.ner.predictions import write_predictions
from normlab.tasks.ner.reading import Input, open_input
from normlab.tasks.ner.tagging import Records
from normlab.tasks.ner.vectors import load_vectors


class NerTask(Task):
    """Tag the words of sentences with a BiLSTM; every method is a pure function of its arguments."""

    name = "ner"
    headline = "test/micro_f1"
    monitor = "val/micro_f1"
    shares_batches = True

    def prepare(self, config: NerConfig) -> NerData:
        """Read the corpus and number its words."""
        return prepare(config)

    def labelled(self, config: NerConfig, card: Mapping[str, Any], split: str, *, whole: bool) -> NerData:
        """Read labelled sentences that training never saw; `whole`: data without splits are one split."""
        return labelled(config, card, split, whole=whole)

    def build(self, config: NerConfig, card: Mapping[str, Any]) -> Tagger:
        """Make the tagger for the card's words, characters and tags."""
        words = [*SPECIAL, *card["words"]]
        size = card["embedding_dim"]
        pretrained = partial(load_vectors, config, words, size) if config.embeddings == "glove" else None
        trained = card["trained_words"]
        embedding = WordEmbedding(
            trained,
            len(words) - trained,
            size,
            pretrained,
            freeze=config.freeze_embeddings,
            sparse=config.embedding_updates == "lazy",
        )
        characters = None
        if config.characters:
            alphabet = len(SPECIAL) + len(card["characters"])
            characters = CharacterEncoder(
                alphabet, config.char_dim, config.char_hidden, layer_norm=config.normalises_characters
            )
        return Tagger(
            embedding,
            size,
            characters,
            config.hidden,
            card["classes"],
            layer_norm=config.normalises_words,
            dropout=config.dropout,
            output_dropout=config.output_dropout,
            crf=config.crf,
            scheme=card["scheme"] if config.constraints else None,
        )

    def steps_per_epoch(self, config: NerConfig, data: NerData) -> int:
        """Return the number of batches; the last may be smaller."""
        return steps_per_epoch(config, data)

    def train_batches(self, config: NerConfig, data: NerData, epoch: int, placement: Placement) -> Iterator[Batch]:
        """Yield an epoch's batches of sentences of like length."""
        return training_batches(config, data, epoch, placement)

    def loss(self, model: nn.Module, batch: Batch, config: NerConfig) -> StepOutput:
        """Return the mean over sentences of -log p(tags of the sentence): no sentence's share depends on another."""
        tagger = cast(Tagger, unwrapped(model))
        assert batch.tags is not None
        losses = tagger.losses(model(batch).float(), batch.tags, batch.mask)
        return StepOutput(losses.mean(), len(batch.lengths))

    def evaluate(
        self,
        model: nn.Module,
        data: NerData,
        split: str,
        config: NerConfig,
        placement: Placement,
        *,
        final: bool,
    ) -> Evaluation:
        """Measure loss, scores of words and scores of entities on a split; in the end calibration and examples too."""
        assert isinstance(model, Tagger)
        return evaluate(model, data, split, config, placement, final=final)

    def predict(
        self,
        model: nn.Module,
        source: Any,
        config: NerConfig,
        card: Mapping[str, Any],
        placement: Placement,
    ) -> Iterator[dict[str, Any]]:
        """Yield {"sentence", "line", "words", "tags", "probabilities", "spans", "input"} for each sentence.

        Args:
            source: a column file, a text, .jsonl or Kaggle's .csv, or Python values: texts, or lists of words.
        """
        assert isinstance(model, Tagger)
        given = self._input(source, config, card)
        return Records(model, given, card, config, placement)

    def read_as(self, source: Any, config: NerConfig, card: Mapping[str, Any]) -> str:
        """Return what a source is taken for, in words: "columns token pos word, without tags"."""
        return self._input(source, config, card).read_as

    def _input(self, source: Any, config: NerConfig, card: Mapping[str, Any]) -> Input:
        return open_input(source, card, config.input_encoding or config.encoding, config.input_columns)

    def write_predictions(self, records: Iterator[dict[str, Any]], out: Path, form: str, source: Any) -> int:
        """Write records as the input's columns with new tags, or as JSON lines; `auto` goes by input and suffix."""
        return write_predictions(records, out, form, source)


TASK = NerTask()
