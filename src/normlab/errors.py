"""What a user can get wrong, said in one line.

A `UserError` names the cause, the place and the fix. The command line prints it without a traceback and exits
with 2. What the system refuses while normlab writes (a full disk) is a `WriteError`, an `OSError` that names the file
that was meant. Everything else that goes wrong is ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """A mistake that the user can fix. The message is one line: cause, place, fix.

    Names and values out of a user's files stand in it; their line breaks and control characters are escaped.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(str(message)))


class WriteError(OSError):
    """A file could not be written. `filename` is the one that was asked for, not a temporary one.

    Attributes:
        next_step: what the user does once the cause is gone, e.g. "go on with `normlab resume runs/a`".
    """

    def __init__(self, error: OSError, path: object) -> None:
        super().__init__(error.errno, error.strerror or str(error), str(path))
        self.next_step = getattr(error, "next_step", "")

    def __reduce__(self) -> Any:
        return _write_error, (self.errno, self.strerror, self.filename)


def _write_error(number: int, reason: str, path: str) -> WriteError:
    return WriteError(OSError(number, reason), path)


def one_line(text: str) -> str:
    r"""Return text with what would break or colour a terminal's line as escapes.

    >>> one_line("a\nb")
    'a\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shortened(value: object, limit: int = 80) -> str:
    """Return a value as Python writes it, cut in the middle if it is long: it stands in one line of an error."""
    text = repr(value) if not isinstance(value, int) or abs(value) < _HUGE else f"a number of {value.bit_length()} bits"
    return text if len(text) <= limit else f"{text[: limit // 2]}...{text[-limit // 4 :]}"


def with_value(message: str, value: object) -> str:
    """Return what is wrong with a value, and the value itself unless the message names it.

    >>> with_value("unknown norm 'grup'", "grup"), with_value("should be a number", "x")
    ("unknown norm 'grup'", "should be a number, got 'x'")
    """
    text = shortened(value)
    named = re.search(rf"(?<![\w.]){re.escape(text)}(?![\w.])", message)
    return message if named else f"{message}, got {text}"


def excerpt(text: str, limit: int = 60) -> str:
    """Return the beginning of a text that may hold anything, for one line of an error or a report."""
    return one_line(text if len(text) <= limit else f"{text[:limit]}...")


def did_you_mean(wrong: str, known: Iterable[str], *, listed_by: str = "") -> str:
    """Return the fix for a wrong name: the nearest known one, or all of them unless they are many.

    Args:
        listed_by: the command that lists them, named in place of a long list.

    >>> did_you_mean("grop", ["group", "layer"])
    "did you mean 'group'? Known: group, layer"
    """
    names = list(known)
    near = difflib.get_close_matches(wrong[:_LONGEST_NAME], names, n=1, cutoff=0.6)
    if not near and listed_by and len(names) > _SHORT_LIST:
        return f"see `{listed_by}`"
    if not near and len(names) > _LONG_LIST:
        nearest = difflib.get_close_matches(wrong[:_LONGEST_NAME], names, n=3, cutoff=0.0)
        return f"the nearest of {len(names)} are {', '.join(nearest)}"
    if not near:
        return f"known: {', '.join(names)}"
    listing = f" Known: {', '.join(names)}" if len(names) <= _SHORT_LIST else ""
    return f"did you mean '{near[0]}'?{listing}"


_SHORT_LIST = 12
_LONG_LIST = 40  # more names than a line should hold
_LONGEST_NAME = 100  # of what is compared: its cost grows with the square
_HUGE = 10**30
