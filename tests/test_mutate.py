"""The mutation tool: it finds what a weak test misses, and leaves the tree as it was."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

SOURCE = '''"""Doc 1."""
from typing import Literal


def larger(a: int, b: int, *, strict: bool = False) -> Literal[0, 1]:
    """Doc 2."""
    if a < 0:
        raise ValueError(f"{a + 1} is {2 > 1}")
    return int(a > b)


def both(a: bool, b: bool) -> bool:
    return (a
        and b)


def kept() -> int:
    return 3  # no mutants
'''


@pytest.fixture(scope="module")
def mutate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutate", REPOSITORY / "tools" / "mutate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutate"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "sample.py").write_text(SOURCE)
    (tmp_path / "test_sample.py").write_text(
        "from sample import larger\n\n\ndef test_it():\n    assert larger(2, 1) == 1\n    assert larger(1, 2) == 0\n"
    )
    return tmp_path


def test_mutants_are_valid_and_leave_annotations_docstrings_and_messages_alone(mutate: ModuleType) -> None:
    source = SOURCE.encode()
    mutants = mutate.mutants_of(source, "sample.py")
    names = [f"{mutant.line} {mutant.kind}" for mutant in mutants]
    assert names == [
        "5 constant False -> True",
        "7 condition negated",
        "7 comparison < -> <=",
        "7 comparison < -> >=",
        "7 constant 0 -> 1",
        "8 raise removed",
        "9 returns None",
        "9 comparison > -> <=",
        "9 comparison > -> >=",
        "13 returns None",
        "13 logic and -> or",
    ]
    assert all(mutant.applied(source) != source for mutant in mutants)


@pytest.mark.parametrize("preload", [(), ("json",)])
def test_a_campaign_names_what_no_test_notices_and_touches_nothing(
    mutate: ModuleType, tree: Path, preload: tuple[str, ...]
) -> None:
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    results = mutate.campaign(
        tree, ["src/sample.py"], ["test_sample.py"], preload=preload, lines=range(9, 10), say=lambda line: None
    )
    assert [(mutant.kind, state) for mutant, state in results] == [
        ("returns None", "killed"),
        ("comparison > -> <=", "killed"),
        ("comparison > -> >=", "survived"),
    ]
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


def test_tests_that_fail_unchanged_end_the_campaign(mutate: ModuleType, tree: Path) -> None:
    (tree / "test_sample.py").write_text("def test_it():\n    assert False\n")
    with pytest.raises(SystemExit, match="do not pass unchanged"):
        mutate.campaign(tree, ["src/sample.py"], ["test_sample.py"], say=lambda line: None)


def test_a_sample_is_drawn_again_by_its_seed(mutate: ModuleType, tree: Path) -> None:
    def drawn() -> list[str]:
        found = mutate.campaign(tree, ["src/sample.py"], ["test_sample.py"], sample=2, seed=3, say=lambda line: None)
        return [mutant.name for mutant, _ in found]

    assert drawn() == drawn()
    assert len(drawn()) == 2
