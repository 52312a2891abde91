"""The names that people import are there, and each leads to what it says."""

from __future__ import annotations

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
