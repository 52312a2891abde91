"""Prediction files: the input byte for byte, but for the last column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normlab.data.conll import ColumnFile
from normlab.data.predicted_columns import write_predicted_columns
from normlab.errors import UserError

LINES = st.sampled_from(["a NN a O", "b\tB-x", "c O  ", " d  O", "é\u00a0 \u0085 O", "", " ", "\t", "-DOCSTART- -X- O"])


def words_per_sentence(lines):
    blocks, inside = [], False
    for line in lines:
        word = bool(line.strip(" \t")) and not line.startswith("-DOCSTART-")
        if word and not inside:
            blocks.append(0)
        if word:
            blocks[-1] += 1
        inside = word
    return blocks


@given(lines=st.lists(LINES, min_size=1), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_only_the_last_column_changes(tmp_path_factory, lines, end, last):
    folder = tmp_path_factory.mktemp("predictions")
    text = end.join([*lines, ""]) if last or not lines[-1] else end.join(lines)
    (folder / "in.txt").write_bytes(text.encode())
    blocks = words_per_sentence(lines)
    count = write_predicted_columns(folder / "in.txt", folder / "out.txt", [["T-ö"] * n for n in blocks])
    expected = text
    for old, new in [
        ("a NN a O", "a NN a T-ö"),
        ("b\tB-x", "b\tT-ö"),
        ("c O  ", "c T-ö  "),
        (" d  O", " d  T-ö"),
        ("\u0085 O", "\u0085 T-ö"),
    ]:
        expected = expected.replace(old, new)
    assert (folder / "out.txt").read_bytes().decode() == expected
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
