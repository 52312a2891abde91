"""The studies that come with the package: every scale plans, every claim is readable and can be answered."""

from __future__ import annotations

import re

import pytest
from synthetic_study import DIVERGED, make_study

from normlab.studies.claims import judge, parse_claims, read_claims
from normlab.studies.plan import StudyFile, find_study, make_plan

STUDIES = ["seven_norms", "batch_size"]
SCALES = ["smoke", "demo", "hour", "full"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", STUDIES)
def test_every_scale_plans_and_its_claims_name_its_cells(name, scale):
    plan = make_plan(name, scale=scale)
    assert set(plan.file.scales) == set(SCALES)
    assert len(read_claims(plan.file.claims, plan.axes, name)) == len(plan.file.claims) > 0


@pytest.mark.parametrize("name", STUDIES)
def test_the_header_gives_the_command_and_where_the_numbers_stand(name):
    header = find_study(name).read_text(encoding="utf-8").split("\n\n")[0]
    assert f"normlab study run {name}" in header
    assert "docs/results" in header


@pytest.mark.parametrize("name", STUDIES)
def test_sources_are_for_readers(name):
    for claim in StudyFile.from_yaml(find_study(name)).claims:
        assert not re.search(r"[0-9a-f]{12}", claim["source"])
        assert "%" not in claim["says"]


def test_a_world_in_which_batch_norm_rules_is_answered(tmp_path):
    means = {"torch_batch": 0.9, "batch": 0.9, "batch_instance": 0.9, "group": 0.88, "layer": 0.87, "instance": 0.86}

    def outcome(values, seed):
        if values["norm"] == "none":
            return DIVERGED
        jitter = 1e-4 * ((seed + 1) * (list(means).index(values["norm"]) + 2) % 7)
        return means[values["norm"]] + 0.002 * seed + jitter

    def epochs(values, seed):
        return [{"features/p99": 1.0}, {"features/p99": 1.5 + 0.1 * seed}]

    plan = make_plan("seven_norms")
    study = make_study(tmp_path, plan.axes, 3, outcome, claims=plan.file.claims, epochs=epochs)
    verdicts = {claim.says: judge(study, claim).kind for claim in parse_claims(study)}
    assert set(verdicts.values()) == {"confirmed"}


def test_a_world_in_which_small_batches_spoil_batch_norms_statistics_is_answered(tmp_path):
    means = {("batch", 8): 0.87, ("batch", 128): 0.9, ("group", 8): 0.89, ("group", 128): 0.89}

    def outcome(values, seed):
        place = list(means).index((values["norm"], values["batch_size"]))
        jitter = 0.002 * seed + 1e-4 * ((seed + 1) * (place + 2) % 7)
        precise = {"test/accuracy_precise": 0.9 + jitter} if values["norm"] == "batch" else {}
        return {"test/accuracy": list(means.values())[place] + jitter, **precise}

    plan = make_plan("batch_size")
    study = make_study(tmp_path, plan.axes, 3, outcome, claims=plan.file.claims)
    kinds = [judge(study, claim).kind for claim in parse_claims(study)]
    assert kinds == ["confirmed", "refuted", *["confirmed"] * 7]
