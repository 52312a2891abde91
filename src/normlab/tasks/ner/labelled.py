"""Tagged sentences that a trained model never saw, encoded as its card sees the world: its words, characters, tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from normlab.data.tagging.scheme import convert
from normlab.data.tagging.sentences import Sentence
from normlab.data.text.vocabulary import UNKNOWN
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.corpus import read_tagged, split_file
from normlab.tasks.ner.data import NerData, content_fingerprint
from normlab.tasks.ner.encoding import Lexicon, look_up_form
from normlab.tasks.ner.generated import NAME as GENERATED
from normlab.tasks.ner.generated import generated_sentences


def labelled(config: NerConfig, card: Mapping[str, Any], split: str, *, whole: bool) -> NerData:
    """Read the sentences of a split at `config.data`.

    Args:
        whole: a single file is one split, named `split`.
    Raises: UserError if there is no such split, or a tag that the model does not know, with file and line.
    """
    notes: list[str] = []
    if config.data == GENERATED:
        sentences, name = list(generated_sentences(split)), GENERATED
    else:
        path = split_file(config, split, whole=whole)
        sentences, notes = read_tagged(path, config, known_tags=set(card.get("file_classes", card["classes"])))
        name = path.name
    fingerprint = content_fingerprint({split: sentences})
    own = card["scheme"]
    if own != card.get("file_scheme", own):
        sentences = [replace(s, tags=tuple(convert(s.tags or (), own))) for s in sentences]
    lexicon = Lexicon(card, lowercase=config.lowercase)
    return NerData(
        card={**card, "data": name, "notes": [*notes, *_unknown_words(sentences, lexicon)]},
        fingerprint=fingerprint,
        sizes={split: len(sentences)},
        splits={split: lexicon.encode(sentences)},
        rare=np.zeros(0, dtype=bool),
        shown=np.zeros(0, dtype=np.int64),
    )


def _unknown_words(sentences: list[Sentence], lexicon: Lexicon) -> list[str]:
    tokens = [look_up_form(token, lowercase=lexicon.lowercase) for s in sentences for token in s.tokens]
    unknown = sum(lexicon.words.id(token) == UNKNOWN for token in tokens)
    return [f"{100 * unknown / max(1, len(tokens)):.1f} % of the words are unknown to the model"]
