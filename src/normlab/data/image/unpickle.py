"""Reading CIFAR's pickles without running what is in them.

A pickle is a program. This reader lets it build numbers, strings, bytes, lists, tuples, dictionaries and
NumPy arrays of numbers, and refuses every other name that it asks for before anything is called.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from normlab.errors import UserError

try:
    from numpy._core.multiarray import _reconstruct
except ImportError:  # numpy 1
    from numpy.core.multiarray import _reconstruct  # type: ignore[no-redef, unused-ignore]

_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def unpickle(content: bytes, where: str) -> Any:
    """Return what the pickle holds; Python 2 strings come out as bytes.

    Args:
        content: the pickle.
        place: its file name, for the message.
    Raises: UserError naming the place, for a pickle that asks for anything else or is damaged.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except _RefusedError as error:
        raise UserError(f"{where}: refused, its pickle asks for {error}; get the file from its authors") from error
    except Exception as error:  # damaged pickles raise anything: EOFError, KeyError, TypeError, MemoryError, ...
        raise UserError(f"{where}: damaged pickle ({type(error).__name__}); get the file again") from error


class _RefusedError(Exception):
    pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"{module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("a persistent object")
