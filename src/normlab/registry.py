"""Name -> object, imported on first use.

A registry is a table of strings, one line per component: listing the names for `--help` imports nothing. Aliases are
further accepted names (`bn`, `inbuilt`).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from normlab.errors import UserError, did_you_mean, shortened
from normlab.html_table import html_table


def refuse_arguments(what: str, function: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Raise `UserError` where a call would miss an argument, or have one that the function does not take."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some of Python's own types have none
        return
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        known = [name for name, each in signature.parameters.items() if each.kind is not each.VAR_KEYWORD]
        for name in options:
            if name not in known:
                raise UserError(f"{what}: unknown option '{name}': {did_you_mean(name, known)}") from None
        raise UserError(f"{what}: {error}: it takes {', '.join(known)}") from None


class Registry:
    """A lazy table of components.

    Args:
        kind: what an entry is, for messages ("norm", "task").
        entries: canonical name -> "module:attribute".
        aliases: other accepted name -> canonical name.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], aliases: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, Any] = dict(entries)
        self._aliases = dict(aliases or {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._entries or name in self._aliases)

    def names(self) -> list[str]:
        """Return the canonical names, in the order of registration."""
        return list(self._entries)

    def aliases(self, name: str) -> list[str]:
        """Return the other names under which `name` is accepted."""
        return [alias for alias, target in self._aliases.items() if target == name]

    def resolve(self, name: str) -> str:
        """Return the canonical name; raise `UserError` with the nearest one if there is none."""
        if not isinstance(name, str):
            raise UserError(f"unknown {self.kind} {shortened(name)}: known: {', '.join(self._entries)}")
        key = self._aliases.get(name, name)
        if key not in self._entries:
            raise UserError(f"unknown {self.kind} '{name}': {did_you_mean(name, self._entries)}")
        return key

    def get(self, name: str) -> Any:
        """Return the object, importing its module on first use."""
        key = self.resolve(name)
        entry = self._entries[key]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = self._entries[key] = getattr(importlib.import_module(module), attribute)
        return entry

    def create(self, name: str, *args: Any, **options: Any) -> Any:
        """Call the object of that name, e.g. `NORMS.create("group", 16, groups=4)`.

        Raises: UserError with the nearest option for arguments that it does not take.
        """
        entry = self.get(name)
        refuse_arguments(f"{self.kind} '{name}'", entry, args, options)
        return entry(*args, **options)

    def _repr_html_(self) -> str:
        """Return a table for notebooks, with what an entry's card says where it has one."""
        rows = []
        for name in self._entries:
            card = getattr(self.get(name), "card", None)
            said = [getattr(card, field, "") for field in ("title", "formula", "when_to_use")]
            rows.append([name, ", ".join(self.aliases(name)), *said])
        return html_table(f"{self.kind}s", ["name", "also", "title", "formula", "when to use it"], rows)

    def register(self, name: str, entry: Any, *, aliases: tuple[str, ...] = ()) -> None:
        """Add a component at run time: an object, or a "module:attribute" string.

        Raises: ValueError if the name or an alias is taken.
        """
        for taken in (name, *aliases):
            if taken in self:
                raise ValueError(f"{self.kind} '{taken}' is registered already")
        self._entries[name] = entry
        self._aliases.update(dict.fromkeys(aliases, name))
