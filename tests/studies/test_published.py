from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.studies.published import load_published, published_for

TABLES = ["image", "ner", "text_to_sql"]


@pytest.mark.parametrize("name", TABLES)
def test_every_row_names_its_source_neutrally(name: str) -> None:
    sources = {row["source"] for row in load_published(name)}
    assert sources
    assert all(sources)
    assert not any(re.search(r"\d{3}_[0-9a-f]{16}", str(row)) for row in load_published(name))


@pytest.mark.parametrize("name", TABLES)
def test_shares_are_fractions(name: str) -> None:
    columns = ("accuracy", "micro_f1", "macro_f1", "exact_match", "execution")
    values = [row[c] for row in load_published(name) for c in columns if row.get(c) is not None]
    assert values
    assert all(0 <= value <= 1 for value in values)


def test_every_published_norm_is_one_of_ours() -> None:
    assert {row["norm"] for row in load_published("image")} <= set(NORMS)


def test_published_for_keeps_to_one_setting_best_first() -> None:
    rows = published_for("group", 8, "test")
    assert {(row["norm"], row["batch_size"], row["split"]) for row in rows} == {("group", 8, "test")}
    assert [row["accuracy"] for row in rows] == sorted((row["accuracy"] for row in rows), reverse=True)


def test_published_for_leaves_other_data_sets_and_depths_out() -> None:
    sources = {row["source"] for row in published_for("torch_batch", 128, "test")}
    assert "He et al. 2016" not in sources
    assert "student report A (CIFAR-10 course, 2021)" in sources
    assert not published_for("batch", 32, "test")  # batch 32 is the 25-class course only


def test_what_a_source_did_not_print_is_none() -> None:
    row = next(row for row in load_published("image") if row["source"] == "He et al. 2016")
    assert row["macro_f1"] is None
    assert row["accuracy"] == 0.9125


def test_changing_an_answer_does_not_change_the_next_one() -> None:
    load_published("image")[0]["accuracy"] = -1
    assert load_published("image")[0]["accuracy"] != -1


def test_unknown_table_is_a_users_mistake_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'image'"):
        load_published("images")


@pytest.mark.parametrize("name", TABLES)
def test_packaged_figures_equal_the_collected_ones(name: str, shared_data: Path) -> None:
    """Only names and notes were changed on the way into the package."""
    original = shared_data.parent / "reference" / f"{name}.csv"
    if not original.exists():
        pytest.skip("the collected tables are not here")
    with original.open(encoding="utf-8") as file:
        expected = [[field or None for field in list(row.values())[1:-1]] for row in csv.DictReader(file)]
    packaged = [list(row.values())[1:-1] for row in load_published(name)]
    assert packaged
    assert packaged[0]
    for ours, theirs in zip(packaged, expected, strict=True):
        for value, text in zip(ours, theirs, strict=True):
            assert value == (float(text) if text is not None and not isinstance(value, str) else text)
