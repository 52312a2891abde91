"""The short way from Python into a kernel: `glue.cpp`, autograd included, where it can be built.

An autograd function written in Python costs some fifty microseconds forward and backward, more than a small
map's normalization itself. The glue is what torch's own layers have instead. It is optional: each kernel's
module keeps its function of Python, which runs the same kernel where the glue cannot be had.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from normlab.kernels.runtime import build


def glue(kernel: str, *functions: str) -> Any:
    """Return the module with these functions of the kernel's library connected, None without either.

    Its functions are described where they are defined, in `glue_<kernel>.h`.
    """
    return None if build.load(kernel) is None else _connected(kernel, functions)


@functools.cache
def _connected(kernel: str, functions: tuple[str, ...]) -> Any:
    library, module = build.load(kernel), build.load_glue()
    if module is not None:
        for name in functions:
            module.connect(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    return module
