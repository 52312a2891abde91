"""What a program gives wrongly to the public names is one line with cause and fix, not Python's or torch's error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import normlab
from normlab.errors import UserError, did_you_mean, with_value

IMAGES = np.zeros((2, 3, 32, 32), np.uint8)


@pytest.mark.parametrize("name", list(normlab.NORMS))
@pytest.mark.parametrize("channels", [0, -1, "16", 2.5, None, True])
def test_a_norm_needs_a_number_of_channels(name: str, channels: Any) -> None:
    with pytest.raises(UserError, match=r"num_channels=.* is no number of channels: give the size of"):
        normlab.NORMS.create(name, channels)


def test_a_norm_takes_numpys_numbers() -> None:
    assert normlab.NORMS.create("group", np.int64(8)).groups == 4


def test_options_of_a_norm_are_known() -> None:
    with pytest.raises(UserError, match="norm 'group': unknown option 'grups': did you mean 'groups'"):
        normlab.NORMS.create("group", 16, grups=4)
    with pytest.raises(UserError, match="norm 'group': missing a required argument: 'num_channels': it takes num_chan"):
        normlab.NORMS.create("group")


@pytest.mark.parametrize("value", [None, 3])
def test_a_path_is_text(value: Any) -> None:
    for function in (normlab.load_run, normlab.study, normlab.run_study):
        with pytest.raises(UserError, match=f"a path or a name is wanted, but this is {value}"):
            function(value)


@pytest.mark.parametrize("source", [[], [[1, 2]], ["a.png"], [IMAGES[0]], torch.zeros(2, 3, 32, 32), 3, None, {}, b"a"])
def test_images_are_a_path_or_an_array(source: Any) -> None:
    run = normlab.load_run("cifar10-group")
    with pytest.raises(UserError, match=r"images cannot be read from a value of type .*: give a path .* uint8 array"):
        list(run.predict(source))
    assert len(list(run.predict(IMAGES))) == 2


@pytest.mark.parametrize("source", [3, None, [1], [{"a": 1}], [[1, 2]]])
def test_texts_are_texts_or_words(source: Any) -> None:
    with pytest.raises(UserError, match="give a"):
        list(normlab.load_run("gmb-tagger").predict(source))


@pytest.mark.parametrize("source", [3, None])
def test_questions_are_pairs(source: Any) -> None:
    with pytest.raises(UserError, match="is no question: give a path, or a list of pairs"):
        list(normlab.load_run("spider-sql").predict(source))


def test_an_unknown_database_gets_the_nearest_names_and_not_all_166() -> None:
    with pytest.raises(UserError, match=r"^question 1: unknown database 'zq': the nearest of 166 are \w+, \w+, \w+$"):
        list(normlab.load_run("spider-sql").predict([("How many?", "zq")]))


def test_ask_has_a_model_and_known_options(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no SQLite database at"):
        normlab.ask(tmp_path / "shop.sqlite")
    with pytest.raises(UserError, match="ask: unknown option 'beamsize': did you mean 'beam_size'"):
        normlab.ask(tmp_path / "shop.sqlite", beamsize=4)


def test_a_long_list_of_names_is_cut_to_the_nearest() -> None:
    names = [f"database_{number}" for number in range(100)]
    assert did_you_mean("zzz", names).startswith("the nearest of 100 are database_")
    assert did_you_mean("zzz", names[:20]) == f"known: {', '.join(names[:20])}"


def test_a_wrong_value_is_named_once() -> None:
    with pytest.raises(UserError, match=r"^train: norm: unknown norm 'grup': did you mean 'group'\?$"):
        normlab.train("image", norm="grup")
    assert with_value("should be a number", "x") == "should be a number, got 'x'"
    assert with_value("should be at least 1", -1) == "should be at least 1, got -1"
    assert with_value("3 is no norm", 3) == "3 is no norm"
