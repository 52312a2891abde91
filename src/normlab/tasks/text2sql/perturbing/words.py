"""Rules that change single words: synonyms, typos, and the form of constants."""

from __future__ import annotations

import re
from random import Random

from normlab.data.text.word_forms import fold, stem, words_of
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS
from normlab.tasks.text2sql.perturbing.sentence import Edit, Sentence
from normlab.tasks.text2sql.perturbing.word_list import SYNONYMS

_SHORTEST = 4  # letters of a word that may get a typo
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def synonyms(sentence: Sentence, random: Random) -> str | None:
    """Replace each word that names a table or column, and is in the word list, by one that names nothing there."""
    edits: list[Edit] = []
    for index, token in enumerate(sentence.tokens):
        if not (sentence.named[index] and sentence.is_free(index)):
            continue
        word = token.text.lower()
        base, many = _singular(word)
        others = [other for other in SYNONYMS.get(base, ()) if not _is_name(other, sentence)]
        if not others:
            continue
        new = random.choice(others)
        new = _plural(new) if many else new
        new = new.capitalize() if token.text[0].isupper() else new
        edits.append((token.start, token.end, new))
        if index and sentence.tokens[index - 1].text in {"a", "an"}:
            before = sentence.tokens[index - 1]
            edits.append((before.start, before.end, "an" if new[0].lower() in "aeio" else "a"))
    return sentence.edited(edits)


def typos(sentence: Sentence, random: Random) -> str | None:
    """Make one slip in one or two content words: two letters swapped, one missing, doubled, or its neighbour's key."""
    places = [
        index
        for index, token in enumerate(sentence.tokens)
        if sentence.is_free(index)
        and len(token.text) >= _SHORTEST
        and token.text.isascii()
        and token.text.isalpha()
        and fold(token.text) not in STOP_WORDS
    ]
    chosen = random.sample(places, min(len(places), random.choice((1, 2))))
    tokens = (sentence.tokens[index] for index in chosen)
    return sentence.edited((token.start, token.end, _slip(token.text, random)) for token in tokens)


def values(sentence: Sentence, random: Random) -> str | None:
    """Write the gold query's texts, where the question has them, in another letter case or in the plural."""
    edits: list[Edit] = []
    for start, end in sentence.constants:
        text = sentence.question[start:end]
        forms = {text.lower(), text.upper(), text.title()} - {text}
        before = sentence.question[:start].lower()
        if (
            re.fullmatch(r"[a-z]{3,}", text)
            and before.endswith(" ")
            and not re.search(r"\b(?:an?|each|every) $", before)
        ):
            forms.add(text[:-1] if text.endswith("s") and not text.endswith("ss") else _plural(text))
        if forms:
            edits.append((start, end, random.choice(sorted(forms))))
    return sentence.edited(edits)


def _is_name(text: str, sentence: Sentence) -> bool:
    """Whether a synonym names something of the schema itself, and so would change the meaning."""
    return any(stem(word) in sentence.schema_stems and word not in STOP_WORDS for word in words_of(text))


def _singular(word: str) -> tuple[str, bool]:
    """The word in the list that this one is, and whether it is in the plural."""
    if word in SYNONYMS:
        return word, False
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if word.endswith(ending) and word.removesuffix(ending) + instead in SYNONYMS:
            return word.removesuffix(ending) + instead, True
    return ("child", True) if word == "children" else (word, False)


def _plural(text: str) -> str:
    """An English plural by the rules; of "number of seats" the first noun's."""
    head, of, rest = text.partition(" of ")
    if head.endswith("y") and head[-2:-1] not in {"a", "e", "o", "u"}:
        head = head[:-1] + "ies"
    else:
        head += "es" if head.endswith(("s", "x", "z", "ch", "sh")) else "s"
    return head + of + rest


def _slip(word: str, random: Random) -> str:
    """The word with one edit behind its first letter; never the same word."""
    forms = []
    for at in range(1, len(word)):
        letter = word[at]
        forms.append(word[:at] + word[at + 1 :])
        forms.append(word[:at] + letter + word[at:])
        if at + 1 < len(word):
            forms.append(word[:at] + word[at + 1] + letter + word[at + 2 :])
        row = next((keys for keys in _KEYS if letter in keys), "")
        forms += [word[:at] + key + word[at + 1 :] for key in _beside(row, letter)]
    return random.choice([form for form in forms if form != word])


def _beside(row: str, letter: str) -> str:
    at = row.find(letter)
    return row[max(0, at - 1) : at] + row[at + 1 : at + 2] if at >= 0 else ""
