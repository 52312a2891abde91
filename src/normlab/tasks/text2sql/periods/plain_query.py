"""The text of a query that one SELECT writes, taken apart: where it reads from, its conditions, its constants."""

from __future__ import annotations

import re

from normlab.tasks.text2sql.periods.period import Period, plain

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_CONSTANT = r"(?:'(?:[^']|'')*'|-?\d+(?:\.\d+)?)"
CONDITION = re.compile(
    rf"(?:(?P<alias>T\d+)\.)?(?P<column>{_NAME}) (?:(?P<sign>=|<=|>=|<|>|LIKE) (?P<constant>{_CONSTANT})"
    rf"|BETWEEN (?P<low>{_CONSTANT}) AND (?P<high>{_CONSTANT}))"
)
TABLE = re.compile(rf"(?:FROM|JOIN) (?P<table>{_NAME})(?: AS (?P<alias>T\d+))?")
PLAIN = re.compile(
    r"SELECT .+? (?P<source>FROM .+?)(?: WHERE (?P<where>.+?))?(?P<rest>(?: (?:GROUP BY|ORDER BY|LIMIT) .+)?)"
)
LAST = re.compile(rf"(?P<before>.+) JOIN {_NAME} AS (?P<alias>T\d+) ON .+? = (?P=alias)\.(?P<column>{_NAME})")


def counted(rest: str) -> str:
    """Return, of what stands behind the conditions, HAVING and LIMIT, where a number says how many."""
    return " ".join(re.findall(r"HAVING .+?(?= ORDER BY |$)|LIMIT .+$", rest))


def constants_of(sql: str) -> list[str]:
    """Return the constants of a text of SQL, as `plain` words."""
    return [plain(constant) for constant in re.findall(_CONSTANT, sql)]


def names_only(match: re.Match[str], period: Period) -> bool:
    """Tell whether a condition compares with the period's own words and nothing else."""
    constants = " ".join(match[group] for group in ("constant", "low", "high") if match[group])
    return all(constant in period.words for constant in constants_of(constants))


def masked(sql: str) -> str:
    """Return the query with other letters in its texts and quoted names, so that no keyword is found inside them."""
    return re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", lambda match: "'" + "x" * (len(match.group()) - 2) + "'", sql)


def bare(name: str) -> str:
    """Return a name without its quotes, in lower case."""
    return name[1:-1].replace('""', '"').lower() if name.startswith('"') else name.lower()
