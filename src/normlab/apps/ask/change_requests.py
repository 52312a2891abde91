"""Requests to change data, told from questions: the model can only ask, and would count what it is to delete.

Rules over words, no model: an imperative of change at the beginning or in a later clause, a wish that something be
changed, a set phrase. A verb that is a noun as well ("book titles by author") counts only with an object behind it.
"""

from __future__ import annotations

import re


def change_request(text: str) -> str:
    """Return the words of a text that ask for a change, "" if none do."""
    bare = _QUOTED.sub(" x ", text.lower().replace("\u2019", "'"))
    rest = _POLITE.sub("", bare, count=1)
    return _first_verb(rest) or _later_clause(bare) or _wish(bare, rest) or _phrase(bare, rest)


_QUOTED = re.compile(
    r"""(?<![^\W_])'[^';]{1,80}'(?![^\W_])|"[^";]{1,80}"|[\u2018\u201c][^\u2019\u201d]{1,80}[\u2019\u201d]"""
)
_POLITE = re.compile(
    r"""\A(?:\W*\b(?:please|pls|plz|kindly|can|could|would|will|you|now|then|just|i|we|d|ll|want|need|like|to|let|lets|go|
    ahead|and|help|me|us|hey|hi|hello|ok|okay|dear|quickly|immediately|simply|first|next|also|finally|must|should|have|
    ask|try|is|it|be|s|possible|able|your|job|task|so|database|assistant|bot)\b'?)*\W*""",
    re.VERBOSE,
)
_ALWAYS = (
    "delete remove drop erase truncate insert add append update modify rename replace alter overwrite wipe purge "
    "destroy undelete restore undo revoke discard eliminate upsert deduplicate anonymize anonymise "
    "decrement increment nullify unset deactivate reassign edit archive"
)
"""No question begins with one of these."""
_WITH_OBJECT = (
    "set change create clear increase decrease raise reduce lower double triple halve put mark register assign move "
    "merge fill fix correct cancel save store enroll enrol hire fire import transfer archive reset empty swap make "
    "turn convert apply grant promote demote adjust upgrade bump multiply enter upload populate link attach detach "
    "disable enable activate ban block book schedule approve reject close reopen subtract divide copy duplicate round "
    "normalize normalise capitalize shift postpone extend log flag split reverse"
)
_OBJECT = (
    r"(?:the|a|an|all|every|everything|each|any|this|that|these|those|them|it|him|her|my|our|their|his|its|one|two|"
    r"\d[\w.,]*|table|tables|column|columns|index|view|trigger|database|row|rows|record|records|entry|entries|from|into|"
    r"everyone|anything|new|x)"
)
_NOUNS = r"(?:dates?|times?|history|counts?|frequenc\w+|rates?|logs?|flags?|types?|reasons?|codes?|numbers?)"
_REPORTS = (
    r"(?:a|an|the|me a|me an)\s+(?:\w+\s+){0,2}(?:lists?|reports?|charts?|graphs?|plots?|summar\w+|overviews?|"
    r"rankings?|quer\w+|histograms?|table\s+(?:of|that|which|show\w*|list\w*))\b"
)


def _any(words: str) -> str:
    return "(?:" + "|".join(words.split()) + ")"


_ALWAYS_VERB = re.compile(rf"(?:re-?)?({_any(_ALWAYS)})\b(?!\s+{_NOUNS}\b)(?!\s+up\b)(?!\s*-)")
_OBJECT_VERB = re.compile(
    rf"({_any(_WITH_OBJECT)})\s+(?:in\s+|out\s+|off\s+)?(?!{_REPORTS})(?:{_OBJECT}\b|\w+'s\b|[\w']+(?:\s+[\w']+){{0,20}}?\s+(?:to|=|as)\s)"
    r"(?!.*\bin\s+(?:\w+\s+)?order\b)|"
    r"(cancel|close|reopen|approve|reject|archive|ship|pay)\s+\w+\s+\#?\d+\b"
)
_GIFT = re.compile(
    r"(give|grant|offer)\s+(?!me\b|us\b)(?:(?!\b(?:of|with|who|that|which|have|has|had|whose|name|names)\b).)*"
    r"\ban?\s+(?:\d\S*\s*(?:%|percent)?\s*)?(?:pay\s+)?(?:raise|rise|bonus|discount|promotion|refund)\b"
)
_OWN_RULE = re.compile(r"make\b")


def _first_verb(rest: str) -> str:
    """An imperative at the beginning."""
    found = _ALWAYS_VERB.match(rest) or _GIFT.match(rest)
    if not found and not _OWN_RULE.match(rest):
        found = _OBJECT_VERB.match(rest)
    if not found:
        found = _MAKE.match(rest)
    return next(filter(None, found.groups()), "") if found else ""


_MAKE = re.compile(rf"(make)\s+(?!{_REPORTS})(?!(?:me\s+)?(?:a|an)\b)\w+")
_CLAUSE = re.compile(
    rf"(?:[,;.!?:)]\s*(?:and\s+|then\s+|now\s+|also\s+|please\s+)*|\b(?:and|then|also|but)\s+(?:then\s+|please\s+|also\s+)*)"
    rf"({_any(_ALWAYS + ' set change clear increase decrease reduce cancel reset empty double mark')})"
    r"\s+(?:the\b|all\b|them\b|it\b|him\b|her\b|those\b|these\b|everything\b|every\b|table\b|tables\b|from\b|into\b|"
    r"database\b|\w+'s\b)"
)
_PLEASE_AT_END = re.compile(rf"\bplease\s+({_any(_ALWAYS)})\W*$")


def _later_clause(bare: str) -> str:
    """An imperative behind a comma, a semicolon or "and"."""
    found = _CLAUSE.search(bare) or _PLEASE_AT_END.search(bare)
    return found[1] if found else ""


_CHANGED = (
    r"(deleted|removed|dropped|erased|truncated|inserted|added|appended|updated|modified|renamed|replaced|altered|"
    r"overwritten|wiped|purged|cleared|changed|cancelled|canceled|reset|increased|decreased|reduced|raised|lowered|"
    r"doubled|halved|set\s+to|gone)"
)
_SHOULD = re.compile(
    rf"\b(?:should|must|needs?\s+to|has\s+to|have\s+to|ought\s+to|shall)\s+(?:all\s+)?be\s+(?:\w+ly\s+)?{_CHANGED}"
)
_WANTED = re.compile(rf"\b(?:want|need|'d\s+like|would\s+like)\b.*\b{_CHANGED}\W*(?:$|from\b|in\b|by\b|to\b|now\b)")
_ASKS = re.compile(
    r"(?:what|which|who|whom|whose|when|where|how|why|show|list|find|count|display|return|name|tell|report|are|is|were|was|"
    r"do|does|did|get|number)\b"
)
_ASKS_INSIDE = re.compile(r"\b(?:see|know|which|what|how|list|find|show|who|when|whether)\b")


def _wish(bare: str, rest: str) -> str:
    """ "All orders should be deleted", "I want them removed": said, not asked."""
    if _ASKS.match(rest) or _ASKS_INSIDE.search(bare):
        return ""
    found = _SHOULD.search(bare) or _WANTED.search(bare)
    return f"be {found[1]}" if found else ""


_PHRASE = re.compile(
    r"(put \w+ in charge|get rid of|do away with|throw (?:away|out)|take .{1,60} (?:off|out of) the|"
    r"sign .{1,40} up (?:for|as))\b"
)
_LET = re.compile(r"\W*(?:please\s+)?(let) the \w+ .{0,60}\bbe\b")


def _phrase(bare: str, rest: str) -> str:
    found = _PHRASE.match(rest) or _LET.match(bare)
    return found[1] if found else ""
