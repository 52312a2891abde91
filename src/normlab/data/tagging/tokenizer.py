"""Running text as words, cut as the corpora here are: close to the Penn Treebank's rules (its tokenizer.sed).

Clitics are words of their own (do n't, Paris 's), so are signs ($ 5, 3.5 %). Kept whole are what people write today
(web addresses, e-mail, @names, #tags, emoji), numbers with their separators, abbreviations with their full stop,
hyphenated words, and names with an apostrophe (O'Neill, d'Ivoire). Every visible character belongs to exactly one word,
so nothing but white space lies between two of them. Each alternative is bounded, so that time grows with the text.
"""

from __future__ import annotations

import re
import unicodedata

from normlab.data.tagging.sentence_ends import ABBREVIATIONS


def word_offsets(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return (start, end) of each word of text[start:end], as places in `text`.

    >>> text = "O'Neill didn't pay $1,234.56 (3.5%)."
    >>> [text[a:b] for a, b in word_offsets(text)]
    ["O'Neill", 'did', "n't", 'pay', '$', '1,234.56', '(', '3.5', '%', ')', '.']
    """
    return [match.span() for match in _WORD.finditer(text, start, len(text) if end is None else end)]


def look_up_spelling(word: str) -> str:
    """Return a word as training texts spell it: plain quotes, three full stops, composed accents, `&` for `&amp;`."""
    if "&" in word:
        word = _ENTITY.sub(lambda match: _ENTITIES[match.group().lower()], word)
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", word.translate(_PLAIN))


_PLAIN = str.maketrans(
    {**dict.fromkeys("‘’‚‛′＇", "'"), **dict.fromkeys("“”„‟«»″＂", '"'), "…": "...", "‐": "-", "‑": "-", "\u00ad": ""}
)
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"'}
_ENTITY = re.compile("|".join(_ENTITIES), re.IGNORECASE)

_QUOTE = "['’]"
_CLITIC = r"(?:s|re|ve|ll|d|m)\b"
_LETTERS = r"(?:\w[\u0300-\u036f\u00ad]*)+"  # with accents as signs of their own, and soft hyphens
_NAME = r"\w[\w-]{0,62}"  # a part of a host's name
_HOST = rf"{_NAME}(?:\.{_NAME}){{1,8}}"
_ENDINGS = "com|org|net|edu|gov|mil|int|info|io|ai|eu|uk|de|fr|ru|cn|jp|ca|au"
_IN_ADDRESS = r"(?:\([^\s()<>]{0,200}\)|[^\s()<>\"“”])"
_ADDRESS_END = r"(?:\([^\s()<>]{0,200}\)|[^\s()<>\"“”.,;:!?'’…\]}])"
_PICTURE = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff]"
_PAINTED = rf"{_PICTURE}[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]{{0,2}}"

_WORD = re.compile(
    "|".join(
        (
            # Most words: nothing below would end them elsewhere, and here they take a third of the time.
            r"(?!(?i:cannot)\b)[A-Za-z]+(?=[\s,;]|\Z)",
            rf"(?i:https?://|ftp://|www\.){_IN_ADDRESS}{{0,2000}}{_ADDRESS_END}",
            rf"(?<![\w.+%-])[\w.+%-]{{1,64}}@{_HOST}",
            rf"(?<!\w)@\w+(?:@{_HOST})?",
            r"(?<![\w&])#(?=\w{0,100}?[^\W\d])\w+",
            rf"(?<![\w.-])(?i:(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,8}}(?:{_ENDINGS}))\b(?!\.?\w)(?:/{_IN_ADDRESS}{{0,2000}}{_ADDRESS_END})?",
            r"&(?i:amp|lt|gt|quot);",
            r"[\U0001f1e6-\U0001f1ff]{2}|[0-9#*]\ufe0f?\u20e3",  # flags and keycaps
            rf"{_PAINTED}(?:\u200d{_PAINTED}){{0,10}}",
            rf"(?<!\S)(?:[:;=]{_QUOTE}?-?[)(\]\[DPpOo/\\|*]|<3+)(?!\w)",  # emoticons
            # U.S., a.m., U.S.-led; and U.S without its last full stop
            r"(?<![\w.])(?:[^\W\d_]\.){2,20}(?!\w)(?:-\w+){0,5}|(?<![\w.])(?:[^\W\d_]\.){1,20}[^\W\d_](?![\w.])(?:-\w+){0,5}",
            # George W. Bush, Roe v. Wade; not I and not the article
            r"(?<![\w.'’])[A-HJ-Zb-hj-z]\.(?=\s+\w)",
            rf"(?<![\w-])(?:{ABBREVIATIONS})\.|(?<!\w)(?i:no|nos|fig|art|jun|jul|mar|apr)\.(?=\s?\d)",
            rf"{_QUOTE}\d\ds\b",  # '70s
            rf"(?i:n{_QUOTE}t\b|{_QUOTE}{_CLITIC}|\w+?(?=n{_QUOTE}t\b)|\bcan(?=not\b))",
            rf"(?:\d+(?:[.,:/]\d+)*|(?<![\w.])\.\d+)\w*(?:-{_LETTERS})*",
            rf"{_LETTERS}(?:(?:&amp;|&(?!(?:lt|gt|quot);)|[-‐‑]|{_QUOTE}(?!(?i:{_CLITIC}))){_LETTERS})*",
            r"\.{2,}|-{2,}|[^\w\s]|\w",
        )
    )
)
