"""Warnings on the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

WARNS = """
import warnings
from argparse import Namespace
from normlab import cli

def verb(options):
    warnings.warn_explicit("left out: a key", UserWarning, {place}, 7)
    return 0

cli._parsed = lambda arguments: Namespace(run=verb)
raise SystemExit(cli.main(["verb"]))
"""


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("cli.__file__", "normlab: left out: a key\n"),
        ("'/elsewhere/library.py'", "/elsewhere/library.py:7: UserWarning: left out: a key\n"),
    ],
)
def test_a_warning_of_the_package_is_one_line_and_others_stay_as_they_are(place: str, shown: str) -> None:
    told = subprocess.run([sys.executable, "-c", WARNS.format(place=place)], capture_output=True, text=True, check=True)
    assert told.stderr == shown
