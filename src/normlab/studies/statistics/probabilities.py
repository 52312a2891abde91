"""Student's t and the normal distribution, by `scipy.special`.

The digits are those of `scipy.stats`, whose import takes longer than all that most commands then ask of it: modules
that need more of it import it where they do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special


def t_below(x: float, degrees: float) -> float:
    """Return P(T <= x), T being Student's t with so many degrees of freedom."""
    return float(special.stdtr(degrees, x))


def t_above(x: float, degrees: float) -> float:
    """Return P(T > x)."""
    return float(special.stdtr(degrees, -x))


def t_quantile(share: float, degrees: float) -> float:
    """Return the x with P(T <= x) = share."""
    return float(special.stdtrit(degrees, share))


def normal_below(x: Any) -> Any:
    """Return P(Z <= x) of a standard normal Z; of an array, for each element."""
    return special.ndtr(x)


def normal_quantile(share: float) -> float:
    """Return the x with P(Z <= x) = share."""
    return float(special.ndtri(share))


def normal_density(x: np.ndarray) -> np.ndarray:
    """Return the density of a standard normal at each element."""
    return np.exp(-(x**2) / 2.0) / np.sqrt(2 * np.pi)
