"""Rules that change a sentence: a clause or politeness moves, or the word that names a column goes."""

from __future__ import annotations

import re
from random import Random

from normlab.tasks.text2sql.perturbing.sentence import Sentence

_CLAUSE = re.compile(
    r"^(?P<head>[^.?!]+?)(?:\s*,)?\s+(?P<tail>(?:and )?(?:(?:sorted|ordered|listed|grouped)\b|"
    r"in (?:the )?(?:ascending|descending|alphabetical|increasing|decreasing|lexicographical|reverse)\b|"
    r"for (?:each|every)\b)[^.?!,]*?)(?P<end>\s*[.?!]*)$",
    re.IGNORECASE,
)
_IMPERATIVE = re.compile(r"(?:find|list|show|give|return|tell|count|compute|display|report|calculate)\b", re.IGNORECASE)
_POLITE = re.compile(r"^(?:please|can you(?: please)?|could you(?: please)?)\s+", re.IGNORECASE)


def order(sentence: Sentence, random: Random) -> str | None:
    """Put the clause of sorting or grouping at the end to the front; else add politeness, or take it away."""
    question = sentence.question.strip()
    clause = _CLAUSE.match(question)
    if clause and " " in clause["head"]:
        tail = re.sub(r"^and ", "", clause["tail"], flags=re.IGNORECASE)
        return f"{tail[0].upper()}{tail[1:]}, {_lower(clause['head'])}{clause['end']}"
    polite = _POLITE.match(question)
    if polite:
        rest = question[polite.end() :]
        return rest[0].upper() + rest[1:] if rest else None
    if not _IMPERATIVE.match(question):
        opening = random.choice(("Can you tell me: ", "I would like to know: ", "Please tell me: "))
        return opening + _lower(question)
    single = not re.search(r"[.?!]\s+\S", question)
    forms = ("Please {}", "Can you {}?", "Could you please {}?") if single else ("Please {}",)
    form = random.choice(forms)
    return form.format(_lower(question.rstrip(" .?!") if form.endswith("?") else question))


def names(sentence: Sentence, random: Random) -> str | None:
    """Leave out or paraphrase the word that names a column, by the first rule that fits; the group `n` is the word."""
    del random  # nothing to choose
    for pattern, replacement in _NAMES:
        match = pattern.search(sentence.question)
        if match and sentence.names(*match.span("n")) and not sentence.holds_constant(*match.span()):
            text = sentence.question[: match.start()] + match.expand(replacement) + sentence.question[match.end() :]
            return text[0].upper() + text[1:]
    return None


def _lower(text: str) -> str:
    """The text with a small letter in front, unless its first word is a name or a sign."""
    return text[0].lower() + text[1:] if re.match(r"[A-Z][a-z]*(?:\s|$)", text) and not text.startswith("I ") else text


_MORE = r"(?:greater|higher|older|larger|bigger|more|above|over)"
_LESS = r"(?:less|lower|younger|smaller|below|under)"
_DOWN, _UP = r"(?:descending|decreasing|reverse)", r"(?:ascending|increasing)"
_BY = r"(?:,\s*)?(?:\s*and\s+)?(?:sorted|ordered|order|sort)(?: them| it| the results?)? by (?:the |their |its |his )?"
_NAMES = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (rf"\b{_BY}(?P<n>age)s? in {_DOWN}(?: order)?\b(?: of age)?", " from the oldest to the youngest"),
        (
            rf"\b{_BY}(?P<n>age)s?(?: in {_UP} order)?(?: from youngest to oldest)?\b",
            " from the youngest to the oldest",
        ),
        (rf"\bin {_DOWN} order of (?:their )?(?P<n>age)s?\b", "from the oldest to the youngest"),
        (rf"\bin {_UP} order of (?:their )?(?P<n>age)s?\b", "from the youngest to the oldest"),
        (rf"\bin {_DOWN} order of (?:their )?(?P<n>price|cost)s?\b", "from the most expensive to the cheapest"),
        (rf"\bin {_UP} order of (?:their )?(?P<n>price|cost)s?\b", "from the cheapest to the most expensive"),
        (rf"\b{_BY}(?P<n>names?)(?: (?:in )?alphabetical(?:ly)?(?: order)?)?(?=\s*[.?!]*$)", " in alphabetical order"),
        (rf"\b(?:whose|with|having) (?:an? )?(?P<n>age) (?:is )?{_MORE} than\b", "who are older than"),
        (rf"\b(?:whose|with|having) (?:an? )?(?P<n>age) (?:is )?{_LESS} than\b", "who are younger than"),
        (r"\bwith the (?:highest|largest|greatest) (?P<n>price|cost)\b", "that costs most"),
        (r"\bwith the (?:lowest|smallest) (?P<n>price|cost)\b", "that costs least"),
        (r"\bwith the (?:highest|largest|greatest|most) (?P<n>population)\b", "where most people live"),
        (r"\bwith the (?:lowest|smallest|least) (?P<n>population)\b", "where fewest people live"),
        (r"\bwith the (?:highest|largest|greatest) (?P<n>weight)\b", "that is heaviest"),
        (r"\bwith the (?:highest|largest|greatest) (?P<n>height)\b", "that is tallest"),
        (
            r"\b(?:whose|with|having) (?:an? |the )?(?P<n>(?:\w+ )?(?:name|title)) (?:is |of |as )?(?=[\"'‘“])",
            "called ",
        ),
        (r"\b(?:whose|with|having) (?:an? |the )?(?P<n>\w+(?: \w+)?) (?:is |of )?(?=[\"“‘])", "with "),
        (
            r"\b(?P<in>in|from) the (?P<n>city|country|town|state|continent|region|year) (?:of )?(?-i:(?=[A-Z\d\"']))",
            r"\g<in> ",
        ),
        (
            r"^what (?P<be>is|are) the (?P<n>names?) of (?P<all>all )?(?:the )?(?!each|every)",
            r"Which \g<be> \g<all>the ",
        ),
        (
            r"^(?P<verb>(?:please |can you )?(?:find|list|show|give|return)(?: me)?) (?:the |all )?"
            r"(?P<n>names?) of (?P<of>the |all the |all |every |each )?",
            r"\g<verb> \g<of>",
        ),
    )
]
