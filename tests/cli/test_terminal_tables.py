"""What the verbs print fits a terminal, and stays on one line where it is piped."""

from __future__ import annotations

import pytest

from normlab.cli import main
from normlab.cli.tables import metric_table, print_pairs, table_lines

ROWS = [
    {
        "name": "batch",
        "aliases": "bn",
        "paper": "Ioffe and Szegedy 2015",
        "use it": "with batches of 16 images or more",
    },
    {"name": "none", "aliases": "", "paper": "", "use it": "as the control"},
]


def test_columns_that_do_not_fit_stand_below_the_others() -> None:
    assert list(table_lines(ROWS, 44)) == [
        "name   aliases  paper",
        "    use it",
        "batch  bn       Ioffe and Szegedy 2015",
        "    with batches of 16 images or more",
        "none",
        "    as the control",
    ]
    assert len(list(table_lines(ROWS, 200))) == len(list(table_lines(ROWS))) == 3
    assert all(len(line) <= 30 for line in table_lines(ROWS, 30))
    empty = [{"name": "no scheme", "paper": "-", "use it": "as the control"}]
    assert list(table_lines(empty, 12))[-2:] == ["    as the", "    control"]
    assert not any("-" in line for line in table_lines(empty, 12))


@pytest.mark.parametrize("what", ["norms", "tasks", "presets", "studies"])
def test_every_list_fits_eighty_columns(
    what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", what]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_without_a_terminal_each_row_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["list", "tasks"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_long_value_goes_on_below_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_pairs({"extra export": "no onnx, onnxscript: pip install 'normlab[export]'", "cores": 2})
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14].strip() for line in lines] == ["extra export", "", "cores"]
    assert all(len(line) <= 40 for line in lines)


def test_metrics_have_a_row_each_and_a_column_per_split() -> None:
    table = metric_table({"train/loss": 0.5, "val/accuracy": 0.25, "val/loss": 1.5, "other": 1})
    assert [line.split() for line in table.splitlines()] == [
        ["metric", "train", "val"],
        ["loss", "0.5000", "1.5000"],
        ["accuracy", "-", "25.00", "%"],
    ]
