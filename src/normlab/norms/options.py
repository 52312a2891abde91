"""Options of all schemes: which ones each scheme accepts, and building a norm from a name.

A study holds `groups`, `momentum` and so on once, and each scheme takes those that it accepts. Everywhere here None
means "not given": the scheme's own default then holds (write momentum="cumulative" for torch's
`momentum=None`).
"""

from __future__ import annotations

import inspect
from typing import Any

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.norms.base import Norm


def accepted_options(name: str) -> list[str] | None:
    """Return the option names that a scheme understands, or None if it accepts all of them."""
    parameters = inspect.signature(NORMS.get(name)).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def norm_options(name: str, **options: Any) -> dict[str, Any]:
    """Return those of `options` that the scheme understands and that are not None.

    >>> norm_options("group", groups=8, momentum=0.1, eps=None)
    {'groups': 8}
    """
    accepted = accepted_options(name)
    return {key: value for key, value in options.items() if value is not None and (accepted is None or key in accepted)}


def create_norm(name: str, num_channels: int, **options: Any) -> Norm:
    """Build the norm of that name; options that are None count as not given.

    Raises: UserError if the name or an option is unknown, or an option does not fit `num_channels`.
    """
    refuse_unknown_options(name, options)
    return NORMS.create(name, num_channels, **{key: value for key, value in options.items() if value is not None})


def refuse_unknown_options(name: str, options: dict[str, Any]) -> None:
    """Raise UserError if one of the options that are given (not None) is none of the scheme's."""
    accepted = accepted_options(name)
    unknown = [key for key, value in options.items() if value is not None and accepted and key not in accepted]
    if unknown and accepted is not None:
        raise UserError(f"norm '{name}' has no option '{unknown[0]}': it takes {', '.join(accepted)}")
