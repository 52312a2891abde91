"""Folds are no independent seeds: intervals and tests take the overlap of their training sets into account."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_study import make_study

from normlab.cli import main
from normlab.report.sections.shared import rankings, summary
from normlab.report.view import StudyView
from normlab.studies.between import between, sides_of
from normlab.studies.claims import parse_claims
from normlab.studies.claims.judge import judge, verdict_by_interval
from normlab.studies.claims.kinds import KINDS
from normlab.studies.comparisons import comparisons
from normlab.studies.statistics import (
    CORRECTED,
    adjust,
    compare_paired,
    correlated_t,
    equivalence_p,
    mean_interval,
    overlap_of,
    paired_power,
    seeds_for_margin,
    seeds_needed,
    welch,
)
from normlab.studies.study import Study
from normlab.studies.tables import study_table

DIFFERENCES = [0.012, 0.004, 0.009, 0.015, 0.001]
BATCH = [0.90, 0.91, 0.89, 0.92, 0.90]
CLAIM = {"says": "?", "kind": "better", "a": {"norm": "group"}, "b": {"norm": "batch"}, "source": "?"}


def folded(path: Path, folds: int | None = 5) -> Study:
    def accuracy(values: dict[str, str], seed: int) -> float:
        return BATCH[seed] + (DIFFERENCES[seed] if values["norm"] == "group" else 0)

    return make_study(path, {"norm": ["batch", "group"]}, 5, accuracy, claims=[CLAIM], folds=folds)


def by_hand(differences: list[float], folds: int) -> tuple[float, float, float]:
    """Nadeau & Bengio 2003, section 5: t = mean / sqrt((1/J + n2/n1) s^2), with J - 1 degrees of freedom."""
    d, j = np.array(differences), len(differences)
    error = np.sqrt((1 / j + 1 / (folds - 1)) * d.var(ddof=1))
    half = stats.t.ppf(0.975, j - 1) * error
    return d.mean() - half, d.mean() + half, 2 * stats.t.sf(abs(d.mean()) / error, j - 1)


def correlated_folds(folds: int, studies: int) -> np.ndarray:
    """Differences (studies, folds) about 0, each two correlated by n_test / (n_test + n_train) = 1/K."""
    draws, share = np.random.default_rng(folds), 1 / folds
    common, own = draws.standard_normal((studies, 1)), draws.standard_normal((studies, folds))
    return np.sqrt(share) * common + np.sqrt(1 - share) * own


@pytest.mark.parametrize("folds", [5, 10])
def test_corrected_intervals_hold_the_truth_of_correlated_folds_and_ordinary_ones_do_not(folds: int) -> None:
    """Two standard errors of 2,000 simulated studies are a point."""
    studies = correlated_folds(folds, 2000).tolist()

    def coverage(overlap: float) -> float:
        intervals = [mean_interval(each, overlap=overlap) for each in studies]
        return float(np.mean([each.low < 0 < each.high for each in intervals]))

    assert coverage(overlap_of(folds)) == pytest.approx(0.95, abs=0.01)
    assert coverage(0) < 0.88


def test_verdicts_of_correlated_folds_err_in_few_studies() -> None:
    region = KINDS["better"].region(0.0)
    studies = correlated_folds(5, 2000).tolist()

    def wrongly_confirmed(overlap: float) -> float:
        return [verdict_by_interval(region, each, 1, overlap=overlap) for each in studies].count("confirmed") / 2000

    assert wrongly_confirmed(overlap_of(5)) < 0.035  # 2.5 % and two standard errors
    assert wrongly_confirmed(0.0) > 0.05


def test_interval_and_p_value_are_those_of_the_paper() -> None:
    low, high, p_value = by_hand(DIFFERENCES, 5)
    found = compare_paired([0.9 + d for d in DIFFERENCES], [0.9] * 5, overlap=overlap_of(5))
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))
    assert (found.p_value, found.p_t) == pytest.approx((p_value, p_value))
    assert CORRECTED in found.method
    (adjusted,) = adjust([DIFFERENCES], overlap=overlap_of(5))
    assert (adjusted.interval.low, adjusted.p_value) == pytest.approx((low, p_value))


def test_it_is_the_bayesian_correlated_t_test_with_a_correlation_of_one_kth() -> None:
    """P(worse than -m) + P(better than m) of the posterior against the corrected two one-sided tests."""
    bayes = correlated_t(DIFFERENCES, 0.005, correlation=1 / 5)
    below = correlated_t(DIFFERENCES, 0.0, correlation=1 / 5)
    assert 2 * below.worse == pytest.approx(compare_paired(DIFFERENCES, [0.0] * 5, overlap=0.25).p_t)
    assert equivalence_p(DIFFERENCES, 0.005, overlap=0.25) == pytest.approx(max(bayes.better, bayes.worse))


def test_more_folds_of_another_division_help_only_so_far() -> None:
    shift = [0.008 + d for d in (0.01, -0.01, 0.012, -0.008, 0.0)]
    assert seeds_needed(shift, 0.0) is not None
    assert seeds_needed(shift, 0.0, overlap=overlap_of(5)) is None
    assert paired_power(0.01, 0.01, 10_000, overlap=overlap_of(5)) < 0.7
    assert seeds_for_margin(0.01, 0.01, overlap=overlap_of(5)) is None
    wide = seeds_for_margin(0.03, 0.01, overlap=overlap_of(5))
    assert wide is not None
    assert wide > (seeds_for_margin(0.03, 0.01) or 0)


def test_unpaired_folds_are_wider_too() -> None:
    plain, corrected = welch(BATCH, DIFFERENCES), welch(BATCH, DIFFERENCES, overlaps=(0.25, 0.25))
    assert corrected.error == pytest.approx(plain.error * (1 + 5 / 4) ** 0.5)


def test_equal_differences_of_folds_decide_nothing() -> None:
    region = KINDS["better"].region(0.0)
    assert verdict_by_interval(region, [0.01] * 8, 1) == "confirmed"
    assert verdict_by_interval(region, [0.01] * 8, 1, overlap=0.25) == "undecided"
    assert adjust([[0.01] * 8], overlap=0.25)[0].p_value == 1


def test_a_study_of_folds_is_corrected_everywhere_and_says_so(tmp_path: Path) -> None:
    plain, study = folded(tmp_path / "seeds", None), folded(tmp_path / "folds")
    assert (plain.folds, study.folds) == (None, 5)
    low, high, p_value = by_hand(DIFFERENCES, 5)

    verdicts = [judge(each, parse_claims(each)[0]) for each in (plain, study)]
    assert [verdict.kind for verdict in verdicts] == ["confirmed", "undecided"]
    assert verdicts[1].effect is not None
    assert (verdicts[1].effect.low, verdicts[1].p_value) == pytest.approx((low, p_value))
    assert [CORRECTED in verdict.sentence for verdict in verdicts] == [False, True]

    (uncorrected,), (compared,) = comparisons(plain, "test/accuracy"), comparisons(study, "test/accuracy")
    assert (uncorrected.winner, compared.winner) == ("values", None)
    assert compared.adjusted_p == pytest.approx(p_value)
    assert CORRECTED in compared.sentence

    first, second = (study_table(each, ["test/accuracy"])[0].metrics["test/accuracy"] for each in (plain, study))
    assert first is not None
    assert second is not None
    assert second.high - second.low == pytest.approx((first.high - first.low) * (1 + 5 / 4) ** 0.5)

    group, batch = (side for side in reversed(sides_of(study, "test/accuracy")))
    found = between(group, batch, "test/accuracy", margin=0.005)
    assert found.test == "corrected resampled t"
    assert (found.difference.high, found.p_value) == pytest.approx((high, p_value))
    assert found.rope is not None
    assert found.rope.better == pytest.approx(correlated_t(DIFFERENCES, 0.005, correlation=1 / 5).better)


def test_the_report_names_the_correction(tmp_path: Path) -> None:
    for folds in (None, 5):
        view = StudyView.read(folded(tmp_path / f"study-{folds}", folds))
        text = " ".join(summary.findings(view))
        assert (CORRECTED in text) == (folds == 5)
        assert ("paired by fold" in text) == (folds == 5)
        assert rankings.section(view)


def test_a_table_with_a_column_fold_is_corrected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        f"{norm},{seed},{BATCH[seed] + shift}"
        for seed in range(5)
        for norm, shift in (("batch", 0.0), ("group", DIFFERENCES[seed]))
    ]
    table = tmp_path / "results.csv"
    table.write_text("\n".join(["norm,fold,accuracy", *rows]))
    assert main(["compare", str(table), "--a", "group", "--b", "batch"]) == 0
    printed = capsys.readouterr()
    assert "seed from 'fold', as folds of a cross-validation" in printed.err
    assert f"corrected resampled t: every fold is on both sides; {CORRECTED}" in printed.out
    assert main(["power", str(table), "--margin", "0.03"]) == 0
    assert f"paired folds: with them the paired t-test, {CORRECTED}, at the 5 %" in capsys.readouterr().out
    assert main(["power", str(table), "--margin", "0.001"]) == 2
    assert "no number of its folds finds 0.001" in capsys.readouterr().err
