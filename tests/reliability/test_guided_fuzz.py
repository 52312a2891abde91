"""The fuzzer's files to begin with: a reader that refused them would be fuzzed in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NAMES = (
    *("config", "study", "conll", "conllu", "gmb", "spans", "text", "schemas", "vectors", "results", "table"),
    *("picture", "database", "archive", "query"),
)


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "hostile"))
    import guided_fuzz

    return guided_fuzz


def test_every_reader_is_named_here(fuzz: Any) -> None:
    assert set(fuzz.targets()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_takes_the_first_file(fuzz: Any, name: str, tmp_path: Path) -> None:
    target = fuzz.targets()[name]
    path = tmp_path / target.name
    path.write_bytes(target.seeds[0])
    target.reader(path)
