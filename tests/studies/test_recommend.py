"""Recommendations: published results, and how the user's own studies replace them."""

from __future__ import annotations

import pytest
from synthetic_study import DIVERGED, make_study

from normlab.errors import UserError
from normlab.studies.recommend import recommend

NOISE = [0.004, -0.003, 0.001, -0.002]


def study_of(path, means, batch_sizes=(8, 128)):
    def outcome(values, seed):
        mean = means[values["norm"]]
        return mean if mean == DIVERGED else mean + NOISE[seed] + 1e-4 * seed * (values["norm"] == "group")

    return make_study(path, {"norm": list(means), "batch_size": list(batch_sizes)}, 4, outcome)


@pytest.mark.parametrize("batch_size, scheme", [(1, "group"), (4, "group"), (8, "batch"), (128, "batch")])
def test_print_decides_without_studies(batch_size, scheme):
    found = recommend(batch_size=batch_size)
    assert found.scheme == scheme
    assert found.reasons
    assert any("published results only" in limit for limit in found.limits)


def test_a_contested_batch_size_says_so():
    assert any("contradict" in limit for limit in recommend(batch_size=8).limits)
    assert not any("contradict" in limit for limit in recommend(batch_size=64).limits)


def test_little_memory_means_a_smaller_batch():
    found = recommend(batch_size=128, memory_gib=0.005)
    assert found.scheme == "group"
    assert "not 128" in found.reasons[0]
    assert recommend(batch_size=128, memory_gib=16).scheme == "batch"


def test_lstm_tasks_get_layer_norm():
    assert recommend(batch_size=128, task="ner").scheme == "layer"


def test_a_study_that_separates_schemes_replaces_published_results(tmp_path):
    found = recommend(batch_size=128, evidence=[study_of(tmp_path, {"batch": 0.85, "group": 0.90})])
    assert found.scheme == "group"
    assert any("group" in reason and "is better than batch" in reason for reason in found.reasons)
    assert not any("published results only" in limit for limit in found.limits)


def test_limits_are_those_of_the_scheme_that_is_recommended_in_the_end(tmp_path):
    better = {"batch": 0.90, "group": 0.85}
    found = recommend(batch_size=4, device="cuda", evidence=[study_of(tmp_path / "a", better, (4, 128))])
    assert found.scheme == "batch"
    assert not any("groups must divide" in limit for limit in found.limits)
    assert any("running averages" in limit for limit in found.limits)
    assert any("count the images per GPU" in limit for limit in found.limits)
    worse = {"batch": 0.85, "group": 0.90}
    found = recommend(batch_size=128, device="cuda", evidence=[study_of(tmp_path / "b", worse)])
    assert any("groups must divide" in limit for limit in found.limits)
    assert not any("running averages" in limit or "per GPU" in limit for limit in found.limits)


def test_a_study_of_other_data_is_ignored(tmp_path):
    study = study_of(tmp_path, {"batch": 0.85, "group": 0.90})
    for path in study.path.glob("cells/*/config.yaml"):
        path.write_text(path.read_text().replace("data: ''", "data: /disk/cifar10/"))
    for same in (None, "cifar10", "/elsewhere/cifar10"):
        assert recommend(batch_size=128, data=same, evidence=[study]).scheme == "group"
    found = recommend(batch_size=128, data="svhn", evidence=[study])
    assert found.scheme == "batch"
    assert any("was trained on cifar10, not on svhn: it is ignored" in limit for limit in found.limits)


def test_a_study_that_does_not_leaves_it(tmp_path):
    found = recommend(batch_size=128, evidence=[study_of(tmp_path, {"batch": 0.90, "group": 0.90, "none": 0.7})])
    assert found.scheme == "batch"
    assert any("lost to none of 2 schemes" in reason for reason in found.reasons)


def test_divergence_of_the_published_choice_replaces_it(tmp_path):
    assert recommend(batch_size=128, evidence=[study_of(tmp_path, {"batch": DIVERGED, "group": 0.9})]).scheme == "group"


def test_a_study_of_another_batch_size_says_nothing(tmp_path):
    study = study_of(tmp_path, {"batch": 0.85, "group": 0.90}, batch_sizes=(128,))
    assert recommend(batch_size=16, evidence=[study]).scheme == "batch"
    near = recommend(batch_size=100, evidence=[study])
    assert near.scheme == "group"
    assert any("nearest to 100" in limit for limit in near.limits)


def test_one_seed_is_no_evidence(tmp_path):
    study = make_study(tmp_path, {"norm": ["batch", "group"]}, 1, lambda values, seed: 0.5)
    found = recommend(batch_size=128, evidence=[study])  # the cells' configuration says 128
    assert any("fewer than two seeds" in limit for limit in found.limits)
    assert any("published results only" in limit for limit in found.limits)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"task": "imag"}, "did you mean 'image'"),
        ({"batch_size": 0}, "at least 1"),
        ({"memory_gib": -1.0}, "positive"),
        ({"device": "banana"}, "unknown device 'banana'"),
    ],
)
def test_nonsense_is_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        recommend(**{"batch_size": 8, **wrong})
