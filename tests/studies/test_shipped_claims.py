"""The studies that come with the package: every scale plans, every claim is readable and can be answered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic_study import DIVERGED, make_study

from normlab.studies.claims import judge, parse_claims, read_claims
from normlab.studies.plan import StudyFile, find_study, make_plan, shipped_studies

STUDIES = list(shipped_studies())
RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.mark.parametrize("name", STUDIES)
def test_every_scale_plans_and_its_claims_name_its_cells(name):
    file = StudyFile.from_yaml(find_study(name))
    assert set(file.scales) >= {"smoke", "demo", "full"}
    for scale in file.scales:
        plan = make_plan(name, scale=scale)
        assert len(read_claims(plan.file.claims, plan.axes, name)) == len(plan.file.claims) > 0


@pytest.mark.parametrize("name", STUDIES)
def test_the_header_gives_the_command_and_where_numbers_stand_if_there_are_any(name):
    header = find_study(name).read_text(encoding="utf-8").split("\n\n")[0]
    verb = "tune" if StudyFile.from_yaml(find_study(name)).search else "study run"
    assert f"normlab {verb} {name}" in header
    measured = any(f"normlab study run {name}" in page.read_text(encoding="utf-8") for page in RESULTS.glob("*.md"))
    assert "docs/results" in header or not measured


@pytest.mark.parametrize("name", STUDIES)
def test_sources_are_for_readers(name):
    claims = StudyFile.from_yaml(find_study(name)).claims
    assert claims
    for claim in claims:
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
    assert {says: kind for says, kind in verdicts.items() if kind != "confirmed"} == {}


def test_a_world_in_which_small_batches_spoil_batch_norms_statistics_is_answered(tmp_path):
    means = {("batch", 8): 0.87, ("batch", 128): 0.9, ("group", 8): 0.89, ("group", 128): 0.89}

    def outcome(values, seed):
        place = list(means).index((values["norm"], values["batch_size"]))
        jitter = 0.002 * seed + 1e-4 * ((seed + 1) * (place + 2) % 17)
        precise = {"test/accuracy_precise": 0.9 + jitter} if values["norm"] == "batch" else {}
        return {"test/accuracy": list(means.values())[place] + jitter, **precise}

    plan = make_plan("batch_size")
    study = make_study(tmp_path, plan.axes, 3, outcome, claims=plan.file.claims)
    kinds = [judge(study, claim).kind for claim in parse_claims(study)]
    assert kinds == ["confirmed", "refuted", *["confirmed"] * 7]


SQL_STUDIES = {"sql_models": {"smoke", "demo", "full", "unseen"}, "sql_ablation": {"smoke", "demo", "full", "course"}}


@pytest.mark.parametrize(
    ("name", "scale"), [(name, scale) for name, scales in SQL_STUDIES.items() for scale in sorted(scales)]
)
def test_every_scale_of_the_sql_studies_plans_variants_that_differ(name, scale):
    plan = make_plan(name, scale=scale, seeds=1)
    assert set(plan.file.scales) == SQL_STUDIES[name]
    assert len({cell.hash for cell in plan.cells}) == len(plan.cells) > 1
    assert len(read_claims(plan.file.claims, plan.axes, name)) == len(plan.file.claims) > 0


@pytest.mark.parametrize("name", [*SQL_STUDIES, "sql_grid"])
def test_the_header_of_an_sql_study_gives_its_command_and_sources_are_for_readers(name):
    header = find_study(name).read_text(encoding="utf-8").split("\n\n")[0]
    assert f"normlab {'tune' if name == 'sql_grid' else 'study run'} {name}" in header
    assert "docs/results" in header
    claims = StudyFile.from_yaml(find_study(name)).claims
    assert claims
    for claim in claims:
        assert not re.search(r"[0-9a-f]{12}", claim["source"])
        assert "%" not in claim["says"]


def test_the_ablation_switches_one_part_at_a_time():
    cells = {cell.values["variant"]: cell.config.model_dump() for cell in make_plan("sql_ablation", seeds=1).cells}
    whole = cells.pop("all parts")
    changes = {name: {key for key in whole if config[key] != whole[key]} for name, config in cells.items()}
    assert {len(keys) for keys in changes.values()} == {1}
    switched = {key for keys in changes.values() for key in keys}
    parts = "model attention layer_norm linking relation_layers mask_training shuffle_tables drop_table label_smoothing"
    assert switched == set(parts.split())


@pytest.mark.parametrize("scale", ["smoke", "demo", "full"])
def test_the_sql_search_gives_every_model_the_same_trials(scale):
    plan = make_plan("sql_grid", scale=scale)
    assert plan.search is not None
    trials = {}
    for cell in plan.cells:
        settings = {key: value for key, value in cell.values.items() if key != "model"}
        trials.setdefault(cell.values["model"], []).append(settings)
    assert len(trials) >= 2
    assert trials["lstm"]
    assert all(settings == trials["lstm"] for settings in trials.values())
    assert len(read_claims(plan.file.claims, plan.axes, "sql_grid")) == len(plan.file.claims) > 0


@pytest.mark.parametrize("name", SQL_STUDIES)
def test_a_world_in_which_every_part_helps_confirms_the_sql_claims(tmp_path, name):
    plan = make_plan(name)

    def outcome(values, seed):
        place = plan.axes["variant"].index(values["variant"])
        best = "all parts" if "all parts" in plan.axes["variant"] else plan.axes["variant"][-1]
        share = 0.6 if values["variant"] in (best, "layer norm in the decoder") else 0.3 + 0.02 * place
        jitter = 0.002 * seed + 1e-4 * ((seed + 1) * (place + 2) % 17)
        return {"test/exact_match": share + jitter, "test/execution_sound": share + jitter}

    study = make_study(tmp_path, plan.axes, 3, outcome, claims=plan.file.claims)
    verdicts = {claim.says: judge(study, claim).kind for claim in parse_claims(study)}
    assert {says: kind for says, kind in verdicts.items() if kind != "confirmed"} == {}
