"""The registry: lazy, with aliases, helpful about wrong names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.registry import Registry


def test_listing_names_imports_no_torch() -> None:
    code = "import sys, normlab; list(normlab.NORMS); list(normlab.TASKS); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("alias", ["bn", "in", "bin", "ln", "gn", "nn", "torch_bn", "inbuilt"])
def test_the_names_of_older_programs_are_accepted(alias: str) -> None:
    assert NORMS.resolve(alias) in NORMS.names()


@pytest.mark.parametrize(
    "alias, name",
    [
        ("rmsnorm", "rms"),
        ("layernorm2d", "layer_pixel"),
        ("sn", "switchable"),
        ("brn", "batch_renorm"),
        ("gbn", "ghost_batch"),
        ("dyt", "dynamic_tanh"),
        ("frn", "filter_response"),
        ("evonorms0", "evonorm_s0"),
    ],
)
def test_the_names_that_papers_use_are_accepted(alias: str, name: str) -> None:
    assert NORMS.resolve(alias) == name


def test_unknown_name_offers_the_nearest_one() -> None:
    with pytest.raises(UserError, match="did you mean 'layer'"):
        NORMS.get("layr")


def test_a_name_cannot_be_taken_twice() -> None:
    registry = Registry("thing", {"a": "os:getcwd"})
    registry.register("b", int, aliases=("c",))
    assert registry.create("c", "7") == 7
    with pytest.raises(ValueError, match="registered already"):
        registry.register("c", str)
