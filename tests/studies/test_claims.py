"""Claims: read strictly, judged by intervals, and by divergence where there is one."""

from __future__ import annotations

import dataclasses
import importlib
import math
import sys

import numpy as np
import pytest
from scipy import stats
from synthetic_study import DIVERGED, WAITING, make_study

from normlab.errors import UserError
from normlab.studies.claims import KINDS, Region, claim_kind, judge, parse_claims
from normlab.studies.claims.judge import verdict_by_interval
from normlab.studies.claims.wording import _amount
from normlab.studies.statistics import seeds_needed

NORMS = ["batch", "torch_batch", "group", "none"]
NOISE = [0.003, -0.002, 0.001, -0.001, 0.002, -0.003]  # of a seed, shared by all schemes
OWN = {
    "batch": [2, 1, 0, 1, 0, 2],
    "torch_batch": [1, 2, 1, 0, 0, 1],
    "group": [0, 1, 2, 0, 1, 0],
    "none": [1] * 6,
}
MEANS = {"batch": 0.90, "torch_batch": 0.90, "group": 0.87, "none": 0.80}


def accuracy(values, seed):
    norm = values["norm"]
    return MEANS[norm] + NOISE[seed] + 1e-3 * OWN[norm][seed]


def growing(values, seed):
    last = {"none": 30.0 + seed, "batch": 1.1 + 0.1 * seed}.get(values["norm"], 1.0 + 0.1 * seed)
    return [{"features/p99": 1.0 + 0.01 * seed}, {"features/p99": 99.0}, {"features/p99": last}]


@pytest.fixture(scope="module")
def six_seeds(tmp_path_factory):
    """Six seeds of four schemes, all finished."""
    return make_study(tmp_path_factory.mktemp("six_seeds") / "s", {"norm": NORMS}, 6, accuracy, epochs=growing)


@pytest.fixture(scope="module")
def sized(tmp_path_factory):
    """Two schemes at three batch sizes."""
    return make_study(tmp_path_factory.mktemp("sized") / "s", SIZES, 6, by_size)


def ask(study, **claim):
    raw = {"says": "It holds.", "source": "somebody", **claim}
    asked = dataclasses.replace(study, claims=[raw])
    return judge(asked, parse_claims(asked)[0])


def verdict_of(path, outcome, seeds=6, axes=None, **claim):
    return ask(make_study(path / "s", axes or {"norm": NORMS}, seeds, outcome, epochs=growing), **claim)


EQUAL = {"kind": "equal", "a": {"norm": "bn"}, "b": {"norm": "torch_bn"}, "margin": 0.01}
BETTER = {"kind": "better", "a": {"norm": "batch"}, "b": {"norm": "group"}}


def test_equal_schemes_inside_the_margin_are_confirmed(six_seeds):
    found = ask(six_seeds, **EQUAL)
    differences = 1e-3 * (np.array(OWN["batch"]) - OWN["torch_batch"])
    assert found.kind == "confirmed"
    assert found.effect.mean == pytest.approx(differences.mean())
    assert found.n == 6
    upper = stats.ttest_1samp(differences, 0.01, alternative="less").pvalue
    lower = stats.ttest_1samp(differences, -0.01, alternative="greater").pvalue
    assert found.p_value == pytest.approx(max(upper, lower))


def test_a_margin_narrower_than_the_interval_leaves_equality_open(six_seeds):
    found = ask(six_seeds, **{**EQUAL, "margin": 0.0006})
    assert found.kind == "undecided"
    assert found.more_seeds > 0
    assert f"about {found.more_seeds} more" in found.sentence


def test_unequal_schemes_refute_equality(six_seeds):
    assert ask(six_seeds, **{**EQUAL, "b": {"norm": "group"}}).kind == "refuted"


@pytest.mark.parametrize(
    "kind, a, b, margin, expected",
    [
        ("better", "batch", "group", 0.0, "confirmed"),
        ("better", "batch", "group", 0.05, "refuted"),
        ("better", "group", "batch", 0.0, "refuted"),
        ("better", "batch", "torch_batch", 0.0, "undecided"),
        ("worse", "group", "batch", 0.0, "confirmed"),
        ("worse", "batch", "group", 0.0, "refuted"),
        ("at_least", "batch", "torch_batch", 0.005, "confirmed"),
        ("at_least", "group", "batch", 0.005, "refuted"),
    ],
)
def test_directional_kinds(six_seeds, kind, a, b, margin, expected):
    found = ask(six_seeds, kind=kind, a={"norm": a}, b={"norm": b}, margin=margin)
    assert found.kind == expected
    assert found.sentence.startswith(expected)


def test_one_seed_decides_nothing(tmp_path):
    found = verdict_of(tmp_path, accuracy, seeds=1, **BETTER)
    assert (found.kind, found.n, found.effect.low, found.more_seeds) == ("undecided", 1, None, None)
    assert "one seed" in found.sentence


def test_equal_differences_of_few_seeds_show_no_spread_and_decide_nothing(tmp_path):
    found = verdict_of(tmp_path, lambda values, seed: 0.5 if values["norm"] == "batch" else 0.25, seeds=3, **BETTER)
    assert found.kind == "undecided"


def test_a_lower_loss_is_better(tmp_path):
    def loss(values, seed):
        return {"test/loss": 1 - accuracy(values, seed)}

    found = verdict_of(tmp_path, loss, metric="test/loss", **BETTER)
    assert found.kind == "confirmed"
    assert found.effect.mean < 0
    assert found.effect.low < found.effect.mean < found.effect.high


def lost(*cells):
    """Return outcomes in which these (norm, seed) diverged."""
    return lambda values, seed: DIVERGED if (values["norm"], seed) in cells else accuracy(values, seed)


def test_a_diverged_cell_loses_even_with_one_seed(tmp_path):
    found = verdict_of(tmp_path, lost(("group", 0)), seeds=1, **BETTER)
    assert (found.kind, found.effect, found.n) == ("confirmed", None, 1)
    assert "group diverged in 1 of 1 seed" in found.sentence


def test_a_diverged_favourite_refutes(tmp_path):
    assert verdict_of(tmp_path, lost(("batch", 0)), seeds=1, **BETTER).kind == "refuted"
    # The seeds that finished say the opposite of those that diverged: nobody wins.
    assert verdict_of(tmp_path / "2", lost(("batch", 0)), **BETTER).kind == "undecided"


def test_divergence_of_one_side_refutes_equality(tmp_path):
    assert verdict_of(tmp_path, lost(("batch", 2)), **EQUAL).kind == "refuted"


def test_divergence_of_both_sides_leaves_nothing_to_compare(tmp_path):
    found = verdict_of(tmp_path, lost(("batch", 0), ("group", 0)), seeds=1, **BETTER)
    assert found.kind == "undecided"
    assert "both diverged" in found.sentence


def test_cells_that_wait_leave_the_claim_open(tmp_path):
    found = verdict_of(tmp_path, lambda values, seed: WAITING, **BETTER)
    assert (found.kind, found.n) == ("undecided", 0)
    assert "no seed has finished" in found.sentence


def test_diverges_or_lags_is_confirmed_by_either(tmp_path, six_seeds):
    claim = {
        "kind": "diverges_or_lags",
        "a": {"norm": "none"},
        "b": {"norm": ["batch", "group"]},
        "margin": 0.01,
    }
    assert ask(six_seeds, **claim).kind == "confirmed"
    assert verdict_of(tmp_path / "2", lost(*(("none", seed) for seed in range(6))), **claim).kind == "confirmed"
    assert ask(six_seeds, **{**claim, "a": {"norm": "torch_batch"}}).kind == "refuted"


def test_a_list_of_values_must_hold_for_each(six_seeds):
    all_beat_none = {"kind": "better", "a": {"norm": ["batch", "group"]}, "b": {"norm": "none"}}
    found = ask(six_seeds, **all_beat_none)
    assert found.kind == "confirmed"
    assert len(found.details) == 2
    refuted = ask(six_seeds, **{**all_beat_none, "b": {"norm": ["none", "torch_batch"]}})
    assert refuted.kind == "refuted"
    assert "1 of 4 comparisons" in refuted.sentence
    assert "group minus torch_batch" in refuted.sentence


def test_refuting_one_of_many_takes_stronger_evidence(tmp_path):
    # One pair alone is refuted at 95 %; as one of eight such pairs it is not.
    shifts = [-0.004, -0.001, -0.003, -0.001, -0.004, 0.0]

    def outcome(values, seed):
        return 0.5 + NOISE[seed] + (shifts[seed] if values["norm"] == "batch" else 0.0)

    axes = {"norm": ["batch", "group"], "batch_size": [2, 4, 8, 16, 32, 64, 128, 256]}
    one = verdict_of(tmp_path / "1", outcome, axes={**axes, "batch_size": [8]}, **BETTER)
    eight = verdict_of(tmp_path / "8", outcome, axes=axes, **BETTER)
    assert (one.kind, eight.kind) == ("refuted", "undecided")
    assert f"clear alone, not yet as one of 8 comparisons; about {eight.more_seeds} more" in eight.sentence
    assert eight.more_seeds == seeds_needed(shifts, 0.0, level=1 - 0.05 / 8) > seeds_needed(shifts, 0.0) == 0


SIZES = {"norm": ["batch", "group"], "batch_size": [2, 8, 128]}


def by_size(values, seed):
    drop = 0.05 if values["norm"] == "batch" and values["batch_size"] == 2 else 0.0
    return 0.9 - drop + NOISE[seed] * (1 + 0.1 * (values["batch_size"] == 8))


def test_insensitive_compares_all_values_of_the_axis(sized):
    claim = {"kind": "insensitive", "over": "batch_size", "margin": 0.01}
    group = ask(sized, a={"norm": "group"}, **claim)
    batch = ask(sized, a={"norm": "batch"}, **claim)
    assert (group.kind, len(group.details)) == ("confirmed", 3)
    assert batch.kind == "refuted"


def test_insensitive_without_an_operand_speaks_of_all_cells(sized):
    found = ask(sized, kind="insensitive", over="batch_size", margin=0.01)
    assert (found.kind, len(found.details)) == ("refuted", 6)


def test_an_operand_inherits_what_only_the_other_names(sized):
    found = ask(sized, kind="equal", a={"norm": "batch", "batch_size": 8}, b={"norm": "group"}, margin=0.01)
    assert "batch, batch_size 8 minus group, batch_size 8" in found.sentence


def test_an_open_axis_means_each_of_its_values(sized):
    assert len(ask(sized, **BETTER).details) == 3
    narrowed = ask(sized, where={"batch_size": 8}, **BETTER)
    assert narrowed.details == ()


def test_nothing_is_compared_with_itself(six_seeds):
    found = ask(six_seeds, kind="at_least", a={"norm": "batch"}, b={"norm": ["batch", "group", "none"]})
    assert len(found.details) == 2


def test_an_axis_of_one_value_leaves_nothing_to_compare(tmp_path):
    claim = {"kind": "insensitive", "a": {"norm": "group"}, "over": "batch_size", "margin": 0.01}
    found = verdict_of(tmp_path, by_size, axes={**SIZES, "batch_size": [8]}, **claim)
    assert (found.kind, found.n) == ("undecided", 0)
    assert "nothing to compare" in found.sentence


def test_ordered_asks_for_every_step(six_seeds):
    claim = {"kind": "ordered", "over": "norm"}
    assert ask(six_seeds, order=["bn", "gn", "none"], **claim).kind == "confirmed"
    assert ask(six_seeds, order=["gn", "bn", "none"], **claim).kind == "refuted"


OVER_TIME = {"metric": "features/p99", "margin": 5}


def test_growth_is_from_first_to_last_epoch(six_seeds):
    found = ask(six_seeds, kind="spreads", a={"norm": "none"}, **OVER_TIME)
    expected = np.mean([math.log((30.0 + seed) / (1.0 + 0.01 * seed)) for seed in range(6)])
    assert found.kind == "confirmed"
    assert math.log(found.effect.mean) == pytest.approx(expected)


def test_stable_is_the_opposite_of_spreads(six_seeds):
    assert ask(six_seeds, kind="stable", a={"norm": ["batch", "group"]}, **OVER_TIME).kind == "confirmed"
    assert ask(six_seeds, kind="stable", a={"norm": "none"}, **OVER_TIME).kind == "refuted"
    assert ask(six_seeds, kind="spreads", a={"norm": "batch"}, **OVER_TIME).kind == "refuted"


def test_divergence_is_not_stable_and_counts_as_spreading(tmp_path):
    gone = lost(*((norm, 0) for norm in NORMS[1:]))
    stable = verdict_of(tmp_path / "1", gone, kind="stable", a={"norm": "group"}, **OVER_TIME)
    assert stable.kind == "refuted"
    assert "group diverged in 1 of 6 seeds" in stable.sentence
    assert verdict_of(tmp_path / "2", gone, kind="spreads", a={"norm": "none"}, **OVER_TIME).kind == "confirmed"


NEW_KIND = """
from normlab.studies.claims import Region, claim_kind

@claim_kind("slightly_better", states="0 < d < margin", needs=("a", "b"), margin_above=0, subject="{a} over {b}")
def _slightly_better(margin):
    return Region(0, margin)
"""


@pytest.fixture
def slightly_better(tmp_path, monkeypatch):
    """A kind of claim that a module of somebody else's registers."""
    (tmp_path / "their_claims.py").write_text(NEW_KIND, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_claims", raising=False)
    importlib.import_module("their_claims")
    yield "slightly_better"
    del KINDS["slightly_better"]


def test_a_kind_is_added_by_one_decorated_function(six_seeds, slightly_better):
    claim = {**BETTER, "kind": slightly_better}
    found = ask(six_seeds, margin=0.05, **claim)
    assert found.kind == "confirmed"
    assert found.sentence.startswith("confirmed: batch over group: test/accuracy +3.0")
    assert ask(six_seeds, margin=0.02, **claim).kind == "refuted"
    with pytest.raises(UserError, match=r"kind 'slightly_better' needs a margin above 0 \(0 < d < margin\)"):
        ask(six_seeds, **claim)
    with pytest.raises(UserError, match="did you mean 'slightly_better'"):
        ask(six_seeds, margin=0.05, **{**claim, "kind": "slightly_bettr"})


def test_a_registered_name_cannot_be_taken_again(slightly_better):
    with pytest.raises(ValueError, match="claim kind 'slightly_better' is registered already"):
        claim_kind(slightly_better, states="", needs=())(lambda margin: Region(0, margin))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "bettr"}, "did you mean 'better'"),
        ({"a": {"norm": "grop"}}, "no cell has norm 'grop': did you mean 'group'"),
        ({"b": {"norms": "group"}}, "unknown axis 'norms': did you mean 'norm'"),
        ({"b": {}}, "needs 'b'"),
        ({"metric": "test/acuracy"}, "unknown metric 'test/acuracy': did you mean 'test/accuracy'"),
        ({"marginn": 0.1}, "unknown key 'marginn': did you mean 'margin'"),
        ({"margin": -1}, "margin"),
        ({"kind": "equal"}, "needs a margin above 0"),
        ({"kind": "stable", "margin": 1.0}, "needs a margin above 1"),
        ({"kind": "insensitive", "over": "batch", "margin": 0.1}, "unknown axis 'batch'"),
        ({"kind": "ordered", "over": "norm", "order": ["batch", "lyer"]}, "no cell has norm 'lyer'"),
    ],
)
def test_a_wrong_claim_is_refused_in_one_line(six_seeds, change, message):
    with pytest.raises(UserError) as caught:
        ask(six_seeds, **{**BETTER, **change})
    assert message in str(caught.value)
    assert "claim 1" in str(caught.value)
    assert "study.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_source_is_refused(tmp_path):
    study = make_study(tmp_path, {"norm": NORMS}, 1, accuracy, claims=[{"says": "It holds.", **BETTER}])
    with pytest.raises(UserError, match="'source' is missing"):
        parse_claims(study)


def test_metrics_cannot_be_checked_before_a_cell_is_done(tmp_path):
    found = verdict_of(tmp_path, lambda values, seed: WAITING, metric="test/rouge", **BETTER)
    assert found.kind == "undecided"


@pytest.mark.parametrize("kind", ["better", "worse", "at_least", "diverges_or_lags"])
def test_no_verdict_on_a_metric_whose_direction_is_unknown(tmp_path, kind):
    def measured(values, seed):
        return {"test/rouge": accuracy(values, seed), "test/penultimate_spread": 1.0 + seed}

    claim = {**BETTER, "kind": kind}
    with pytest.raises(UserError, match="claim 1: unknown metric 'test/rouge': it is not known which way it points"):
        verdict_of(tmp_path / "1", measured, metric="test/rouge", **claim)
    with pytest.raises(UserError, match="claim 1: metric 'test/penultimate_spread' describes and has no better side"):
        verdict_of(tmp_path / "2", measured, metric="test/penultimate_spread", **claim)


def test_equality_can_be_judged_without_a_direction(tmp_path):
    def spread(values, seed):
        return {"test/penultimate_spread": 1.0 + 0.01 * accuracy(values, seed)}

    claim = {**EQUAL, "metric": "test/penultimate_spread"}
    assert verdict_of(tmp_path, spread, **claim).kind == "confirmed"


@pytest.mark.parametrize("kind, expected", [("better", "confirmed"), ("worse", "refuted")])
def test_a_smaller_calibration_error_is_better(tmp_path, kind, expected):
    def error(values, seed):
        return {"test/ece": 0.5 * (1 - accuracy(values, seed))}

    found = verdict_of(tmp_path, error, metric="test/ece", **{**BETTER, "kind": kind})
    assert found.kind == expected
    assert found.effect.mean < 0
    assert "points" in found.sentence


@pytest.mark.parametrize("kind, truth", [("better", 0.0), ("at_least", -0.01), ("equal", 0.01), ("worse", 0.0)])
def test_on_the_border_of_a_claim_verdicts_are_wrong_as_rarely_as_promised(kind, truth):
    """Where the true difference is the border itself, each verdict is an error: 2.5 % a side."""
    rng = np.random.default_rng(8)
    margin = abs(truth)
    region = KINDS[kind].region(margin)
    found = [verdict_by_interval(region, rng.normal(truth, 0.004, 5).tolist(), 1) for _ in range(2000)]
    assert found.count("confirmed") / 2000 <= 0.035
    assert 0.015 <= found.count("refuted") / 2000 <= 0.035


def test_a_true_claim_is_confirmed_more_often_with_more_seeds():
    rng = np.random.default_rng(9)
    region = KINDS["equal"].region(0.01)
    shares = []
    for seeds in (3, 5, 8):
        found = [verdict_by_interval(region, rng.normal(0.0, 0.004, seeds).tolist(), 1) for _ in range(500)]
        shares.append(found.count("confirmed") / 500)
    assert shares == sorted(shares)
    assert shares[-1] > 0.95


@pytest.mark.parametrize(("count", "text"), [(1, "1 seed"), (2, "2 seeds"), (0, "0 seeds"), (1.5, "1.5 seeds")])
def test_amounts_are_singular_or_plural(count, text):
    assert _amount(count, "seed") == text
