"""Triton kernels run on the CPU by its interpreter, which must be switched on before `triton` is imported."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import pytest

HINT = "triton is not installed: `pip install --no-deps triton==3.9.0` (286 MB, no GPU needed)"

if "triton" not in sys.modules:
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(autouse=True)
def _needs_the_interpreter() -> None:
    if find_spec("triton") is None:
        pytest.skip(HINT)
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("triton was imported without its interpreter (TRITON_INTERPRET=1)")
