"""`normlab` alone: five lines that a newcomer copies, comments included."""

from __future__ import annotations

import shlex

import pytest

from normlab.cli import _parser, main


def test_it_prints_five_lines_for_a_narrow_terminal_that_the_parser_understands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert len(line) <= 80
        program, *words = shlex.split(line, comments=True)
        assert program == "normlab"
        assert _parser(words).parse_args(words).run
