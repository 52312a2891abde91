"""The contract's verdict on a norm of one's own; apart from `own.py`, which the registry imports."""

from __future__ import annotations

import warnings

from normlab.errors import UserError
from normlab.norms.check import check_norm
from normlab.norms.own import UndeclaredNorm, own_norm
from normlab.own_code import what_was_raised


def contract_violation(reference: str) -> str:
    """Return what of the contract (`check_norm`) a norm of one's own violates; "" if it keeps all of it.

    Raises: UserError if it cannot be imported.
    """
    build = own_norm(reference)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = build(16)
            if isinstance(layer, UndeclaredNorm):
                return f"{type(layer.layer).__name__} is no normlab.norms.base.Norm, so it declares nothing to check"
            check_norm(build)
    except (AssertionError, UserError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    except Exception as error:  # whatever a stranger's layer raises
        return what_was_raised(error)
    return ""
