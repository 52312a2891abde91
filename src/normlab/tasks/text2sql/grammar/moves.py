"""How actions change a scope, and how far it is from its end: what the table of phases says of one scope."""

from __future__ import annotations

from normlab.tasks.text2sql.grammar.phase_table import PHASES
from normlab.tasks.text2sql.grammar.phases import ARITHMETIC, SET_OPERATIONS, Phase, Scope


def closing(scope: Scope) -> int:
    """Return the fewest actions that finish a scope, its END or CLOSE included."""
    return PHASES[scope.phase].cost(scope)


def after(scope: Scope, kind: str, text: int | str) -> Scope:
    """Return the scope after an action that does not open or close one; see `automaton.Action`."""
    moved = scope._replace(phase=_NEXT[scope.phase][_key(kind, text)])
    if kind == "table":
        return moved._replace(tables=(*scope.tables, int(text)))
    if kind == "column" and scope.phase in _ITEMS:
        return moved._replace(items=scope.items + 1)
    return _after_keyword(moved, scope, str(text)) if kind == "word" else moved


def around(scope: Scope) -> Scope:
    """Return a scope while a sub-query in it is open: it stands where it goes on afterwards."""
    return scope._replace(phase=_NEXT[scope.phase]["("], derived=scope.phase is Phase.FROM or scope.derived)


def _after_keyword(moved: Scope, before: Scope, text: str) -> Scope:
    """The scope whose phase has moved already, with what else a keyword changes."""
    if text in SET_OPERATIONS:
        return Scope(width=before.items, inner=before.inner, compound=True)
    if text in ARITHMETIC and before.phase in _ITEMS:  # the item goes on
        return moved._replace(items=before.items - 1)
    if text in ("where", "having"):
        return moved._replace(having=text == "having")
    return moved._replace(grouped=True) if text == "group" else moved


_NEXT = {
    phase: {
        "value" if what in ("text value", "whole number") else what: way.to for way in row.ways for what in way.what
    }
    for phase, row in PHASES.items()
}
_ITEMS = frozenset(phase for phase in Phase if phase.name.startswith("SELECT"))


def _key(kind: str, text: int | str) -> str:
    """Return by which name the table has an action."""
    if kind == "word":
        return str(text)
    return "all columns" if kind == "column" and text == 0 else kind
