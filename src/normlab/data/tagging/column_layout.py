"""What stands where in a column file: delimiter, words, tags, comments, token numbers, decided from many lines.

One line is never enough: the first may end in a tab, hold a comment, or have a column more than the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from normlab.data.tagging.scheme import OUTSIDE, is_well_formed
from normlab.errors import UserError

COURSE_COLUMNS = ("token", "pos", "word", "tag")
NUMBER = "number"  # the column of token numbers, as CoNLL-U has it
NESTED = "nested"  # a column of entities inside of entities
_CONLL_U, _CONLL_U_LABEL = 10, 3  # columns of CoNLL-U, and the place of the universal part of speech
LINES_TO_GUESS_FROM = 400
_NEARLY_ALL = 0.8
_OTHER_DELIMITERS = {",": "commas", ";": "semicolons", "|": "bars"}
_BLANKS = re.compile("[ \t]+")
_TOKEN_NUMBER = re.compile(r"\d+(?:[-.]\d+)?")
_NO_WORD_OF_ITS_OWN = re.compile(r"\d+[-.]\d+")
# "# sent_id = 1", "# newdoc id = x", "# global.columns = ID FORM"
_NAMED_COMMENT = re.compile(r"#\s+[\w.:]+(?:\s+[\w.:]+)?\s*=(?:\s|$)")
_TAG_OF_ANY_STYLE = re.compile(r"O|[BIESLUMW]-\S+|[BI]_\S+|\S+-[BI]")
_DUMMY_TAGS = frozenset({"_", "-"})


class Layout(NamedTuple):
    """The delimiter ("\\t", or " " for any run of spaces and tabs) and the columns' names, in order."""

    delimiter: str
    columns: tuple[str, ...]
    plain: bool = False  # tags are labels of any form

    def split(self, text: str) -> list[str]:
        """Return the fields of a line."""
        if self.delimiter == "\t":
            return text.rstrip(" \t").split("\t")
        return _BLANKS.split(text.strip(" \t"))

    @property
    def numbered(self) -> bool:
        """Whether a column holds token numbers."""
        return NUMBER in self.columns

    def has_no_word(self, fields: Sequence[str]) -> bool:
        """Return whether a line repeats or inserts a token (CoNLL-U's ranges "1-2" and empty nodes "1.1")."""
        return self.numbered and bool(_NO_WORD_OF_ITS_OWN.fullmatch(fields[self.columns.index(NUMBER)]))

    def is_comment(self, text: str, *, first: bool) -> bool:
        """Return whether a line that begins with "#" is a comment: no token, as in `# NN O`, begins so.

        Args:
            first: no word of the sentence stands before it.
        """
        if not text.startswith("#"):
            return False
        if _NAMED_COMMENT.match(text):
            return True
        if not first:
            return False
        fields = self.split(text)
        if len(fields) != len(self.columns):
            return True
        return not self.plain and self.columns[-1] == "tag" and len(fields) > 1 and not is_tag_or_dummy(fields[-1])

    def in_words(self, tags: str) -> str:
        """Return the layout for people: "words from column 2, tags IOB1 from column 4".

        Args:
            tags: the style of the tags, "" to leave it out.
        """
        said = [f"words from column {self.columns.index('word') + 1}"]
        if "token" in self.columns:
            said.append(f"vectors looked up by column {self.columns.index('token') + 1}")
        if "tag" in self.columns and self.plain:
            said.append(f"labels from column {self.columns.index('tag') + 1}")
        elif "tag" in self.columns:
            said.append(f"tags {tags + ' ' if tags else ''}from column {self.columns.index('tag') + 1}")
        else:
            said.append("no tags")
        if NESTED in self.columns:
            said.append(f"nested tags of column {self.columns.index(NESTED) + 1} not read")
        return ", ".join(said)


def ends_sentence(text: str) -> bool:
    """Return whether a line holds no word whatever the layout: it is blank, or CoNLL's document mark."""
    return text.strip(" \t\r") == "" or text.lstrip(" \t").startswith("-DOCSTART-")


def is_tag_or_dummy(text: str) -> bool:
    """Return whether a field is a tag of any scheme, or what stands in for one."""
    return text in _DUMMY_TAGS or any(is_well_formed(text, scheme) for scheme in ("bio", "bioes"))


def delimiter_of(lines: Sequence[str]) -> str:
    """Return a tab if at least half of the lines hold one between fields, else a space."""
    with_tab = sum("\t" in line.strip(" \t") for line in lines)
    return "\t" if lines and with_tab * 2 >= len(lines) else " "


def rows_of(lines: Sequence[str]) -> tuple[Layout, list[list[str]], int]:
    """Return a layout without names, the fields of sample lines, and how many nearly all have (0: they differ).

    Lines that begin with "#" are left out: they may be comments, unless there is nothing else.
    """
    words = [line for line in lines if not line.startswith("#")] or list(lines)
    bare = Layout(delimiter_of(words), ())
    rows = [bare.split(line) for line in words]
    width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    return bare, rows, width if count >= _NEARLY_ALL * len(rows) else 0


def signs_of_columns(rows: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    """Tell whether rows of equal length, two fields or more, end in tags, and whether they begin with token numbers.

    Lines of running text do neither.
    """
    tagged = sum(is_tag_or_dummy(row[-1]) for row in rows) >= _NEARLY_ALL * len(rows)
    return tagged, has_token_numbers(rows)


def guess_layout(lines: Sequence[str], where: str, *, plain: bool = False) -> Layout:
    """Return the layout that most of the sample lines have; `plain`: its tags are labels without prefixes.

    Raises: UserError at `place` for token numbers and tags without words, and for columns separated by commas.
    """
    bare, rows, _ = rows_of(lines)
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if width == 1 and (sign := _other_delimiter(lines, plain=plain)):
        raise UserError(
            f"{where}: columns are separated by {sign}: separate them by tabs or spaces, or make it a .csv with a "
            "header that names sentence, word and tag"
        )
    columns = _guess_columns([row for row in rows if len(row) == width], width, where, plain=plain)
    return bare._replace(columns=columns, plain=plain)


def _other_delimiter(lines: Sequence[str], *, plain: bool) -> str:
    """Return the name of the sign that separates the columns of nearly all lines, "" if none does."""
    for sign, name in _OTHER_DELIMITERS.items():
        rows = [line.split(sign) for line in lines]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        last = [row[-1].strip() for row in rows]
        if width > 1 and count >= _NEARLY_ALL * len(rows) and (plain or _holds_tags(last)):
            return name
    return ""


def has_token_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first fields count the tokens of each sentence: 1 2 3 1 2 (or from 0), and nothing else."""
    whole = [row[0] for row in rows if not _NO_WORD_OF_ITS_OWN.fullmatch(row[0])]
    if len(whole) < 2 or not all(field.isascii() and _TOKEN_NUMBER.fullmatch(field) for field in whole):
        return False
    numbers = [int(field[:9]) for field in whole]
    if numbers[0] not in (0, 1):
        return False
    # A sample may begin anywhere, but then goes up by one, or back to where it began.
    return all(b == a + 1 or b == numbers[0] for a, b in pairwise(numbers))


def number_words(words: Sequence[str]) -> float:
    """Return the share of words that are whole numbers."""
    return sum(word.isascii() and word.isdigit() for word in words) / max(1, len(words))


def _guess_columns(rows: list[list[str]], width: int, where: str, *, plain: bool) -> tuple[str, ...]:
    names = [f"column{number}" for number in range(1, width + 1)]
    if width == 1:
        return ("word",)
    numbered = has_token_numbers(rows)
    if numbered:
        names[0] = NUMBER
    if width == 4 and not numbered and third_repeats_first(rows):
        return COURSE_COLUMNS
    if numbered and width == _CONLL_U and plain:
        tag = _CONLL_U_LABEL
    elif numbered and width > 3 and all(_holds_tags([row[column] for row in rows]) for column in range(2, width - 1)):
        tag = 2  # GermEval: outer entities, then those inside of them, which may be none
        names[3] = NESTED
    else:
        tag = _tag_column(rows, numbered=numbered, plain=plain)
    word = next((column for column in range(int(numbered), width) if column != tag), None)
    if word is None and numbered and width == 2:
        if all(is_tag_or_dummy(row[1]) for row in rows):
            raise UserError(f"{where}: column 1 holds token numbers and column 2 tags: there are no words")
        return (NUMBER, "word")
    assert word is not None
    names[tag], names[word] = "tag", "word"
    return tuple(names)


def third_repeats_first(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the third column repeats the first; a half is enough, since the first may hold lemmas."""
    return sum(row[0].lower() == row[2].lower() for row in rows) * 2 >= len(rows)


def _tag_column(rows: list[list[str]], *, numbered: bool, plain: bool) -> int:
    """Return the last column if it holds tags of any style or no other does, else the only one that does.

    The chunks (I-NP) before a last column of BILOU tags, or of types without prefixes, are no entities.
    """
    width = len(rows[0])
    last = [row[-1] for row in rows]
    if plain or last.count(OUTSIDE) * 3 >= len(last) or _nearly_all(last, _TAG_OF_ANY_STYLE.fullmatch):
        return width - 1
    holding = [column for column in range(int(numbered), width) if _holds_tags([row[column] for row in rows])]
    return holding[0] if len(holding) == 1 and width > 1 + numbered else width - 1


def _holds_tags(fields: list[str]) -> bool:
    return _nearly_all(fields, is_tag_or_dummy) and any(field not in _DUMMY_TAGS for field in fields)


def _nearly_all(fields: list[str], holds: Callable[[str], object]) -> bool:
    return sum(bool(holds(field)) for field in fields) >= _NEARLY_ALL * len(fields)
