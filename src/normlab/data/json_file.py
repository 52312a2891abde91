"""A whole JSON file as Python values, with everything that can be wrong with it as one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from normlab.errors import UserError


def read_json(path: Path, what: str) -> Any:
    """Return the values of a JSON file; a byte order mark is passed over.

    Args:
        what: what the file ought to be, for the message, e.g. "tables.json".
    Raises: `UserError` naming the file and, where there is one, the line.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the path of {what}")
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason}): give the path of {what}") from None
    if not content.strip():
        raise UserError(f"{path} is empty: fetch {what} again")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise UserError(f"{path} is not UTF-8 (it holds NUL bytes, as UTF-16 or a binary file does): save it as UTF-8")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except RecursionError:
        raise UserError(f"{path} is not valid JSON for {what} (too deeply nested): fetch {what} again") from None
    except ValueError as error:  # the JSON module's, or a number of thousands of digits
        raise UserError(f"{path} is not valid JSON ({error}): fetch {what} again") from None
