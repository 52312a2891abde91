"""Which kind of values a column holds, from the type that its database declares.

SQLite takes any words as a type and searches them for parts of words, which makes numbers of POINT, INTERVAL and
ENUM('print'). Here the words themselves decide; only for words of no known database do SQLite's rules serve.
"""

from __future__ import annotations

import re

CATEGORIES = ("text", "number", "time", "boolean", "others")
"""Spider's five kinds of columns."""


def type_category(declared: str) -> str:
    """Return the category of a declared type, e.g. "text" of `VARCHAR(20)`, "others" of no type at all.

    What stands in brackets (sizes, the choices of an ENUM) says nothing about the kind and is left out.
    """
    if "[" in declared:
        return "others"  # an array
    words = re.findall(r"[a-z]+\d*", re.sub(r"\(.*?(\)|$)", " ", declared.lower(), flags=re.DOTALL))
    if words and words[0] == "bit":
        return "boolean" if re.fullmatch(r"\s*bit\s*(\(\s*1\s*\))?\s*", declared, re.IGNORECASE) else "others"
    for word in words:
        for category, pattern in _KNOWN.items():
            if pattern.fullmatch(word):
                return category
    return _by_affinity("".join(words))


_KNOWN = {
    "number": re.compile(
        r"u?(tiny|small|medium|big|long)?int(eger)?\d*|(big|small)?serial\d*|(small|big)?money|real|float\d*|floating|"
        r"double|numeric|num|number|decimal\d*|dec|year\d?|currency|counter|byte|short|single|identity"
    ),
    "time": re.compile(r"(small)?date(time)?(offset|tz)?\d*|time(stamp)?(tz|ltz|ntz)?\d*|interval\d?"),
    "boolean": re.compile(r"bool|boolean|logical|yesno"),
    "text": re.compile(
        r"(n|bp|var|nvar)?char(acter)?\d*|n?varchar\d*|(tiny|medium|long|ci|n)?text|n?clob|string|enum|set|uuid|guid|"
        r"uniqueidentifier|xml|inet"
    ),
    "others": re.compile(
        r"(tiny|medium|long)?blob|point|(multi)?(line(string)?|polygon)|multipoint|geometry\w*|geography|circle|path|"
        r"box|binary|varbinary|bytea|image|raw|jsonb?|variant|object"
    ),
}


def _by_affinity(words: str) -> str:
    """SQLite's rules (datatype3, section 3.1) for words of no known database; nothing declared says nothing."""
    if any(part in words for part in ("char", "clob", "text")):
        return "text"
    if words.endswith(("date", "datetime", "timestamp")):
        return "time"
    if re.search(r"(?<!po)(?<!pr)int(eger)?\d*$|real|floa|doub|decimal|numeric", words):
        return "number"
    return "others"
