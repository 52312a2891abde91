"""Paths of the machine on which a run was made: they are no settings, and they name people's folders."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any


def without_own_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings with each absolute path shortened to its last part."""
    return {name: last_part(value) if isinstance(value, str) else value for name, value in values.items()}


def last_part(word: str) -> str:
    """Return the last part of a word that is an absolute path, or leads out of the current folder; else the word."""
    return PurePath(word).name if PurePath(word).is_absolute() or word.startswith(("../", "~/")) else word
