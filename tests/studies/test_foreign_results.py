"""Results of other programs become a study; what cannot be read is one line with file, row and fix."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.errors import UserError
from normlab.studies.comparisons import comparisons
from normlab.studies.foreign import Asked, open_results
from normlab.studies.foreign.names import metric_name, split_names
from normlab.studies.study import Study
from normlab.studies.tables import metric_by_seed


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def table(path: Path, header: str, rows: Iterable[str]) -> Path:
    return write(path, "\n".join([header, *rows]) + "\n")


def values(study: Study, metric: str, **axes: object) -> dict[int, float]:
    return metric_by_seed(study, axes, metric)


WIDE = [
    f"{norm},{seed},{0.9 + shift + 0.001 * seed},{0.3 - shift}"
    for norm, shift in (("bn", 0), ("gn", 0.02))
    for seed in range(3)
]


def test_a_wide_table_becomes_a_study_and_says_how_it_was_read(tmp_path: Path) -> None:
    study = open_results(table(tmp_path / "r.csv", "norm,seed,accuracy,loss", WIDE))
    assert study.axes == {"variant": ["bn", "gn"]}
    assert values(study, "accuracy", variant="gn") == pytest.approx({0: 0.92, 1: 0.921, 2: 0.922})
    assert study.notes == ["r.csv: 6 runs; variant from column 'norm'; seed from 'seed'; metrics: accuracy, loss"]
    (found,) = comparisons(study, "accuracy")
    assert found.comparison is not None
    assert found.comparison.difference.mean == pytest.approx(0.02)


def test_a_long_table_is_the_same_study(tmp_path: Path) -> None:
    rows = [
        f"{n},{s},{m},{v}" for n, s, a, b in (line.split(",") for line in WIDE) for m, v in (("acc", a), ("Loss", b))
    ]
    long = open_results(table(tmp_path / "long.csv", "norm,seed,metric,value", rows))
    wide = open_results(table(tmp_path / "wide.csv", "norm,seed,accuracy,loss", WIDE))
    assert "long form" in long.notes[0]
    for metric in ("accuracy", "loss"):
        for norm in ("bn", "gn"):
            assert values(long, metric, variant=norm) == values(wide, metric, variant=norm)


def test_a_column_per_seed_is_read_once_the_metric_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", "method,seed_0,seed_1", ["a,0.9,0.91", "b,0.8,0.82"])
    with pytest.raises(UserError, match=r"r\.csv: a column per seed does not say what its numbers are.*--metric"):
        open_results(path)
    assert values(open_results(path, Asked(headline="accuracy")), "accuracy", variant="b") == {0: 0.8, 1: 0.82}


def test_several_axes_and_settings_are_told_from_metrics(tmp_path: Path) -> None:
    rows = [
        f"{n},{b},{w},{s},{random.Random(n + str((b, w, s))).random()}"
        for n in "xy"
        for b in (8, 32)
        for w in (1, 2)
        for s in (0, 1)
    ]
    study = open_results(table(tmp_path / "r.csv", "model,batch_size,widening,seed,accuracy", rows))
    assert study.axes == {"variant": ["x", "y"], "batch_size": [8, 32], "widening": [1, 2]}


def test_a_runs_own_name_and_a_copy_of_the_variant_are_not_axes(tmp_path: Path) -> None:
    rows = [f"run-{n}-{s},{n},{n.upper()}!,{s},0.{9 - s}{ord(n)}" for n in "abc" for s in range(2)]
    study = open_results(table(tmp_path / "r.csv", "Name,method,title,seed,accuracy", rows))
    assert study.axes == {"variant": ["a", "b", "c"]}
    assert study.notes[0].endswith("not used: Name, title")


def test_seeds_are_read_out_of_names(tmp_path: Path) -> None:
    rows = [f"batch-seed{s},0.9{s}" for s in range(2)] + [f"group-seed{s},0.8{s}" for s in range(2)]
    study = open_results(table(tmp_path / "r.csv", "run,accuracy", rows))
    assert values(study, "accuracy", variant="group") == {0: 0.80, 1: 0.81}


def test_curves_count_by_their_last_value(tmp_path: Path) -> None:
    rows = [f"a,{s},{e},{2 - e},{0.5 + 0.1 * e + 0.01 * s}" for s in range(2) for e in (1, 2, 3)]
    study = open_results(table(tmp_path / "r.csv", "method,seed,epoch,train_loss,val_acc", rows))
    assert values(study, "val/accuracy", variant="a") == pytest.approx({0: 0.8, 1: 0.81})
    records = study.cells[0].folder.metrics()
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert [record["train/loss"] for record in records] == [1, 0, -1]


def test_percent_is_divided_by_100_and_said(tmp_path: Path) -> None:
    study = open_results(table(tmp_path / "r.csv", "m,seed,accuracy", ["a,0,91.5", "a,1,92%", "b,0,90", "b,1,90.5"]))
    assert values(study, "accuracy", variant="a") == {0: 0.915, 1: 0.92}
    assert study.notes[1] == "accuracy is in percent (up to 92) and was divided by 100"


def test_semicolons_go_with_decimal_commas(tmp_path: Path) -> None:
    study = open_results(table(tmp_path / "r.csv", "m;seed;accuracy", ["a;0;0,91", "b;0;0,9"]))
    assert values(study, "accuracy", variant="a") == {0: 0.91}


def test_small_percentages_are_percentages(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("norm,seed,accuracy\nbatch,0,0.95%\nbatch,1,0.90 %\ngroup,0,0.5%\ngroup,1,0.6%\n")
    assert values(open_results(path), "accuracy", variant="batch") == pytest.approx({0: 0.0095, 1: 0.009})
    path.write_text("norm,seed,accuracy\nbatch,0,0.95%\nbatch,1,0.90\n")
    with pytest.raises(UserError, match=r"results.csv:3: column 'accuracy': '0.90' has no percent sign, cells before"):
        open_results(path)


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (
            "m,seed,accuracy",
            ["a,0,0.87", "b,0,87.1"],
            r"r.csv:2: accuracy is at most 0.87 here, but accuracy is 87.1 in",
        ),
        (
            "m,seed,train_acc,val_acc",
            ["a,0,97,0.9", "b,0,98,0.8"],
            r"but train/accuracy is 98 in .*--percent train/acc",
        ),
        ("m,seed,epoch,acc", ["a,0,1,0.2", "a,0,2,0.8", "b,0,1,0.5", "b,0,2,80"], r"at most 0.8 here, .*is 80 in"),
        ("m,seed,metric,value", ["a,0,acc,0.87", "b,0,acc,87.1"], r"at most 0.87 here"),
    ],
)
def test_fractions_beside_percentages_are_refused(header: str, rows: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        open_results(table(tmp_path / "r.csv", header, rows))


def test_percent_signs_or_a_flag_say_that_small_numbers_are_percentages(tmp_path: Path) -> None:
    signed = open_results(table(tmp_path / "r.csv", "m,seed,accuracy", ["a,0,0.5%", "b,0,87.1%"]))
    assert values(signed, "accuracy", variant="a") == pytest.approx({0: 0.005})
    rows = ["a,0,acc,0.5%", "b,0,acc,0.7%", "a,0,loss,2", "b,0,loss,2"]
    long = open_results(table(tmp_path / "r.csv", "m,seed,metric,value", rows))
    assert values(long, "accuracy", variant="a") == pytest.approx({0: 0.005})
    path = table(tmp_path / "r.csv", "m,seed,train_acc,val_acc", ["a,0,97,0.9", "b,0,98,0.8"])
    told = open_results(path, Asked(percent=("train_acc",)))
    assert values(told, "val/accuracy", variant="a") == {0: 0.9}
    assert "train/accuracy is in percent (up to 98) and was divided by 100" in told.notes
    assert values(open_results(path, Asked(percent=("acc",))), "val/accuracy", variant="a") == pytest.approx({0: 0.009})
    with pytest.raises(UserError, match=r"--percent tain/accuracy: no such metric: did you mean 'train/accuracy'"):
        open_results(path, Asked(percent=("tain/accuracy",)))
    loss = table(tmp_path / "loss.csv", "m,seed,acc,loss", ["a,0,0.9,2", "b,0,0.8,3"])
    with pytest.raises(UserError, match="--percent loss: loss is not a fraction"):
        open_results(loss, Asked(percent=("loss",)))


def curves(path: Path, ends: dict[str, int], blank: int = 0) -> Path:
    """Write curves that end at an epoch; the last `blank` values of the last variant's second run are missing."""
    *_, last = ends
    rows = []
    for name, end in ends.items():
        for seed in range(2):
            for epoch in range(1, end + 1):
                missing = (name, seed) == (last, 1) and epoch > end - blank
                rows.append(f"{name},{seed},{epoch},1,{'' if missing else 0.1 * seed + 0.01 * epoch}")
    return table(path, "m,seed,epoch,loss,val_acc", rows)


def test_curves_that_end_at_different_epochs_are_told(tmp_path: Path) -> None:
    study = open_results(curves(tmp_path / "r.csv", {"a": 4, "b": 6}))
    assert study.notes[1:] == [
        "val/accuracy ends at different epochs, so trainings of different length are compared: a at 4; b at 6"
    ]
    assert len(open_results(curves(tmp_path / "r.csv", {"a": 4, "b": 4})).notes) == 1


def test_blank_values_in_the_last_epochs_are_told(tmp_path: Path) -> None:
    study = open_results(curves(tmp_path / "r.csv", {"a": 4, "b": 4}, blank=2))
    assert study.notes[1].endswith("a at 4; b at 2 to 4")
    assert study.notes[2] == (
        "in 1 run the last val/accuracy is blank, and an earlier one counts: b, seed 1, epoch 2 of 4"
    )


def test_two_files_of_different_length_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (curves(tmp_path / f"{n}.csv", {"a": n}) for n in (3, 5))
    assert main(["compare", str(first), str(second)]) == 0
    assert "runs end at different epochs, so trainings of different length are compared: 3 at 3; 5 at 5" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["r.tsv", "r.txt"])
def test_a_table_with_tabs_is_no_archive(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path / name, "norm\tseed\taccuracy", ["a\t0\t0.9", "a\t1\t0.8", "b\t0\t0.8", "b\t1\t0.7"])
    assert main(["compare", str(path)]) == 0
    assert "a - b = +10.00 points" in capsys.readouterr().out


@pytest.mark.parametrize("told", ["sep=|", '"sep=|"', "SEP=|"])
def test_a_first_line_for_excel_tells_the_separator_and_lines_keep_their_numbers(told: str, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", told, ["m|seed|lr, peak|accuracy", "a|0|0,1|0.91", "b|0|0,1|0.9"])
    assert values(open_results(path), "accuracy", variant="a") == {0: 0.91}
    path = table(tmp_path / "r.csv", told, ["m|seed|accuracy", "a|0|0.91", "b|0"])
    with pytest.raises(UserError, match=r"r\.csv:4: 2 cells"):
        open_results(path)


def test_a_column_may_be_named_like_the_line_for_excel(tmp_path: Path) -> None:
    study = open_results(table(tmp_path / "r.csv", "sep=x,seed,accuracy", ["a,0,0.91", "b,0,0.9"]))
    assert len(study.cells) == 2


def test_a_run_that_is_not_finite_diverged(tmp_path: Path) -> None:
    study = open_results(table(tmp_path / "r.csv", "m,seed,accuracy", ["a,0,nan", "a,1,0.9", "b,0,0.9", "b,1,0.8"]))
    assert [str(cell.state) for cell in study.cells] == ["diverged", "finished", "finished", "finished"]
    assert "1 of 4 runs diverged: their accuracy is not finite" in study.notes


def test_a_run_that_crashed_counts_nowhere_and_is_told(tmp_path: Path) -> None:
    rows = ["x,finished,bn,0,0.9", "y,crashed,gn,0,", "z,finished,gn,1,0.8", "w,crashed,bn,1,0.1"]
    study = open_results(table(tmp_path / "r.csv", "Name,State,norm,seed,accuracy", rows))
    assert [str(cell.state) for cell in study.cells] == ["finished", "failed", "finished", "failed"]
    assert values(study, "accuracy", variant="bn") == {0: 0.9}
    assert "2 of 4 runs failed and count nowhere" in study.notes


def test_equal_runs_are_told(tmp_path: Path) -> None:
    rows = [f"a,{s},{v}" for s, v in enumerate((0.91234, 0.92345, 0.91234, 0.93))]
    (_, note) = open_results(table(tmp_path / "r.csv", "method,seed,accuracy", rows)).notes
    assert note == "seeds 0, 2 of a have the same numbers: was one run copied, or its seed not used?"


def test_ties_that_chance_explains_are_not_told(tmp_path: Path) -> None:
    draws = random.Random(0)
    rows = [f"a,{seed},{draws.gauss(0.9, 0.01):.2f}" for seed in range(60)]
    assert len(open_results(table(tmp_path / "r.csv", "m,seed,accuracy", rows)).notes) == 1


MISTAKES = {
    "no seed column": ("m,accuracy", ["a,0.9", "b,0.8"], r"r\.csv:1: no column of seeds among m, accuracy.*--seed"),
    "an empty seed": ("m,seed,accuracy", ["a,0,0.9", "a,,0.8"], r"r\.csv:3: column 'seed': the seed is missing"),
    "text as a seed": ("m,seed,accuracy", ["a,x,0.9"], r"r\.csv:2: column 'seed': 'x' is no seed"),
    "text in numbers": ("m,seed,accuracy", ["a,0,0.9", "a,1,ok"], r"r\.csv:3: column 'accuracy': 'ok' is no number"),
    "two rows of a cell": (
        "m,seed,accuracy",
        ["a,0,0.9", "b,0,0.8", "a,0,0.9"],
        r"r\.csv:4: a second accuracy of m a, seed 0, after line 2: delete one, or name with --variant",
    ),
    "a missing cell": ("m,seed,accuracy", ["a,0"], r"r\.csv:2: 2 cells, where the header names 3 columns"),
    "a missing number": ("m,seed,accuracy", ["a,0,0.9", "b,0,"], r"r\.csv:3: no accuracy of m b, seed 0: add it"),
    "no direction": ("m,seed,zing", ["a,0,1", "b,0,2"], r"it is not known which way .*: say --higher-is-better zing"),
    "neither fraction nor percent": ("m,seed,accuracy", ["a,0,912"], r"'accuracy' reaches 912, but is a fraction"),
    "no rows": ("m,seed,accuracy", [], r"r\.csv: has a header and no rows"),
    "a doubled column": ("m,seed,seed", ["a,0,1"], r"r\.csv:1: two columns are named 'seed'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_file_row_and_fix(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, rows, pattern = MISTAKES[mistake]
    path = table(tmp_path / "r.csv", header, rows)
    with pytest.raises(UserError, match=pattern):
        open_results(path)
    assert main(["report", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_wrong_column_name_gets_the_nearest_one(tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", "norm,seed,accuracy", ["a,0,1"])
    with pytest.raises(UserError, match=r"--variant: no column 'nrom': did you mean 'norm'"):
        open_results(path, Asked(variant=("nrom",)))


def test_the_user_says_which_way_a_metric_points_and_may_say_it_anew(tmp_path: Path) -> None:
    rows = [f"{m},{s},{v + s % 3}" for m, v in (("a", 10), ("b", 30)) for s in range(6)]
    path = table(tmp_path / "r.csv", "m,seed,plonk", rows)
    winners = []
    for asked in (Asked(higher=("plonk",)), Asked(lower=("plonk",))):
        study = open_results(path, asked)
        (found,) = comparisons(study, "plonk")
        winners.append(found.winner)
    assert winners == ["values", "reference"]
    with pytest.raises(UserError, match="of accuracy, higher values are better"):
        open_results(path, Asked(lower=("accuracy",)))


def test_claims_are_answered_in_the_files_own_names(tmp_path: Path) -> None:
    draws = random.Random(0)
    rows = [f"{n},{s},{draws.gauss(v, 0.001)}" for n, v in (("bn", 0.9), ("gn", 0.95)) for s in range(5)]
    claims = write(
        tmp_path / "claims.yaml",
        "claims:\n  - {says: Group norm wins., kind: better, a: {norm: gn}, b: {norm: bn}, margin: 0.01, source: us}\n",
    )
    path = table(tmp_path / "r.csv", "norm,seed,accuracy", rows)
    out = tmp_path / "r.html"
    assert main(["report", str(path), "--claims", str(claims), "--out", str(out)]) == 0
    assert "1 claim: 1 confirmed" in out.read_text(encoding="utf-8")
    write(claims, claims.read_text(encoding="utf-8").replace("norm: gn", "norm: layer"))
    with pytest.raises(UserError, match=r"claims\.yaml: claim 1: a: no cell has variant 'layer'"):
        open_results(path, Asked(claims=claims))


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("Test Acc", "test/accuracy"),
        ("val_loss", "val/loss"),
        ("Loss/train", "train/loss"),
        ("eval/f1", "val/f1"),
        ("train_loss_epoch", "train/loss"),
        ("validation-accuracy", "val/accuracy"),
        ("reward", "reward"),
    ],
)
def test_other_spellings_of_metrics_are_known(spelled: str, name: str) -> None:
    assert metric_name(spelled) == name


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["batch/seed_0", "batch/seed_1"], [("batch", 0), ("batch", 1)]),
        (["seed=3/gn", "gn-s4"], [("gn", 3), ("gn", 4)]),
        (["bn-0", "bn-1"], [("bn", 0), ("bn", 1)]),
        (["resnet-18", "resnet50"], [("resnet-18", None), ("resnet50", None)]),
        (["losses", "seeds"], [("losses", None), ("seeds", None)]),
    ],
)
def test_run_names_tell_variant_and_seed(names: list[str], split: list[tuple[str, int | None]]) -> None:
    assert split_names(names) == split


def test_a_chart_of_weights_and_biases(tmp_path: Path) -> None:
    runs = [f"{n}-seed{s}" for n in ("bn", "gn") for s in range(2)]
    header = ",".join(['"Step"', *(f'"{run} - val/acc{end}"' for run in runs for end in ("", "__MIN", "__MAX"))])
    rows = [
        ",".join([str(step), *(f"{0.5 + step / 100 + i / 1000}" for i in range(4) for _ in range(3))])
        for step in (10, 20)
    ]
    path = table(tmp_path / "chart.csv", header, rows)
    study = open_results(path)
    assert study.clock == "step"
    assert values(study, "val/accuracy", variant="gn") == pytest.approx({0: 0.702, 1: 0.703})
    write(path, path.read_text(encoding="utf-8").replace("0.601", "0.6", 1))
    with pytest.raises(UserError, match=r"chart\.csv:2: .* is a mean of several runs.*ungroup"):
        open_results(path)


def lightning(root: Path, *, hparams: bool) -> None:
    for index, (norm, seed) in enumerate((n, s) for n in ("bn", "gn") for s in range(2)):
        folder = root / (f"version_{index}" if hparams else f"{norm}/seed_{seed}")
        rows = [line for e in range(2) for line in (f"{e},{e * 9},1.{e}{index},", f"{e},{e * 9},,0.{5 + e}{index}")]
        table(folder / "metrics.csv", "epoch,step,train_loss,val_acc", rows)
        if hparams:
            write(folder / "hparams.yaml", f"norm: {norm}\nlr: 0.1\nseed: {seed}\n")


@pytest.mark.parametrize("hparams", [True, False])
def test_folders_of_lightning(hparams: bool, tmp_path: Path) -> None:
    lightning(tmp_path, hparams=hparams)
    study = open_results(tmp_path)
    assert values(study, "val/accuracy", variant="gn") == {0: 0.62, 1: 0.63}
    assert [record["epoch"] for record in study.cells[0].folder.metrics()] == [0, 1]


def mlflow(root: Path) -> None:
    for index, (norm, seed) in enumerate((n, s) for n in ("bn", "gn") for s in range(2)):
        run = root / "0" / f"{index:032x}"
        write(run / "meta.yaml", f"run_name: r{index}\nstatus: 3\nlifecycle_stage: active\n")
        write(run / "params" / "norm", norm)
        write(run / "params" / "seed", str(seed))
        write(run / "metrics" / "val" / "accuracy", f"1700 0.5 0\n1701 0.{60 + index} 1\n")
    write(root / "0" / "meta.yaml", "experiment_id: '0'\nname: Default\n")


def test_a_folder_of_mlflow(tmp_path: Path) -> None:
    mlflow(tmp_path / "mlruns")
    study = open_results(tmp_path / "mlruns")
    assert values(study, "val/accuracy", variant="gn") == {0: 0.62, 1: 0.63}
    deleted = tmp_path / "mlruns" / "0" / f"{3:032x}" / "meta.yaml"
    write(deleted, "run_name: r3\nstatus: 3\nlifecycle_stage: deleted\n")
    study = open_results(tmp_path / "mlruns")
    assert len(study.cells) == 3
    assert study.notes[0].endswith("1 deleted run is left out")
    write(deleted.parents[1] / f"{0:032x}" / "metrics" / "val" / "accuracy", "1700 high 0\n")
    with pytest.raises(UserError, match=r"accuracy:1: expected `time value step`"):
        open_results(tmp_path / "mlruns")


def test_a_folder_of_unknown_files_is_told_what_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "notes.md", "nothing")
    assert main(["report", str(tmp_path)]) == 2
    assert "nor results of another program" in capsys.readouterr().err
