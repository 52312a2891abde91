from __future__ import annotations

import datetime
import os
import pickle
import subprocess

import numpy as np
import pytest
from tiny_cifar_forms import python2_pickle

from normlab.data.image.unpickle import unpickle
from normlab.errors import UserError


def test_python2_pickle_comes_out_with_byte_keys():
    data = np.arange(12, dtype=np.uint8).reshape(2, 6)
    batch = unpickle(python2_pickle(data, [1, 9]), "batch")
    assert np.array_equal(batch[b"data"], data)
    assert batch[b"labels"] == [1, 9]


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_values_of_python3_pass(protocol):
    value = {"a": [1, 2.5, b"x", "y", (True, None)]}
    assert unpickle(pickle.dumps(value, protocol), "f") == value


class _Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "harm",
    [
        _Calls(os.system, "touch HARMED"),
        _Calls(subprocess.Popen, ["touch", "HARMED"]),
        _Calls(eval, "open('HARMED', 'w')"),
        _Calls(getattr, str, "upper"),
        _Calls(np.load, "x"),
        datetime.date(2020, 1, 1),
    ],
    ids=["os.system", "popen", "eval", "getattr", "numpy.load", "date"],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_asks_for_more_is_refused_before_it_runs(harm, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"evil: refused, its pickle asks for \S+\.\S+;"):
        unpickle(pickle.dumps({"data": harm}, protocol), "evil")
    assert not (tmp_path / "HARMED").exists()


def test_dotted_name_does_not_slip_through():
    # protocol 4 lets a pickle ask for attributes of an allowed class
    content = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    with pytest.raises(UserError, match=r"numpy\.ndarray\.tofile"):
        unpickle(content, "evil")


def test_extension_codes_and_persistent_ids_are_refused():
    for content in (b"\x80\x02\x82\x01.", b"Pname\n."):
        with pytest.raises(UserError, match=r"refused|damaged"):
            unpickle(content, "evil")


@pytest.mark.parametrize("content", [b"", b"\x80\x02}", b"hello", b"\x80\x02(", b"\x80\xff."])
def test_damaged_pickle_is_a_users_mistake(content):
    with pytest.raises(UserError, match="f: damaged pickle"):
        unpickle(content, "f")
