"""Which code of other people's a run may bring into this process: none that this user has not trained with.

A run's settings may name a network or a norm as `file.py:name`. Whoever trains with it has asked for its code, and its
file is remembered here. A run, a model file or a checkpoint of somebody else may name code too, and opening one must
not run what came along with it: an unknown file is refused, in a line that says how to allow it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from normlab.errors import UserError
from normlab.own_code import place_of, source_file
from normlab.runs.atomic import write_json
from normlab.runs.cache_folders import cache_root

ALLOWED = "NORMLAB_TRUST_CODE"
"""Set to 1, this environment variable lets any run import the code that it names."""


def remember(references: Iterable[str]) -> None:
    """Remember the files that references name as this user's choice; files that are gone are forgotten."""
    files = {str(source_file(reference)) for reference in references if not _is_librarys(reference)}
    known = _known()
    if files <= known:
        return
    try:
        _store().parent.mkdir(parents=True, exist_ok=True)
        write_json(_store(), sorted(file for file in known | files if os.path.isfile(file)))
    except OSError:  # a cache that cannot be written: the next process asks again
        pass


def refuse_unknown(references: Iterable[str], where: str) -> None:
    """Raise `UserError` for code that this user never trained with, unless the environment allows it.

    Args:
        where: whose settings name the code, for the message.
    """
    if os.environ.get(ALLOWED) == "1":
        return
    for reference in references:
        if _is_librarys(reference):
            continue
        try:
            file = source_file(reference)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if str(file) not in _known():
            raise UserError(
                f"{where}: its network or norm is code of its own, {reference}, with which you have not trained here, "
                f"and using it would run that code: read {file}, then allow it with {ALLOWED}=1"
            )


def _is_librarys(reference: str) -> bool:
    return place_of(reference) == "timm"


def _known() -> set[str]:
    try:
        files = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {str(file) for file in files} if isinstance(files, list) else set()


def _store() -> Path:
    return cache_root() / "trusted_code.json"
