"""What the verbs print fits a terminal, and stays on one line where it is piped."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab import study
from normlab.cli import main
from normlab.cli.result_rows import print_rows
from normlab.cli.tables import metric_table, print_pairs, print_table, table_lines
from normlab.studies.text_table import as_rows

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


def test_columns_without_a_value_are_not_named_below() -> None:
    rows = [{"operation": "norm of each position", "here": "C++", "measured": ""}] * 2
    assert next(iter(table_lines(rows, 30))) == "operation              here"


def test_a_first_column_that_is_too_wide_goes_on_below_itself() -> None:
    rows = [{"variant": "norm batch, batch_size 8, lr_scaling linear", "accuracy": "91.20 %"}]
    assert list(table_lines(rows, 30))[2:] == ["norm batch, batch_size 8,", "  lr_scaling linear", "    91.20 %"]


WIDE = [f"measure_{number}" for number in range(18)]


def test_rows_of_many_columns_are_printed_row_by_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_rows([*WIDE, "note", "note"], [[*range(18), "a" * 60 + " " + "b" * 60, "2\n3"]], truncated=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["row 1", "  measure_0   0"]
    assert lines[-5:] == [f"  note        {'a' * 60}", f"{'':14}{'b' * 60}", "  note        2", f"{'':14}3", "1 row"]
    assert all(len(line) <= 80 for line in lines)


def test_a_table_keeps_each_column_readable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_rows(["id", "name", "text"], [[1, "Ann Miller", "long words " * 15]], truncated=False)
    lines = capsys.readouterr().out.splitlines()
    assert any("│ 1  │ Ann Miller │ long words" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)
    print_rows(WIDE, [], truncated=False)
    assert capsys.readouterr().out.endswith("0 rows\n")


def test_a_study_fits_eighty_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "norm,batch_size,lr_scaling,seed,train_acc,val_acc,test_acc,val_macro_f1,test_macro_f1,seconds\n"
    rows = [
        f"{norm},{size},{rule},{seed},0.9{seed},0.8{seed},0.8{seed},0.7{seed},0.7{seed},1234\n"
        for norm in ("batch_instance", "batch")
        for size in (8, 128)
        for rule in ("linear", "fixed")
        for seed in range(3)
    ]
    (tmp_path / "r.csv").write_text(header + "".join(rows))
    monkeypatch.setenv("COLUMNS", "80")
    print_table(as_rows(study(tmp_path / "r.csv")))
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any("batch_instance" in line and "linear" in line for line in lines)


def test_metrics_have_a_row_each_and_a_column_per_split() -> None:
    table = metric_table({"train/loss": 0.5, "val/accuracy": 0.25, "val/loss": 1.5, "other": 1})
    assert [line.split() for line in table.splitlines()] == [
        ["metric", "train", "val"],
        ["loss", "0.5000", "1.5000"],
        ["accuracy", "-", "25.00", "%"],
    ]
