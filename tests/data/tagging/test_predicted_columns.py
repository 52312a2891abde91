"""Prediction files: the input byte for byte, but for the last column."""

from __future__ import annotations

import re
from itertools import groupby

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.predicted_columns import write_predicted_columns
from normlab.errors import UserError

CODINGS = ["utf-8", "utf-8-sig", "utf-16"]
NO_WORDS = ["", " ", "\t", "-DOCSTART- -X- O", "# text = a b", "# a comment"]
SPACES = ["a O", "c O \t", " d  O", "é\u00a0 O", "\u0085 _", "# O"]
TABS = ["a b\tO", "b\tB-x", "c\tO\t ", "é\u00a0\tO", "\u0085\t_"]


@st.composite
def files(draw):
    """Lines of a column file, each with whether it holds a word; comments stand at the top of a sentence only."""
    words = draw(st.sampled_from([SPACES, TABS]))
    lines = draw(st.lists(st.lists(st.sampled_from(words), min_size=1, max_size=4), min_size=1, max_size=4))
    found = []
    for sentence in lines:
        tops = draw(st.lists(st.sampled_from(NO_WORDS), max_size=3))
        found += [(line, False) for line in ["", *tops]] + [(line, True) for line in sentence]
    return found


@given(
    lines=files(), end=st.sampled_from(["\n", "\r\n", "\r\r\n"]), last=st.booleans(), coding=st.sampled_from(CODINGS)
)
def test_only_the_last_column_changes(tmp_path_factory, lines, end, last, coding):
    # A file whose only words are "#" holds comments for any reader.
    assume(not any(word for _, word in lines) or any(word and not line.startswith("#") for line, word in lines))
    folder = tmp_path_factory.mktemp("predictions")
    text = end.join(line for line, _ in lines) + (end if last else "")
    (folder / "in.txt").write_bytes(text.encode(coding))
    blocks = [len(list(block)) for word, block in groupby(lines, key=lambda line: line[1]) if word]
    count = write_predicted_columns(folder / "in.txt", folder / "out.txt", [["T-ö"] * n for n in blocks])
    expected = end.join(re.sub(r"([^\s]+)([ \t]*)$", r"T-ö\2", line) if word else line for line, word in lines) + (
        end if last else ""
    )
    assert (folder / "out.txt").read_bytes() == expected.encode(coding)
    assert count == len(blocks)


def test_a_real_file_with_its_own_tags_comes_back_byte_for_byte(shared_data, tmp_path):
    reader = ColumnFile(shared_data / "gmb" / "dev.txt")
    write_predicted_columns(reader.path, tmp_path / "out.txt", (sentence.tags for sentence in reader))
    assert (tmp_path / "out.txt").read_bytes() == reader.path.read_bytes()


def test_a_file_without_tags_gets_a_column_only_when_asked(tmp_path):
    source = tmp_path / "in.txt"
    source.write_bytes(b"a\r\nb ")
    with pytest.raises(UserError, match=r"in.txt:1: only one column"):
        write_predicted_columns(source, tmp_path / "out.txt", [["O", "O"]])
    assert list(tmp_path.iterdir()) == [source], "nothing is left behind"
    write_predicted_columns(source, source, [["O", "B-x"]], append=True)
    assert source.read_bytes() == b"a O\r\nb B-x "


@pytest.mark.parametrize("tags", [[["O"], ["O"]], [["O", "O", "O"], ["O"]], [["O", "O"]], [["O", "O"], ["O"], ["O"]]])
def test_tags_that_do_not_fit_the_file_are_refused(tmp_path, tags):
    (tmp_path / "in.txt").write_text("a O\nb O\n\nc O\n")
    with pytest.raises((ValueError, IndexError)):
        write_predicted_columns(tmp_path / "in.txt", tmp_path / "out.txt", tags)
    assert not (tmp_path / "out.txt").exists()
