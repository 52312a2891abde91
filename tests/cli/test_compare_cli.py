"""`normlab compare` and `normlab power` answer in one line, and say which test and why."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy import stats

from normlab.cli import main


def results(path: Path, mean: float, seeds: Sequence[int], stream: int) -> tuple[Path, list[float]]:
    draws = random.Random(stream)
    values = [round(mean + 0.001 * seed + draws.gauss(0, 0.002), 6) for seed in seeds]
    path.write_text("seed,accuracy\n" + "".join(f"{s},{v}\n" for s, v in zip(seeds, values, strict=True)))
    return path, values


def compared(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["compare", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_matching_seeds_are_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (a, x), (b, y) = results(tmp_path / "A.csv", 0.92, range(5), 0), results(tmp_path / "B.csv", 0.90, range(5), 1)
    (found,) = json.loads(compared(capsys, a, b, "--json", "--margin", 0.01))
    expected = stats.ttest_rel(x, y)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    assert [found["difference"][end] for end in ("low", "high")] == pytest.approx(list(expected.confidence_interval()))
    assert (found["test"], found["n"]) == ("paired t", 5)
    assert found["rope"]["better"] > 0.95
    line = compared(capsys, a, b, "--margin", 0.01)
    assert line.startswith("accuracy: A - B = +")
    assert "n = 5 pairs; paired t: every seed is on both sides; margin 1.00 points: P(A better) 0.9" in line


def test_a_margin_of_one_is_no_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (a, _), (b, _) = results(tmp_path / "A.csv", 0.92, range(3), 0), results(tmp_path / "B.csv", 0.90, range(3), 1)
    assert main(["compare", str(a), str(b), "--margin", "1"]) == 2
    assert "accuracy is a fraction, whatever its column's unit: one point is 0.01" in capsys.readouterr().err


def test_other_seeds_are_not_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (a, x), (b, y) = results(tmp_path / "A.csv", 0.92, range(5), 0), results(tmp_path / "B.csv", 0.9, range(7, 11), 1)
    (found,) = json.loads(compared(capsys, a, b, "--json"))
    assert found["p_value"] == pytest.approx(stats.ttest_ind(x, y, equal_var=False).pvalue)
    assert found["bootstrap"]["low"] < found["difference"]["mean"] < found["bootstrap"]["high"]
    assert "Welch's t: no seed is on both sides; bootstrap [" in compared(capsys, a, b)


def test_some_matching_seeds_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (results(tmp_path / f"{i}.csv", 0.9, range(2 * i, 6 + 2 * i), i)[0] for i in range(2))
    line = compared(capsys, a, b)
    assert "n = 6 and 6 runs; partly paired t: 4 seeds are on both sides, 2 and 2 on one" in line


def test_unpaired_needs_no_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "AB":
        (tmp_path / f"{name}.csv").write_text("accuracy\n0.9\n0.91\n0.93\n")
    paths = [tmp_path / "A.csv", tmp_path / "B.csv"]
    assert main(["compare", *map(str, paths)]) == 2
    assert "no column of seeds" in capsys.readouterr().err
    assert "Welch's t: asked for as unpaired" in compared(capsys, *paths, "--unpaired")


def test_two_variants_of_one_file_and_a_named_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.csv"
    rows = [f"{n},{s},0.{v + 3 * s}" for n, v in (("a", 80), ("b", 70), ("c", 60)) for s in range(3)]
    path.write_text("method,seed,accuracy\n" + "\n".join(rows))
    assert main(["compare", str(path)]) == 2
    assert "3 variants: name two with --a and --b (a, b, c)" in capsys.readouterr().err
    line = compared(capsys, path, "--a", "a", "--b", "c")
    assert line.startswith("accuracy: a - c = +20.00 points, n = 3 pairs")
    assert "show no spread" in line


def test_loss_is_turned_so_that_less_is_better(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, loss in (("A", 0.2), ("B", 0.5)):
        (tmp_path / f"{name}.csv").write_text("seed,loss\n" + "".join(f"{s},{loss + s * s / 50}\n" for s in range(4)))
    (found,) = json.loads(compared(capsys, tmp_path / "A.csv", tmp_path / "B.csv", "--json", "--margin", 0.1))
    assert found["difference"]["mean"] == pytest.approx(-0.3)
    assert found["rope"]["better"] == 1


def test_files_that_lead_with_different_metrics_are_compared_by_one_that_both_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "A.csv").write_text("seed,test/accuracy,test/loss\n0,0.8,0.40\n1,0.82,0.38\n")
    (tmp_path / "B.csv").write_text("seed,val/accuracy,test/loss\n0,0.7,0.50\n1,0.75,0.45\n")
    assert compared(capsys, tmp_path / "A.csv", tmp_path / "B.csv").startswith("test loss: A - B = -0.085")


def test_power_says_how_many_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "--margin", "0.01", "--sd", "0.005"]) == 0
    assert capsys.readouterr().out.startswith("5 paired seeds: with them the paired t-test at the 5 % level finds")


def test_power_takes_the_spread_from_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.csv"
    draws = random.Random(0)
    rows = {name: [draws.gauss(0.9, 0.003) for _ in range(4)] for name in ("x", "y")}
    path.write_text("method,seed,accuracy\n" + "\n".join(f"{n},{s},{v}" for n in rows for s, v in enumerate(rows[n])))
    assert main(["power", str(path), "--margin", "0.01", "--json"]) == 0
    sd = json.loads(capsys.readouterr().out)["sd"]
    assert sd == pytest.approx(stats.tstd([a - b for a, b in zip(rows["x"], rows["y"], strict=True)]))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--margin", "0"], "--margin 0: give a number above 0"),
        (["--margin", "1"], "give one of both: --sd"),
        (["--margin", "1", "--sd", "1", "--power", "1"], "--power 1: give a probability between 0 and 1"),
    ],
)
def test_a_mistake_of_power_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", *arguments]) == 2
    assert line in capsys.readouterr().err


def test_a_file_of_one_variant_is_called_as_its_column_calls_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"
    a.write_text(
        "model,seed,acc\n"
        + "".join(f"{m},{s},{0.9 + 0.001 * s * k}\n" for m, k in (("bn", 1), ("gn", 2)) for s in range(3))
    )
    b.write_text("model,seed,acc\n" + "".join(f"ln,{s},{0.8 + 0.002 * s}\n" for s in range(3)))
    c.write_text("model,seed,acc\n" + "".join(f"bn,{s},{0.8 + 0.003 * s}\n" for s in range(3)))
    assert compared(capsys, a, b, "--a", "bn", "--b", "ln").startswith("accuracy: bn - ln = +")
    assert compared(capsys, b, c).startswith("accuracy: ln - bn = ")
    assert compared(capsys, a, c).startswith("accuracy: bn (a) - bn (c) = +")
    assert main(["compare", str(a), str(b)]) == 2
    assert "name one of each, --a (bn, gn) and --b (ln)" in capsys.readouterr().err
    assert main(["compare", str(b)]) == 2
    assert "one variant, ln: give a second file" in capsys.readouterr().err
