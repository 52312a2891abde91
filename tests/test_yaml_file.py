"""The one reader of YAML: plain settings come through unchanged, everything else is one line in bounded time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from normlab.errors import UserError
from normlab.studies.plan import StudyFile
from normlab.tasks.image.config import ImageConfig
from normlab.yaml_file import dump_yaml, parse_yaml, read_yaml

LEVELS = 9


def bomb(first: str, line: str) -> str:
    """Return a page of YAML that stands for 9 ** 9 values."""
    rows = [line.format(key="a0", name="a0", value="[x,x,x,x,x,x,x,x,x]")]
    for level in range(1, LEVELS):
        inner = ",".join([f"*a{level - 1}"] * 9)
        rows.append(line.format(key=f"a{level}", name=f"a{level}", value=f"[{inner}]"))
    return first + "".join(rows)


BOMBS = {
    "in a known key": bomb("task: image\nlr:\n", "- &{name} {value}\n"),
    "in unknown keys": bomb("task: image\n", "{key}: &{name} {value}\n"),
    "of merged mappings": "a0: &a0 {x: 1, y: 2, z: 3}\n"
    + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, LEVELS)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_aliases_that_stand_for_millions_of_values_are_refused_with_their_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(BOMBS[kind], encoding="utf-8")
    with pytest.raises(UserError, match=r"c\.yaml:\d+: .*once its aliases are written out"):
        read_yaml(path)


def test_aliases_and_merges_of_a_normal_size_work() -> None:
    text = "base: &base {lr: 0.1, n: 3}\nwide: {<<: *base, n: 5}\nsame: *base\n"
    assert parse_yaml(text, "x") == {
        "base": {"lr": 0.1, "n": 3},
        "wide": {"lr": 0.1, "n": 5},
        "same": {"lr": 0.1, "n": 3},
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- a\n", r":1: expected `key: value` lines at the top level, found a list"),
        ("", r":1: expected .*, found nothing"),
        ("lr: 1\nn: 2\nlr: 3\n", r":3: .*the key 'lr' stands twice"),
        ("a: &a [*a]\n", r":1: .*the alias \*a stands inside of what it names"),
        ("a: *b\n", r":1: .*undefined alias"),
        ("a:\n  " + "[" * 50 + "]" * 50, r":2: .*nested more than 40 levels deep"),
        ("a: " + "[" * 100_000, r":1: .*nested more than 40 levels deep"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", r":2: .*the tag !!python/object/apply:os.system"),
        ("a: !!set {x}\n", r":1: .*the tag !!set"),
        ("a: " + "1" * 5000, r":1: not valid YAML: not a value"),
        ('a: "\\ud800"\n', r":1: .*half a character"),
        ("a: 1\nb: \x00\n", r":2: .*unacceptable character"),
        ("a: 1\n---\nb: 2\n", r":2: .*another document"),
        ("? [1, 2]\n: 3\n", r":1: .*unhashable key"),
        ("a: b: c\n", r":1: .*mapping values are not allowed"),
        (b"a: 1\nb: \xff\n", r":2: not UTF-8 text \(byte 8\): save it as UTF-8"),
        ("a: é\n".encode("utf-16"), r": is UTF-16 text, where UTF-8 text is wanted"),
        (b"SQLite format 3\0" + bytes(100), r": is an SQLite database"),
        (b"PK\x03\x04" + bytes(100), r": is a zip archive"),
        (b"x" * (2 << 20), r": larger than 1 MB"),
    ],
    ids=lambda value: None if isinstance(value, str | bytes) and len(value) > 60 else repr(value)[:40],
)
def test_what_is_no_plain_mapping_is_one_line(content: str | bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"c\.yaml" + said) as caught:
        read_yaml(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbflr: 0.1\n")
    assert read_yaml(tmp_path / "c.yaml") == {"lr": 0.1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="a named pipe, where a file is wanted"):
        read_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize("name", ["missing.yaml", ".", "file/c.yaml", "loop", "x" * 300])
def test_what_cannot_be_opened_names_its_cause(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    causes = {
        "missing.yaml": "no such file",
        ".": "a folder, where a file is wanted",
        "file/c.yaml": "a part of the path is a file",
        "loop": "a link that leads back to itself",
    }
    with pytest.raises(UserError, match=causes.get(name, "name is too long")):
        read_yaml(tmp_path / name)


@pytest.mark.parametrize("text", ["2024-13-45", "2001-99-99", "2024-01-01", "1:30", "010", "0b_", "5e", "1e400e"])
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert parse_yaml(text, "x") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1E+5", -1e5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1_000", 1000),
        ("0x1f", 31),
        ("-0", 0),
        ("on", True),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, value: object) -> None:
    assert parse_yaml(text, "x") == value


@pytest.mark.parametrize("text", ["5e3", "1:30", "010", "null", "yes", "2024-01-01", "1_000", ".5", "a: b", "", "- a"])
def test_a_text_that_looks_like_something_else_survives_writing_and_reading(text: str) -> None:
    assert parse_yaml(dump_yaml({"data": text}), "x") == {"data": text}


def test_a_wrong_value_and_an_unknown_key_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("seed: 1\n\nlr: 2024-13-45\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"c\.yaml:3: lr: .*valid number.*got '2024-13-45'"):
        ImageConfig.from_yaml(path)
    path.write_text("# a comment\nbatchsize: 3\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"c\.yaml:2: unknown key 'batchsize': did you mean 'batch_size'"):
        ImageConfig.from_yaml(path)


def test_an_unknown_key_inside_of_a_scale_gets_the_nearest_name_of_a_scale(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("title: T\nquestion: Q\ntask: image\nscales:\n  smoke: {prest: smoke}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"s\.yaml:4: scales\.smoke: unknown key 'prest': did you mean 'preset'"):
        StudyFile.from_yaml(path)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "a\nb", 10**400, [1] * 10_000, {"x": {"y": 1}}])
def test_a_value_of_another_kind_is_one_short_line(value: object) -> None:
    with pytest.raises(UserError, match=r"^file: lr: ") as caught:
        ImageConfig.parse({"lr": value}, "file")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


def mistake_of(call: Callable[[], object]) -> str:
    """Return what a call tells the user, "" if it succeeds; any other exception is the test's failure."""
    try:
        call()
    except UserError as error:
        return str(error)
    return ""


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(words, plain, max_size=5))
def test_whatever_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert parse_yaml(dump_yaml(value), "x") == value


fields = st.sampled_from(sorted(ImageConfig.model_fields))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(fields | st.text(max_size=6), plain, max_size=4))
def test_any_settings_are_a_configuration_or_one_line(values: dict[str, Any]) -> None:
    assert len(mistake_of(lambda: ImageConfig.parse(values, "x")).splitlines()) <= 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*<>!|'\"# \n\t,?1.e", max_size=120).map(str.encode))
@example(b"a: &a {<<: *a}")
@example(b"<<: [1]")
@example(b"<<: &x [*x]")
@example(b"%YAML 9.9\n---\na: 1")
def test_any_bytes_are_a_mapping_or_one_line(content: bytes) -> None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return
    assert len(mistake_of(lambda: parse_yaml(text, "x")).splitlines()) <= 1
