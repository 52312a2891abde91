"""The text-to-SQL task as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import nn

from normlab.data.text.vocabulary import SPECIAL
from normlab.nn.word_embedding import WordEmbedding
from normlab.tasks.base import Evaluation, Placement, StepOutput, Task
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.inputs.data import Text2SqlData, prepare, steps_per_epoch, training_batches, vector_source
from normlab.tasks.text2sql.inputs.encoding import Batch
from normlab.tasks.text2sql.inputs.questions import questions_of
from normlab.tasks.text2sql.inputs.start import start_weights
from normlab.tasks.text2sql.linking.relations import RELATIONS
from normlab.tasks.text2sql.measuring import evaluate
from normlab.tasks.text2sql.model.decoder import Decoder
from normlab.tasks.text2sql.model.encoder import LSTMEncoder, PretrainedNodes
from normlab.tasks.text2sql.model.network import Text2Sql, gold_losses
from normlab.tasks.text2sql.model.pretrained import PretrainedEncoder
from normlab.tasks.text2sql.predictions import records, write_predictions


class Text2SqlTask(Task):
    """Translate questions about a database into SQL; every method is a pure function of its arguments."""

    name = "text2sql"
    headline = "test/exact_match"
    monitor = "val/exact_match"

    def prepare(self, config: Text2SqlConfig) -> Text2SqlData:
        """Read, link and encode the questions."""
        return prepare(config)

    def build(self, config: Text2SqlConfig, card: Mapping[str, Any]) -> Text2Sql:
        """Make the network for the card's words."""
        decoder = Decoder(
            config.hidden,
            config.attention if config.attends else None,
            config.attention_heads,
            layer_norm=config.layer_norm,
            dropout=config.dropout,
        )
        return Text2Sql(_encoder(config, card), decoder)

    def first_weights(self, config: Text2SqlConfig) -> Path | None:
        """Return the weights of the model that training starts from, if one is named."""
        return start_weights(config)

    def steps_per_epoch(self, config: Text2SqlConfig, data: Text2SqlData) -> int:
        """Return the number of batches; the last may be smaller."""
        return steps_per_epoch(config, data)

    def train_batches(
        self, config: Text2SqlConfig, data: Text2SqlData, epoch: int, placement: Placement
    ) -> Iterator[Batch]:
        """Yield an epoch's batches, tables shuffled and dropped."""
        return training_batches(config, data, epoch, placement)

    def loss(self, model: nn.Module, batch: Batch, config: Text2SqlConfig) -> StepOutput:
        """Return the mean over questions of -log p(actions): no question's share depends on another."""
        scores = model(batch).float()
        losses = gold_losses(scores, batch, masked=config.mask_training, smoothing=config.label_smoothing)
        return StepOutput(losses.mean(), len(losses))

    def evaluate(
        self,
        model: nn.Module,
        data: Text2SqlData,
        split: str,
        config: Text2SqlConfig,
        placement: Placement,
        *,
        final: bool,
    ) -> Evaluation:
        """Measure loss and exact match; in the end execution, levels, databases, the baseline and examples too."""
        return evaluate(cast(Text2Sql, model), data, split, config, placement, final=final)

    def prepared_by(self, config: Text2SqlConfig, card: Mapping[str, Any]) -> Text2SqlData | None:
        """Read the run's questions with the model's own words: a published model is measured without GloVe."""
        return None if card.get("encoder") is not None else prepare(config, card)

    def predict(
        self,
        model: nn.Module,
        source: Any,
        config: Text2SqlConfig,
        card: Mapping[str, Any],
        placement: Placement,
    ) -> Iterator[dict[str, Any]]:
        """Yield {"question", "db_id", "sql", "score", "alternatives", "cells", "notes"} for each question.

        Args:
            source: a .csv or .jsonl of questions and databases, lines of `question TAB db_id`, or Python values.
        """
        databases = Path(config.databases or card["databases"])
        questions = questions_of(card, databases, config.linking, everyday=True)
        return records(cast(Text2Sql, model), source, questions, config, placement)

    def write_predictions(self, records: Iterator[dict[str, Any]], out: Path, form: str, source: Any) -> int:
        """Write records as JSON lines, or as one query a line."""
        return write_predictions(records, out, form, source)


def _encoder(config: Text2SqlConfig, card: Mapping[str, Any]) -> nn.Module:
    if config.pretrained:
        pretrained_encoder = PretrainedEncoder(
            card["encoder"],
            frozen=config.model == "bert_frozen",
            top_layers=config.encoder_layers,
            lr_scale=config.encoder_lr_scale,
        )
        return PretrainedNodes(
            pretrained_encoder,
            config.hidden,
            relations=len(RELATIONS),
            layers=config.relation_layers,
            heads=config.attention_heads,
            dropout=config.dropout,
        )
    words = [*SPECIAL, *card["words"]]
    size, trained = card["embedding_dim"], card["trained_words"]
    pretrained = (
        partial(vector_source(config).load, words, size) if config.embeddings == "glove" and not config.start else None
    )
    return LSTMEncoder(
        WordEmbedding(trained, len(words) - trained, size, pretrained, freeze=config.freeze_embeddings),
        size,
        config.hidden,
        relations=len(RELATIONS),
        layers=config.relation_layers,
        heads=config.attention_heads,
        dropout=config.dropout,
        mean_names=config.name_encoder == "mean",
    )


TASK = Text2SqlTask()
