"""The tagging assignment: a BiLSTM with random or GloVe vectors; characters, layer normalization and CRF by a 0 or 1.

Trained as the assignment's reports do: Adam at 0.001, stopped after 5 epochs without progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from normlab.apps.course.model import open_model, refuse_other_model
from normlab.apps.course.training import settings_of
from normlab.errors import UserError
from normlab.json_file import read_json
from normlab.runs.atomic import write_json

if TYPE_CHECKING:
    from normlab.tasks.ner.config import NerConfig

INITIALIZATIONS = ("random", "glove")
FIXED = ("embeddings", "characters", "layer_norm", "crf", "data", "glove")  # what the published flags stand for
_VOCABULARY = {"words": "words", "characters": "characters", "tags": "classes"}  # key of the file -> of the card


def training_settings(
    initialization: str,
    data_dir: str,
    *,
    char_embeddings: bool,
    layer_normalization: bool,
    crf: bool,
    glove_embeddings_file: str | None,
    scale: str | None,
    further: Mapping[str, Any],
) -> NerConfig:
    """Return the settings of `train_ner`; random vectors leave the GloVe file, which the command names too, unread.

    Layer normalization is that of every LSTM there is: the words', and the characters' where they are read.
    """
    normalised = "both" if char_embeddings else "words"
    published = {
        "embeddings": initialization,
        "glove": (glove_embeddings_file or "") if initialization == "glove" else "",
        "characters": char_embeddings,
        "layer_norm": normalised if layer_normalization else "none",
        "crf": crf,
        "data": data_dir,
    }
    return cast("NerConfig", settings_of("ner", scale, published, further))


def write_vocabulary(card: Mapping[str, Any], path: Path) -> None:
    """Write the words, characters and tags that a model knows as JSON."""
    write_json(path, {name: list(card[key]) for name, key in _VOCABULARY.items()})


def tag(
    model_file: Path,
    test_data_file: Path,
    output_file: Path,
    *,
    char_embeddings: bool | None = None,
    layer_normalization: bool | None = None,
    crf: bool | None = None,
    vocabulary_input_file: Path | None = None,
    device: str | None = None,
) -> int:
    """Write the test file with the last column, its tags, replaced by predictions; return the number of sentences.

    Args:
        test_data_file: columns as in the training file, with any tags.
        char_embeddings, layer_normalization, crf: what the model was trained with; None: not compared.
        vocabulary_input_file: what training wrote; compared with the model, which holds the same.
    Raises: UserError if the model or the vocabulary is another.
    """
    run = open_model(model_file, "ner", device=device)
    config = cast("NerConfig", run.config)
    refuse_other_model(
        model_file,
        char_embeddings=_digits(char_embeddings, config.characters),
        layer_normalization=_digits(layer_normalization, config.layer_norm != "none"),
        crf=_digits(crf, config.crf),
    )
    if vocabulary_input_file is not None:
        _refuse_other_vocabulary(vocabulary_input_file, run.folder.card(), model_file)
    return run.predict_to(test_data_file, output_file, "columns")


def _digits(given: bool | None, own: bool) -> tuple[int | None, int]:
    """Return two switches as the assignment writes them, 0 or 1."""
    return None if given is None else int(given), int(own)


def _refuse_other_vocabulary(path: Path, card: Mapping[str, Any], model_file: Path) -> None:
    vocabulary = read_json(path)
    if not isinstance(vocabulary, dict):
        raise UserError(f"{path}: no vocabulary of a tagger: give the file that training wrote")
    for name, key in _VOCABULARY.items():
        if vocabulary.get(name) != list(card[key]):
            raise UserError(f"{path}: its {name} are not those of {model_file}: give the file written with that model")
