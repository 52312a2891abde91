"""The sentences of a run: splits, vocabularies, and batches that are functions of (seed, epoch)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from normlab.data.batching import epoch_order
from normlab.data.split import train_validation_split
from normlab.data.streams import words as random_words
from normlab.data.tagging.case_table import count_case
from normlab.data.tagging.scheme import OUTSIDE, PLAIN, Scheme, all_tags, convert, spans, split_tag
from normlab.data.tagging.sentences import Sentence
from normlab.data.text import buckets
from normlab.data.text.vocabulary import SPECIAL, UNKNOWN, Vocabulary
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.base import Placement
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.corpus import read_corpus
from normlab.tasks.ner.encoding import Batch, Encoded, Lexicon, look_up_form
from normlab.tasks.ner.generated import NAME as GENERATED
from normlab.tasks.ner.vectors import coverage_notes, vector_fingerprints, vector_size, vector_words

_CASES = (str.lower, str.upper)
RARE_TYPE = 0.01  # share of the training entities below which a type is rare


@dataclass(frozen=True)
class NerData:
    """What `prepare` returns: encoded splits, and what an epoch shows of the training sentences."""

    card: dict[str, Any]
    fingerprint: str
    sizes: dict[str, int]
    splits: dict[str, Encoded]
    rare: np.ndarray  # (vocabulary,), True for words that training may show as unknown
    shown: np.ndarray  # the training sentences that an epoch shows, some of them several times
    cased: Encoded | None = None  # training sentences as they are, then in small letters, then in capitals

    def tokens(self, split: str) -> int:
        """Return the number of words of a split."""
        return int(self.splits[split].offsets[-1])


def prepare(config: NerConfig) -> NerData:
    """Read the corpus, divide it into splits and number words, characters and tags by the training part.

    `val` is the development file; without one it is cut from the training sentences by seed. There is a `test`
    split only if there is a test file: nothing is measured twice under two names.
    """
    corpus, columns, notes = read_corpus(config)
    spelling = _spelling(corpus, config)  # before the split: all sentences with a tag may be held out
    if "val" not in corpus:
        corpus["train"], corpus["val"] = _cut(corpus["train"], config)
    fingerprint = content_fingerprint(corpus)
    if spelling["scheme"] != config.file_scheme:
        corpus = {split: [_respelled(s, spelling["scheme"]) for s in part] for split, part in corpus.items()}
    corpus["train"] = _limited(corpus["train"], config)
    words, trained, rare = _vocabulary(corpus["train"], config)
    spelled = [*corpus["train"], *(_in_case(s, case) for case in _CASES for s in corpus["train"])]
    spelled = spelled if config.case_augment else corpus["train"]
    letters = Vocabulary.from_words(letter for s in spelled for word in s.words for letter in word)
    card = {
        "data": GENERATED if config.data == GENERATED else Path(config.data).name,
        "words": list(words.words[len(SPECIAL) :]),
        "trained_words": trained,
        "characters": list(letters.words[len(SPECIAL) :]),
        "embedding_dim": vector_size(config),
        **spelling,
        "columns": columns,
        "fingerprints": vector_fingerprints(config),
        "case": count_case([s.words for s in corpus["train"]]),
    }
    card["notes"] = [*notes, *coverage_notes(config, list(words.words[len(SPECIAL) : trained]))]
    lexicon = Lexicon(card, lowercase=config.lowercase)
    return NerData(
        card=card,
        fingerprint=fingerprint,
        sizes={split: len(sentences) for split, sentences in corpus.items()},
        splits={split: lexicon.encode(sentences) for split, sentences in corpus.items()},
        rare=rare,
        shown=shown_sentences(corpus["train"], config.repeat_rare),
        cased=lexicon.encode(spelled) if config.case_augment else None,
    )


def steps_per_epoch(config: NerConfig, data: NerData) -> int:
    """Return the number of training batches; the last may be smaller."""
    return -(-len(data.shown) // config.batch_size)


def training_batches(config: NerConfig, data: NerData, epoch: int, placement: Placement) -> Iterator[Batch]:
    """Yield an epoch's batches of sentences of like length.

    Raises: UserError if the last batch has fewer sentences than there are processes to share it.
    """
    split, shown = data.cased or data.splits["train"], data.shown
    if data.cased is not None:
        shown = shown + len(data.splits["train"]) * drawn_cases(len(shown), config, epoch)
    if 0 < len(shown) % config.batch_size < placement.processes:
        raise UserError(
            f"batch_size: {plural(len(shown), 'sentence')} in batches of {config.batch_size} leave a last batch "
            f"smaller than the {placement.processes} processes: choose another --batch-size or --repeat-rare"
        )
    words = _with_unknown(split.words, data.rare, config, epoch)
    for positions in buckets.training_batches(split.lengths[shown], config.batch_size, seed=config.seed, epoch=epoch):
        rows = placement.share(shown[positions])
        yield split.batch(rows, words, characters=config.characters).to(placement.device)


def evaluation_batches(
    split: Encoded, config: NerConfig, placement: Placement
) -> Iterator[tuple[np.ndarray, np.ndarray, Batch]]:
    """Yield (rows, flat positions, batch), longest sentences first; positions are one per word, row after row."""
    for rows in buckets.evaluation_batches(split.lengths, config.eval_batch_size):
        positions, real = split.positions(rows)
        yield rows, positions[real], split.batch(rows, characters=config.characters).to(placement.device)


def drawn_cases(count: int, config: NerConfig, epoch: int) -> np.ndarray:
    """Return how each sentence of an epoch is written: 0 as it is, 1 in small letters, 2 in capitals; (count,)."""
    draws = random_words(count, config.seed, "case", epoch) / 2.0**64
    return np.where(draws < config.case_augment / 2, 1, np.where(draws < config.case_augment, 2, 0))


def _in_case(sentence: Sentence, case: Callable[[str], str]) -> Sentence:
    return replace(sentence, words=tuple(map(case, sentence.words)), tokens=tuple(map(case, sentence.tokens)))


def shown_sentences(sentences: list[Sentence], repeats: int) -> np.ndarray:
    """Return the numbers of the sentences that an epoch shows: all, those that hold a rare type `repeats` times.

    Without it a type with one entity in three hundred occurs once in many batches (repeat factors: Gupta et al. 2019,
    arXiv 1908.03195, sec. 4, there by the square root of a type's rarity and drawn anew each epoch).
    """
    rows = np.arange(len(sentences))
    if repeats == 1:
        return rows
    types = [[span.type for span in spans(s.tags or ())] for s in sentences]
    count = Counter(kind for of_sentence in types for kind in of_sentence)
    rare = {kind for kind, entities in count.items() if entities < RARE_TYPE * count.total()}
    return np.repeat(rows, [1 if rare.isdisjoint(of_sentence) else repeats for of_sentence in types])


def _with_unknown(words: np.ndarray, rare: np.ndarray, config: NerConfig, epoch: int) -> np.ndarray:
    """Show rare words as unknown at random, so that the unknown word's vector is learned (Lample et al. 2016)."""
    if config.unknown_rate == 0:
        return words
    draws = random_words(len(words), config.seed, "unknown", epoch) / 2.0**64
    return np.where(rare[words] & (draws < config.unknown_rate), UNKNOWN, words)


def _vocabulary(sentences: list[Sentence], config: NerConfig) -> tuple[Vocabulary, int, np.ndarray]:
    """Return all known words, how many of them (from 0 on) have a vector that is trained, and which are rare.

    Words of the GloVe file that do not occur in training come last: they get no gradient. A word is rare if it occurs
    once in training and not in the GloVe file: words like it will be unknown in other data.
    """
    tokens = (look_up_form(token, lowercase=config.lowercase) for s in sentences for token in s.tokens)
    seen = Vocabulary.from_words(tokens, config.min_count)
    pretrained = vector_words(config) if config.glove_vocabulary else []
    others = [word for word in pretrained if word not in seen]
    words = Vocabulary([*seen.words[len(SPECIAL) :], *others])
    rare = np.zeros(len(words), dtype=bool)
    rare[seen.singletons()] = True
    rare[words.ids(word for word in pretrained if word in seen)] = False
    return words, len(seen), rare


def _spelling(corpus: dict[str, list[Sentence]], config: NerConfig) -> dict[str, Any]:
    """Return the part of the card that says how entities are spelled: by the model, and by the files.

    Spelled as in the files, the model knows the tags that training shows, and after them those of other files, which it
    never learns to predict: they count as errors. In another scheme it knows all tags of the types, since which of
    them the conversion needs may differ between the splits.
    """
    shown = {tag for s in corpus["train"] for tag in s.tags or ()}
    unseen = {tag for part in corpus.values() for s in part for tag in s.tags or ()} - shown
    scheme = config.file_scheme
    model_scheme = scheme if config.train_scheme == "file" or scheme == PLAIN else config.train_scheme
    if model_scheme == scheme:
        return {"classes": [*_in_order(shown), *_in_order(unseen)], "scheme": model_scheme}
    types = sorted({split_tag(tag)[1] for tag in shown | unseen if tag != OUTSIDE})
    return {
        "classes": all_tags(types, model_scheme),
        "scheme": model_scheme,
        "file_classes": all_tags(types, scheme),
        "file_scheme": scheme,
    }


def _in_order(tags: set[str]) -> list[str]:
    return sorted(tags, key=lambda tag: (tag != OUTSIDE, tag[1:], tag))


def _respelled(sentence: Sentence, scheme: Scheme) -> Sentence:
    return replace(sentence, tags=tuple(convert(sentence.tags or (), scheme)))


def _cut(sentences: list[Sentence], config: NerConfig) -> tuple[list[Sentence], list[Sentence]]:
    held_out = round(config.validation * len(sentences))
    if not 0 < held_out < len(sentences):
        raise UserError(
            f"validation: {config.validation:g} of {plural(len(sentences), 'sentence')} is none: give a --dev file"
        )
    train, val = train_validation_split(len(sentences), held_out, config.seed)
    return [sentences[row] for row in train], [sentences[row] for row in val]


def _limited(sentences: list[Sentence], config: NerConfig) -> list[Sentence]:
    if config.limit_train is None or config.limit_train >= len(sentences):
        return sentences
    rows = epoch_order(len(sentences), config.seed, "limit_train")[: config.limit_train]
    return [sentences[row] for row in np.sort(rows)]


def content_fingerprint(corpus: dict[str, list[Sentence]]) -> str:
    """Return 16 hexadecimal digits over words, look-up forms and tags of all splits."""
    content = hashlib.sha256()
    for split, sentences in corpus.items():
        for s in sentences:
            content.update("\x1f".join([split, *s.words, *s.tokens, *(s.tags or ())]).encode("utf-8", "surrogatepass"))
            content.update(b"\x1e")
    return content.hexdigest()[:16]
