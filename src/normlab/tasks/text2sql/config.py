"""What a text-to-SQL run can be asked for, and the named protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from normlab import metrics
from normlab.acting import Unless, When
from normlab.config import option
from normlab.train_config import Schedule, TaskSettings, TrainConfig, UpdateRule

# Where a setting acts, see `normlab.acting`.
_NEW_WORDS = When("start", "")
_WORD_VECTORS = When("model", "lstm", "lstm_attention")
_PRETRAINED = When("model", "bert_frozen", "bert_finetuned")
_TUNED = When("model", "bert_finetuned")


class Text2SqlConfig(TrainConfig):
    """Configuration of the task `text2sql`."""

    data: str = option(
        "generated",
        "generated (three made-up databases), or a folder with train.csv, val.csv, tables.json and database/, or of "
        "Spider's or BIRD's files",
        affects_result=False,
    )
    databases: str = option(
        "", "folder of <db_id>/<db_id>.sqlite; empty: the data's own folder database", affects_result=False
    )
    view: Literal["course", "unseen", "novel"] = option(
        "course",
        "course: val.csv is the test; unseen: the databases of Spider's dev split are; novel: those rows of val.csv "
        "whose SQL training does not hold",
    )
    validation: float = option(
        0.05, "share of the training rows held out to choose the epoch; unseen: whole databases", gt=0, lt=1
    )

    model: Literal["lstm", "lstm_attention", "bert_frozen", "bert_finetuned"] = option(
        "lstm_attention", "BiLSTM encoder, without or with attention, or a pretrained one with attention"
    )
    encoder: str = option(
        "google-bert/bert-base-cased",
        "bert: name on the hub, or a folder with config, tokenizer and safetensors",
        acts_with=_PRETRAINED,
    )
    encoder_layers: int | None = option(
        None,
        "bert_finetuned: how many of the last layers are tuned; none: all",
        ge=1,
        acts_with=_TUNED,
    )
    encoder_lr_scale: float = option(
        0.03,
        "bert_finetuned: the encoder's learning rate over that of the rest",
        gt=0,
        acts_with=_TUNED,
    )
    attention: Literal["bahdanau", "luong", "multi_head"] = option(
        "multi_head", "kind of the decoder's attention", acts_with=Unless("model", "lstm")
    )
    attention_heads: int = option(8, "multi_head and relation layers: heads; must divide hidden", ge=1)
    hidden: int = option(256, "size of the encoder's and the decoder's states", ge=8)
    layer_norm: bool = option(False, "layer-normalise the decoder's LSTM cell")
    relation_layers: int = option(2, "relation-aware self-attention layers over question and schema; 0: none", ge=0)
    linking: Literal["none", "names", "cells"] = option(
        "cells", "what words of the question are matched with: nothing, names of tables and columns, and cells too"
    )
    dropout: float = option(0.3, "on inputs, states and attention results", ge=0, lt=1)
    name_encoder: Literal["lstm", "mean"] = option(
        "lstm",
        "how the words of a table's or a column's name are read",
        acts_with=_WORD_VECTORS,
    )

    start: str = option(
        "",
        "a trained model of text2sql whose weights and words training starts from, of the same network: a run, a model "
        "file, or a name of `normlab models`; empty: new weights",
        added_later=True,
    )
    glove: str = option(
        "",
        "GloVe file; empty: looked for beside the data; generated: made-up vectors",
        affects_result=False,
        acts_with=(
            _NEW_WORDS,
            _WORD_VECTORS,
            When("embeddings", "glove"),
        ),
    )
    embeddings: Literal["random", "glove"] = option(
        "glove", "what word vectors start from", acts_with=(_NEW_WORDS, _WORD_VECTORS)
    )
    embedding_dim: int | None = option(
        None,
        "size of a word vector; none: GloVe's own, 100 for random ones",
        ge=1,
        acts_with=(_NEW_WORDS, _WORD_VECTORS),
    )
    freeze_embeddings: bool = option(False, "leave the word vectors as they start", acts_with=_WORD_VECTORS)
    vocabulary: Literal["auto", "train", "glove"] = option(
        "auto",
        "train: training words; glove: and every word of the GloVe file; auto: glove if embeddings are",
        acts_with=(_NEW_WORDS, _WORD_VECTORS),
    )
    min_count: int = option(
        3,
        "words that training shows less often keep their GloVe vector, or are unknown",
        ge=1,
        acts_with=(_NEW_WORDS, _WORD_VECTORS),
    )

    mask_training: bool = option(True, "train with the grammar's mask: only what may follow shares the probability")
    label_smoothing: float = option(0.1, "probability shared by all that may follow", ge=0, lt=1)
    shuffle_tables: bool = option(True, "show tables and columns in another order every epoch")
    drop_table: float = option(0.3, "probability of hiding one table that the query does not need", ge=0, le=1)

    beam_size: int = option(
        1, "hypotheses in the final evaluation and in predictions; 1 is greedy", inference_only=True, ge=1
    )
    length_penalty: float = option(
        0.0,
        "exponent of the length that divides a hypothesis' score",
        inference_only=True,
        ge=0,
        acts_with=Unless("beam_size", 1),
    )
    max_actions: int = option(100, "longest query, in actions of the grammar", inference_only=True, ge=5)
    execution_filter: bool = option(
        False,
        "take the first hypothesis that runs on the database",
        inference_only=True,
        acts_with=Unless("beam_size", 1),
    )
    monitor_rows: int = option(400, "validation questions decoded after each epoch", ge=1)
    train_rows: int = option(400, "training questions decoded at the end", ge=1, affects_result=False)

    epochs: int = option(30, "passes over the training part", ge=1)
    batch_size: int = option(32, "questions in one step", ge=1)
    eval_batch_size: int = option(64, "questions in one evaluation step", ge=1, affects_result=False)
    optimizer: UpdateRule = option("adam", "update rule")
    lr: float = option(1e-3, "peak learning rate", gt=0)
    weight_decay: float = option(0.0, "L2 penalty; decoupled in AdamW", ge=0)
    clip_norm: float | None = option(5.0, "clip the gradient's global norm to this", gt=0)
    schedule: Schedule = option("cosine", "how the learning rate moves over the run")
    warmup_epochs: float = option(1.0, "linear warm-up from zero, in epochs", ge=0)
    train_metrics: Literal["every_epoch", "end"] = option(
        "end", "when the training part is measured in evaluation mode", affects_result=False
    )
    # The recurrent products are too small to gain from bfloat16, and the compiled LSTM is a float32 one.
    precision: Literal["auto", "float32", "bfloat16"] = option("float32", "auto: bfloat16 where the machine has it")

    @field_validator("hidden")
    @classmethod
    def _heads_divide_hidden(cls, hidden: int, info: ValidationInfo) -> int:
        heads = info.data.get("attention_heads", 1)
        if hidden % heads or hidden % 2:
            raise ValueError(f"must be even and a multiple of attention_heads = {heads}")
        return hidden

    @property
    def attends(self) -> bool:
        """Whether the decoder looks back at the question and the schema."""
        return self.model != "lstm"

    @property
    def pretrained(self) -> bool:
        """Whether a pretrained encoder takes the place of the BiLSTM."""
        return self.model.startswith("bert")

    @property
    def glove_vocabulary(self) -> bool:
        """Whether every word of the GloVe file is known."""
        return self.vocabulary == "glove" or (self.vocabulary == "auto" and self.embeddings == "glove")


_GENERATED: Mapping[str, Any] = {"data": "generated", "glove": "generated", "validation": 0.1}

PRESETS: dict[str, Mapping[str, Any]] = {
    # Seconds, no file: does everything work?
    "smoke": {
        **_GENERATED,
        "epochs": 3,
        "batch_size": 8,
        "hidden": 48,
        "attention_heads": 4,
        "relation_layers": 1,
        "lr": 5e-3,
        "dropout": 0.0,
        "label_smoothing": 0.0,
        "warmup_epochs": 0.0,
        "monitor_rows": 20,
        "train_rows": 20,
    },
    # A minute on the same made-up databases; far too easy to compare models by.
    "demo": {
        **_GENERATED,
        "epochs": 25,
        "batch_size": 8,
        "hidden": 64,
        "attention_heads": 4,
        "lr": 3e-3,
        "dropout": 0.1,
        "beam_size": 4,
        "monitor_rows": 40,
        "train_rows": 40,
    },
    # The course's split: the same databases on both sides.
    "course": {"data": "", "epochs": 40, "beam_size": 8, "execution_filter": True},
    # Databases that training never shows.
    "unseen": {
        "data": "",
        "view": "unseen",
        "validation": 0.08,
        "epochs": 40,
        "beam_size": 8,
        "execution_filter": True,
    },
    "full": {"data": "", "epochs": 60, "beam_size": 8, "execution_filter": True},
}

MEASURED = metrics.names(
    "loss",
    "exact_match",
    "execution",
    "execution_sound",
    "valid",
    "novel_exact_match",
    "novel_execution",
    "novel_execution_sound",
    "nearest_exact_match",
    "questions_per_second",
)

SETTINGS = TaskSettings(Text2SqlConfig, PRESETS, MEASURED)
