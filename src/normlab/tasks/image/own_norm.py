"""A norm that somebody brings: the contract's verdict before it is trained, in the card; and what has changed since."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import Any

from normlab.errors import UserError
from normlab.norms.own_check import contract_violation
from normlab.own_code import is_reference, source_of
from normlab.tasks.image.config import ImageConfig


def norm_verdict(config: ImageConfig) -> str | None:
    """Return what of the contract the norm violates, "" if nothing; None for a scheme of normlab's.

    Raises: UserError if it violates the contract and the settings do not allow that.
    """
    if not is_reference(config.norm):
        return None
    violation = _violation(config.norm, config.norm_source)
    if violation and not config.allow_unchecked_norm:
        raise UserError(
            f"{config.norm}: fails the contract of norms (check_norm): {violation}: correct it, or train with it all "
            "the same: --allow-unchecked-norm"
        )
    return violation


@functools.lru_cache(maxsize=16)
def _violation(reference: str, source: str) -> str:
    return contract_violation(reference)


def with_verdict(card: Mapping[str, Any], norm: str, violation: str) -> dict[str, Any]:
    """Return a data card with the verdict, and with a line about it among its notes."""
    said = f"fails the contract of norms: {violation}" if violation else "keeps the contract of norms (check_norm)"
    return {**card, "norm_check": violation or "kept", "notes": [*card.get("notes", []), f"{norm}: {said}"]}


def refuse_changed_sources(config: ImageConfig) -> None:
    """Raise `UserError` if the source of the network or norm differs from that with which the run began."""
    for name in ("model", "norm"):
        if changed_source(config, name):
            reference = getattr(config, name)
            raise UserError(
                f"{reference}: its source file has changed since the run began: restore it, or train a new run"
            )


def warn_of_changed_sources(config: ImageConfig) -> None:
    """Warn where a model is used with another source of its network or norm than it was trained with."""
    for name in ("model", "norm"):
        if changed_source(config, name):
            warnings.warn(
                f"{getattr(config, name)}: its source file has changed since training: the model may answer otherwise",
                stacklevel=2,
            )


def changed_source(config: ImageConfig, name: str) -> bool:
    """Say whether the source file of the setting `model` or `norm` is another one than recorded."""
    reference, recorded = getattr(config, name), getattr(config, f"{name}_source")
    return "@" in recorded and source_of(reference) != recorded
