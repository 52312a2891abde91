"""Words and sentences of running text: nothing is lost, and the kinds of words that people write stay whole."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from normlab.data.tagging.sentence_ends import sentence_bounds
from normlab.data.tagging.tokenizer import look_up_spelling, word_offsets

PIECES = st.sampled_from(
    ["Mr.", " ", "U.S.", "n't", "’s", "http://", "a.b@c.de", "@", "#", "1,2", "🎉", "\u200d", "“", "\n", "é", "$", "-"]
)


def words(text: str) -> list[str]:
    return [text[a:b] for a, b in word_offsets(text)]


def sentences(text: str) -> list[str]:
    return [text[a:b].strip() for a, b in sentence_bounds(text)]


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=12).map("".join))
@example("\u200b\u00ad\ufe0f")
def test_only_white_space_lies_between_words_and_none_inside(text: str) -> None:
    place = 0
    for start, end in [*word_offsets(text), (len(text), len(text))]:
        assert place <= start <= end
        assert not text[place:start].strip()
        assert not any(sign.isspace() for sign in text[start:end])
        assert end > start or start == len(text)
        place = end


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=12).map("".join))
def test_sentences_cover_the_line_and_cut_no_word(text: str) -> None:
    bounds = sentence_bounds(text)
    assert "".join(text[a:b] for a, b in bounds) == text
    assert all(a == 0 or text[a - 1].isspace() or text[a - 1] in "\"'“‘([" for a, _ in bounds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("O'Neill didn't say it's d'Ivoire", ["O'Neill", "did", "n't", "say", "it", "'s", "d'Ivoire"]),
        ("DON'T I’d can't cannot", ["DO", "N'T", "I", "’d", "ca", "n't", "can", "not"]),
        ("cost $1,234.56 (3.5%) at 10:30.", ["cost", "$", "1,234.56", "(", "3.5", "%", ")", "at", "10:30", "."]),
        (
            "U.S.-led Mr. Roe v. Wade, George W. Bush",
            ["U.S.-led", "Mr.", "Roe", "v.", "Wade", ",", "George", "W.", "Bush"],
        ),
        ("(https://a.org/b_(c)?d=1).", ["(", "https://a.org/b_(c)?d=1", ")", "."]),
        ("a.b@mail.example.com, www.x.de!", ["a.b@mail.example.com", ",", "www.x.de", "!"]),
        ("@BarackObama: #Paris2015 #1", ["@BarackObama", ":", "#Paris2015", "#", "1"]),
        ("👩🏽\u200d🚀🎉 :-) <3 🇫🇷", ["👩🏽\u200d🚀", "🎉", ":-)", "<3", "🇫🇷"]),
        ("the States' 25-year-old -- 'x' ...", ["the", "States", "'", "25-year-old", "--", "'", "x", "'", "..."]),
        ("AT&amp;T &lt; e\u0301te\u0301", ["AT&amp;T", "&lt;", "e\u0301te\u0301"]),
        ("It ended here.Then the sat.", ["It", "ended", "here", ".", "Then", "the", "sat", "."]),
    ],
)
def test_words_are_cut_as_in_the_training_corpora(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Mr. Fox left. He said: "No." Then 3.5 ended.', ["Mr. Fox left.", 'He said: "No."', "Then 3.5 ended."]),
        ("In the U.S. The court met.", ["In the U.S.", "The court met."]),
        ("In the U.S. Supreme Court.", ["In the U.S. Supreme Court."]),
        ("He met J. K. Rowling at Acme Inc. in May.", ["He met J. K. Rowling at Acme Inc. in May."]),
        ("it rained. mr. fox left! really? yes", ["it rained.", "mr. fox left!", "really?", "yes"]),
        ('"Why?" he asked. 1. Do it.', ['"Why?" he asked.', "1. Do it."]),
        ("Éa va. Ça alors… Ok.", ["Éa va.", "Ça alors…", "Ok."]),
    ],
)
def test_full_stops_of_abbreviations_end_no_sentence(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize("unit", ["a.", "(", "a@", "http://(", ". ", "a. ", ".'", "www.(", "#1", "🎉\u200d", "'", "1,"])
def test_a_long_line_of_anything_is_cut(unit: str) -> None:
    text = unit * 5_000
    assert "".join(words(text)) == "".join(text.split())
    assert sentence_bounds(text)[-1][1] == len(text)


def test_words_are_looked_up_in_the_spelling_of_training() -> None:
    assert [look_up_spelling(word) for word in ("’s", "“", "…", "&amp;", "e\u0301", "AT&amp;T", "a’b")] == [
        "'s", '"', "...", "&", "é", "AT&T", "a'b",
    ]  # fmt: skip
