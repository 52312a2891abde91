"""The decoder's state in a beam search: any nest of tensors with one row for each hypothesis along axis 0."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor

State = TypeVar("State")


def select_rows(state: State, rows: Tensor) -> State:
    """Return the same nest of tensors with these rows of axis 0."""
    if isinstance(state, Tensor):
        return state.index_select(0, rows)  # type: ignore[return-value]
    if isinstance(state, dict):
        return {key: select_rows(value, rows) for key, value in state.items()}  # type: ignore[return-value]
    if isinstance(state, tuple) and hasattr(state, "_fields"):  # a named tuple
        return type(state)(*(select_rows(value, rows) for value in state))
    if isinstance(state, tuple | list):
        return type(state)(select_rows(value, rows) for value in state)
    return state


def count_rows(state: Any) -> int:
    """Return the rows of the first tensor. Raises: ValueError if the nest holds none."""
    leaf = _first_tensor(state)
    if leaf is None:
        raise ValueError("the state holds no tensor: give num_sentences")
    return int(leaf.shape[0])


def on_device_of(state: Any, tokens: Tensor) -> Tensor:
    """Return the tokens on the device of the nest's first tensor, as they are if it holds none."""
    leaf = _first_tensor(state)
    return tokens if leaf is None else tokens.to(leaf.device)


def _first_tensor(state: Any) -> Tensor | None:
    if isinstance(state, Tensor):
        return state
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, tuple | list) else ()
    return next((leaf for leaf in map(_first_tensor, parts) if leaf is not None), None)
