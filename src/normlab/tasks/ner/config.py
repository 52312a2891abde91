"""The settings of a tagging run, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from normlab import metrics
from normlab.acting import Unless, When
from normlab.config import option
from normlab.data.tagging.scheme import PLAIN, Scheme
from normlab.train_config import Schedule, TaskSettings, TrainConfig, UpdateRule

# Where a setting acts, see `normlab.acting`.
_FILES = Unless("data", "generated")


class NerConfig(TrainConfig):
    """Configuration of the task `ner`."""

    data: str = option(
        "generated",
        "generated (a small made-up corpus), a folder with train.txt and dev.txt, or a training file",
        affects_result=False,
    )
    dev: str = option(
        "",
        "development file; empty: the folder's, else cut from the training file",
        affects_result=False,
        acts_with=_FILES,
    )
    test: str = option(
        "",
        "test file; empty: the folder's test.txt if it has one",
        affects_result=False,
        acts_with=_FILES,
    )
    validation: float = option(
        0.1,
        "share of the training sentences held out where there is no dev file",
        gt=0,
        lt=1,
        acts_with=_FILES,
    )
    columns: str | None = option(
        None,
        "the files' columns in order, e.g. token,pos,word,tag; none: guessed",
        acts_with=_FILES,
    )
    labels: Literal["entities", "plain"] = option(
        "entities",
        "plain: each word has a label of any form, such as its part of speech; nothing spans words",
        added_later=True,
        acts_with=_FILES,
    )
    scheme: Literal["bio", "iob1", "bioes", "bilou"] = option(
        "bio", "how the files spell entities", acts_with=(_FILES, When("labels", "entities"))
    )
    train_scheme: Literal["file", "bio", "iob1", "bioes"] = option(
        "file",
        "how the model spells entities; what it tags comes back as the files spell it",
        added_later=True,
        acts_with=When("labels", "entities"),
    )
    fix_tags: bool = option(False, "repair illegal tags (I- without B-) instead of refusing them", acts_with=_FILES)
    encoding: str | None = option(None, "of the files; none: UTF-8, cp1252 for Kaggle's CSV", acts_with=_FILES)
    input_columns: str | None = option(
        None,
        "prediction: the columns of the file to tag, or `text`; none: looked at",
        inference_only=True,
        affects_result=False,
    )
    input_encoding: str | None = option(
        None,
        "prediction: encoding of the file to tag; none: that of training",
        inference_only=True,
        affects_result=False,
    )
    input_case: Literal["auto", "written", "restored"] = option(
        "auto",
        "prediction: how capitals are read, as written or as training would write them; auto: restored in running text",
        inference_only=True,
        affects_result=False,
    )

    embeddings: Literal["random", "glove"] = option("random", "what word vectors start from")
    glove: str = option(
        "",
        "GloVe file: .txt, .gz, .zip; empty: looked for beside the data",
        affects_result=False,
        acts_with=When("embeddings", "glove"),
    )
    embedding_dim: int | None = option(None, "size of a word vector; none: GloVe's own, 100 for random ones", ge=1)
    freeze_embeddings: bool = option(False, "leave the word vectors as they start")
    embedding_updates: Literal["dense", "lazy"] = option(
        "dense",
        "lazy: a step moves only the word vectors of its batch, for large tables",
        added_later=True,
        acts_with=When("freeze_embeddings", False),
    )
    vocabulary: Literal["auto", "train", "glove"] = option(
        "auto", "train: training words; glove: and every word of the GloVe file; auto: glove if embeddings are"
    )
    min_count: int = option(1, "training words seen less often are unknown words", ge=1)
    lowercase: bool = option(True, "look words up in lower case; characters keep theirs")
    unknown_rate: float = option(0.5, "share of training words seen once that are shown as unknown", ge=0, le=1)

    case_augment: float = option(
        0.0,
        "share of the training sentences that an epoch shows in small letters or in capitals, half each, drawn anew",
        ge=0,
        le=1,
        added_later=True,
    )
    repeat_rare: int = option(
        1,
        "times an epoch shows a training sentence that holds a rare type, one below 1 % of the entities",
        ge=1,
        added_later=True,
    )

    characters: bool = option(True, "read each word's characters too")
    char_dim: int = option(25, "size of a character's vector", ge=1, acts_with=When("characters", True))
    char_hidden: int = option(25, "character LSTM: hidden size per direction", ge=1, acts_with=When("characters", True))
    hidden: int = option(100, "word LSTM: hidden size per direction", ge=1)
    layer_norm: Literal["none", "words", "characters", "both"] = option("none", "which LSTMs are layer-normalised")
    dropout: float = option(0.5, "on the input of the word LSTM", ge=0, lt=1)
    output_dropout: float = option(0.0, "dropout on the output of the word LSTM", ge=0, lt=1, added_later=True)
    crf: bool = option(True, "linear-chain CRF on top; else each word's tag on its own")
    constraints: bool = option(
        True, "CRF: only legal tag sequences, in the loss as in decoding", acts_with=When("crf", True)
    )

    batch_size: int = option(32, "sentences in one step", ge=1)
    eval_batch_size: int = option(256, "sentences in one evaluation step", ge=1, affects_result=False)
    optimizer: UpdateRule = option("adam", "update rule")
    lr: float = option(1e-3, "peak learning rate", gt=0)
    schedule: Schedule = option("constant", "how the learning rate moves over the run")
    weight_decay: float = option(0.0, "L2 penalty; decoupled in AdamW", ge=0)
    # The recurrent products are too small to gain from bfloat16, and the compiled LSTM is a float32 one.
    precision: Literal["auto", "float32", "bfloat16"] = option("float32", "auto: bfloat16 where the machine has it")

    @field_validator("vocabulary")
    @classmethod
    def _glove_words_need_glove(cls, vocabulary: str, info: ValidationInfo) -> str:
        if vocabulary == "glove" and info.data.get("embeddings") == "random":
            raise ValueError("words beyond the training ones have no vector unless embeddings are glove")
        return vocabulary

    @field_validator("layer_norm")
    @classmethod
    def _character_norm_needs_characters(cls, layer_norm: str, info: ValidationInfo) -> str:
        if layer_norm in {"characters", "both"} and info.data.get("characters") is False:
            raise ValueError("there is no character LSTM to normalise: use words or none, or switch characters on")
        return layer_norm

    @property
    def file_scheme(self) -> Scheme:
        """How the files spell what is learned."""
        return PLAIN if self.labels == "plain" else self.scheme

    @property
    def normalises_words(self) -> bool:
        """Whether the word LSTM is layer-normalised."""
        return self.layer_norm in {"words", "both"}

    @property
    def normalises_characters(self) -> bool:
        """Whether the character LSTM is layer-normalised."""
        return self.layer_norm in {"characters", "both"}

    @property
    def glove_vocabulary(self) -> bool:
        """Whether every word of the GloVe file is known."""
        return self.vocabulary == "glove" or (self.vocabulary == "auto" and self.embeddings == "glove")


# All parts on, made-up data and vectors.
_GENERATED: Mapping[str, Any] = {
    "data": "generated",
    "embeddings": "glove",
    "glove": "generated",
    "layer_norm": "both",
}

# The published protocol on a real corpus: Adam at 1e-3, stopped after 5 epochs without progress.
_FULL: Mapping[str, Any] = {
    "data": "",
    "embeddings": "glove",
    "glove": "",
    "layer_norm": "both",
    "epochs": 60,
    "patience": 5,
    "train_metrics": "end",
}

# Wider, averaged weights, a rate that falls to zero.
_BEST: Mapping[str, Any] = {
    **_FULL,
    "hidden": 200,
    "output_dropout": 0.5,
    "average": "ema",
    "schedule": "cosine",
    "lr": 2e-3,
    "epochs": 16,
    "patience": None,
}

PRESETS: dict[str, Mapping[str, Any]] = {
    # Seconds, no file: does everything work?
    "smoke": {**_GENERATED, "epochs": 2, "batch_size": 16, "hidden": 20, "char_hidden": 8, "lr": 0.01},
    # A minute on the same made-up corpus; far too easy to compare models by.
    "demo": {**_GENERATED, "epochs": 8, "batch_size": 16, "hidden": 50, "lr": 3e-3},
    "full": _FULL,
    # The best entity F1 measured on GMB (docs/results/ner_best.md).
    "best": _BEST,
    # For corpora of whole, clean entities, as CoNLL-2003 and WNUT: the model also learns where entities end.
    "conll": {**_BEST, "train_scheme": "bioes"},
}

MEASURED = metrics.names(
    "loss",
    "accuracy",
    "token_accuracy",
    "micro_f1",
    "macro_f1",
    "entity_f1",
    "strict_f1",
    "entity_macro",
    "course_f1",
    "course_macro",
    "ece",
    "tokens_per_second",
)

SETTINGS = TaskSettings(NerConfig, PRESETS, MEASURED)
