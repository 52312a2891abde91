"""Load `glue.cpp`, which takes the C++ kernels into torch's autograd, and connect the kernels' functions to it.

An autograd function written in Python costs some fifty microseconds forward and backward, more than the normalization
of a small map itself. The glue is what torch's own layers have instead. Where it cannot be built, the references run.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from normlab.kernels.runtime import build


@functools.cache
def connected(library: str, symbols: tuple[str, ...]) -> Any:
    """Return the module with these functions of a library connected; None where either is unavailable.

    The module's own functions are described where they are defined, in `glue_<library>.h`.
    """
    functions, module = build.load(library), build.load_glue()
    if functions is None or module is None:
        return None
    for name in symbols:
        module.connect(name, ctypes.cast(getattr(functions, name), ctypes.c_void_p).value)
    return module
