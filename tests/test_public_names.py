"""The names that people import are there, and each leads to what it says."""

from __future__ import annotations

import importlib

import pytest

import normlab
import normlab.nn
from normlab.norms import NORMS


@pytest.mark.parametrize("name", normlab.__all__)
def test_a_public_name_resolves(name: str) -> None:
    assert getattr(normlab, name) is not None


@pytest.mark.parametrize("name", ["ResNet", "LayerNormLSTM", "LinearChainCRF", "beam_search"])
def test_a_block_resolves(name: str) -> None:
    assert name in normlab.nn.__all__
    assert getattr(normlab.nn, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'BatchNrom'"):
        normlab.BatchNrom  # noqa: B018


def test_a_norm_is_created_with_its_options() -> None:
    layer = NORMS.create("group", 16, groups=2)
    assert layer.groups == 2


@pytest.mark.parametrize(
    ("module", "name", "home"),
    [
        ("normlab.data.sqlite", "run_query", "normlab.data.sql.sqlite"),
        ("normlab.data.schema", "Schema", "normlab.data.sql.schema"),
        ("normlab.data.glove", "load_glove", "normlab.data.text.glove"),
    ],
)
def test_a_name_that_has_moved_is_the_same_object(module: str, name: str, home: str) -> None:
    assert getattr(importlib.import_module(module), name) is getattr(importlib.import_module(home), name)
