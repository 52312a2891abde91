"""Whatever goes wrong in a tab becomes one line in the page: never a traceback, and never an old answer beside it."""

from __future__ import annotations

import functools
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from normlab.apps.serve.markup import mistake
from normlab.data.sql.sqlite import QueryError
from normlab.errors import UserError, one_line

OURS = "normlab failed here, which is no mistake of yours: the terminal in which it runs shows the details"


def answering(outputs: int) -> Callable[[Callable[..., Any]], Callable[..., tuple[Any, ...]]]:
    """Make a function that returns `outputs` values, or raises, return a line for the message and then these values.

    A mistake's line stands first and the other outputs are emptied; without one the line is empty.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
        @functools.wraps(function)
        def wrapped(*arguments: Any) -> tuple[Any, ...]:
            try:
                values = function(*arguments)
            except (UserError, QueryError) as error:
                return mistake(said(error)), *[""] * outputs
            except Exception:
                traceback.print_exc(file=sys.stderr)
                return mistake(OURS), *[""] * outputs
            return "", *(values if isinstance(values, tuple) else (values,))

        return wrapped

    return decorate


def said(error: object) -> str:
    """Return an error's line without the temporary folders of uploads: only the files' names tell a user anything."""
    line = one_line(str(error))
    for folder in {tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve())}:
        line = " ".join(_without_folder(word, folder) for word in line.split(" "))
    return line


def _without_folder(word: str, folder: str) -> str:
    start = word.find(f"{folder}/")
    return word if start < 0 else f"{word[:start]}{word[start:].rpartition('/')[2]}"
