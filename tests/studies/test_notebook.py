"""What a notebook shows: tables of a study, a run and the norms, a DataFrame, and a report's figures."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from synthetic_study import make_study

import normlab
from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.html_table import html_table
from normlab.report import figure, figure_names
from normlab.studies.study import Study

STABLE = {
    "NORMS", "TASKS", "UserError", "__version__", "ask", "load_run", "nn", "run_search", "run_study", "study",
    "swap_norms", "tasks", "train",
}  # fmt: skip


def cells(html: str) -> list[str]:
    return re.findall(r"<td>(.*?)</td>", html)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(
        tmp_path,
        {"norm": ["batch", "group"]},
        2,
        lambda values, seed: 0.5 + 0.1 * seed if values["norm"] == "batch" else "diverged",
        epochs=lambda values, seed: [{"train/loss": 1.0}, {"train/loss": 0.5}],
    )


def test_the_stable_names_are_public() -> None:
    assert set(normlab.__all__) >= STABLE
    assert (Path(normlab.__file__).parent / "py.typed").is_file()


def test_a_study_shows_its_means(study: Study) -> None:
    assert cells(study._repr_html_())[:3] == ["batch", "2 of 2", "0.55 ± 0.64"]


def test_a_run_shows_its_scores(study: Study) -> None:
    run = Run(study.cells[0].folder)
    assert repr(run) == f"<Run of image in {run.path}>"
    html = run._repr_html_()
    assert "finished" in html
    assert cells(html) == ["test/accuracy", "0.5"]


def test_the_norms_show_their_cards() -> None:
    assert {"group", "gn", "Group normalization"} <= set(cells(normlab.NORMS._repr_html_()))


def test_text_cannot_become_markup() -> None:
    assert "<b>" not in html_table("<b>", ["<b>"], [["<b>"]])


def test_records_have_a_row_per_training(study: Study) -> None:
    assert study.records()[1] == {"norm": "batch", "seed": 1, "state": "finished", "test/accuracy": 0.6}
    assert study.records()[2] == {"norm": "group", "seed": 0, "state": "diverged"}


def test_a_dataframe_has_the_records(study: Study) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = study.dataframe()
    assert list(frame["seed"]) == [0, 1, 0, 1]
    assert frame["test/accuracy"].isna().sum() == 2


def test_without_pandas_one_line_says_what_to_install(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normlab.studies.study.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install pandas"):
        study.dataframe()
    assert importlib.util.find_spec("json")


def test_a_path_opens_as_a_study_whatever_it_is(study: Study, tmp_path: Path) -> None:
    assert normlab.study(study.path).records() == study.records()
    file = tmp_path / "r.csv"
    file.write_text("m,trial_number,accuracy\na,0,0.9\nb,0,0.8\n")
    assert normlab.study(file, variant=["m"], seed="trial_number").axes == {"variant": ["a", "b"]}
    with pytest.raises(UserError, match="unknown argument 'sed': did you mean 'seed'"):
        normlab.study(file, sed="trial_number")


def test_a_figure_of_the_report_is_a_plotly_figure(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    rows = [f"{m},{s},{e},{0.1 * e + 0.01 * s}" for m in "ab" for s in (0, 1) for e in (1, 2, 3)]
    file.write_text("m,seed,epoch,accuracy\n" + "\n".join(rows))
    read = normlab.study(file)
    assert "curves/headline" in figure_names(read)
    lines = [trace for trace in figure(read, "curves").data if trace.name == "b"]
    assert list(lines[0].x) == [1, 2, 3]
    assert list(lines[0].y) == pytest.approx([10.5, 20.5, 30.5])
    with pytest.raises(UserError, match="figure 'curvs': did you mean 'curves"):
        figure(read, "curvs")
