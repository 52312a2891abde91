"""Whatever stands in a study's file or after --axis: a plan, or one line with the file, the key and a fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from normlab.cli import main
from normlab.errors import UserError
from normlab.nn.resnet import STAGE_CHANNELS
from normlab.studies.axes import MOST_CELLS
from normlab.studies.plan import make_plan
from normlab.studies.runner import refuse_wrong_claims
from normlab.tasks.image.config import FILTERS

GOOD: dict[str, Any] = {
    "title": "A study",
    "question": "Which?",
    "task": "image",
    "base": {"epochs": 1},
    "axes": {"norm": ["batch", "group"], "lr": [0.1, 0.2]},
    "variants": {"small": {"n": 1}, "large": {"n": 3}},
    "seeds": 2,
    "scales": {"smoke": {"preset": "smoke", "seeds": 1, "base": {"lr_gamma": 0.5}, "axes": {}}},
    "published": ["image"],
    "claims": [{"says": "x", "kind": "better", "a": {"norm": "batch"}, "b": {"norm": "group"}, "source": "me"}],
}


def told(tmp_path: Path, study: Any, **asked: Any) -> str:
    """Return what is said about a study that must not be planned."""
    path = tmp_path / "mine.yaml"
    path.write_text(study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False))
    with pytest.raises(UserError) as caught:
        refuse_wrong_claims(make_plan(path, scale="smoke", **asked), path)
    return str(caught.value)


def changed(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {"norm": []}}, "axes: norm: no values"),
        ({"axes": {"norm": None}}, "axes.norm: input should be a valid list, got None"),
        ({"axes": {"norm": "batch"}}, "axes.norm: input should be a valid list, got 'batch'"),
        ({"axes": None}, "axes: input should be a valid dictionary, got None"),
        ({"axes": {}, "variants": {}}, "nothing to compare"),
        ({"axes": {"norm": [{"name": "batch"}]}}, "axes: norm: {'name': 'batch'} is no plain value"),
        ({"axes": {"norm": [["batch", {"a": 1}]]}}, "is no plain value"),
        ({"axes": {"norm": [["batch", "group"]]}}, "norm: input should be a valid string"),
        ({"axes": {"norm": [None]}}, "norm: input should be a valid string, got None"),
        ({"axes": {"norm": ["batch", "batch"]}}, "twice"),
        ({"axes": {"lr": [0.1, 1e-1]}}, "twice"),
        ({"axes": {"seed": [1, 2]}}, "axes: seed: the seeds of a study are 0, 1, 2"),
        ({"axes": {"trial": [1, 2]}}, "axes: trial: the name of a search's trials"),
        ({"axes": {"variant": [["small"]]}}, "unknown variant ['small']"),
        ({"axes": {"variant": ["smal"]}}, "did you mean 'small'"),
        ({"axes": {"variant": ["small"]}, "variants": {}}, "the study has no variants"),
        ({"axes": {1: [2]}}, "axes"),
        ({"axes": {"data": ["x" * 300]}}, "is longer than 200 bytes"),
        ({"axes": {"data": ["a\nb"]}}, "characters that no folder's name should have"),
        ({"axes": {"lr": list(range(1, 9000))}}, "more than 10,000 cells: compare fewer"),
        ({"seeds": 10**9, "scales": {}}, "more than 10,000 cells"),
        ({"seeds": 10**400, "scales": {}}, "a number of 1329 bits seeds are more than"),
        ({"seeds": 0}, "seeds: input should be greater than or equal to 1, got 0"),
        ({"base": {"seed": 3}}, "base: seed: the seeds of a study are 0, 1, 2"),
        ({"base": {"epochs": [1]}}, "epochs: input should be a valid integer, got [1]"),
        ({"base": [1]}, "base: input should be a valid dictionary, got [1]"),
        ({"variants": {"a": None}}, "variants.a: input should be a valid dictionary, got None"),
        ({"variants": {"a": {"seed": 1}}}, "variants: a: seed: the seeds"),
        ({"variants": {"a": {"n": "deep"}}}, "n: input should be a valid integer"),
        ({"scales": {"smoke": None}}, "scales.smoke: input should be a valid dictionary"),
        ({"scales": {"smoke": {"preset": "tiny"}}}, "unknown preset 'tiny'"),
        ({"scales": {"smoke": {"base": {"seed": 1}}}}, "scales: smoke: base: seed"),
        ({"scales": {"demo": {}}}, "unknown scale 'smoke'"),
        ({"task": "imagine"}, "task: unknown task 'imagine'"),
        ({"task": ["image"]}, "task: input should be a valid string"),
        ({"published": ["images"]}, "published: unknown table 'images': did you mean 'image'"),
        ({"claims": ["better"]}, "claims.0: input should be a valid dictionary"),
        ({"claims": [{"says": "x"}]}, "claim 1: key 'kind' is missing"),
        ({"claims": [{**GOOD["claims"][0], "a": {"norm": ["a\nb", "batch"]}}]}, "claim 1: a: no cell has norm"),
        ({"claims": [{**GOOD["claims"][0], "a": {"norm": {"batch": 1}}}]}, "claim 1: a: no cell has norm"),
        ({"search": {"objective": "val/accuracy", "grid": {"lr": {}}}}, "search"),
        ({"search": {"objective": "val/accuracy", "space": {"lr": [1]}}}, "search: lr: expected"),
    ],
)
def test_an_odd_study_is_one_line_with_its_file_and_key(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    line = told(tmp_path, changed(**changes))
    assert line.startswith(str(tmp_path / "mine.yaml"))
    assert message in line
    assert line.isprintable()
    assert len(line) < 600


def test_a_search_of_too_many_trials_is_refused_before_they_are_made(tmp_path: Path) -> None:
    search = {"objective": "val/accuracy", "space": {"momentum": {"low": 0, "high": 0.9}}, "trials": 10**9}
    line = told(tmp_path, changed(seeds=1, search=search, claims=[]))
    assert "1,000,000,000 trials of each scheme are more than 10,000" in line


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"norm": [["batch"]]}, "norm: input should be a valid string"),
        ({"norm": [{"batch": 1}]}, "--axis norm: {'batch': 1} is no plain value"),
        ({"seed": [1]}, "--axis seed: the seeds of a study"),
        ({"groups": [3]}, "groups: must divide the 16 channels of the first stage: 1, 2, 4, 8, 16, got 3"),
        ({"channels_per_group": [32]}, "channels_per_group: must divide the 16 channels"),
        ({"groups": [4], "channels_per_group": [4]}, "channels_per_group: groups are given too"),
    ],
)
def test_an_odd_axis_of_the_command_line_is_refused_at_planning(
    axes: dict[str, list[Any]], message: str, tmp_path: Path
) -> None:
    study = changed(claims=[], axes={"norm": ["group"]})
    assert message in told(tmp_path, study, axes=axes)


def test_groups_are_counted_where_a_scheme_has_them(tmp_path: Path) -> None:
    """The other schemes ignore the setting, so that one base serves all of them."""
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed(base={"groups": 3}, axes={"norm": ["batch"]})))
    assert make_plan(tmp_path / "mine.yaml", scale="smoke").cells
    assert STAGE_CHANNELS == (FILTERS, 2 * FILTERS, 4 * FILTERS)


def test_a_list_is_a_value_where_the_setting_takes_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump(changed(axes={"lr_milestones": [[0.5], [0.5, 0.75]]}, variants={}, claims=[]))
    )
    assert [cell.config.lr_milestones for cell in make_plan(tmp_path / "mine.yaml", scale="smoke").cells] == [
        (0.5,),
        (0.5, 0.75),
    ]


def test_no_seeds_is_a_mistake_and_not_the_default(tmp_path: Path) -> None:
    assert "--seeds 0: a study has at least 1" in told(tmp_path, GOOD, seeds=0)


def test_a_plan_names_the_claim_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim = {**GOOD["claims"][0], "a": {"norm": "btch"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed(claims=[claim])))
    assert main(["study", "plan", str(tmp_path / "mine.yaml"), "--scale", "smoke"]) == 2
    line = capsys.readouterr().err
    assert "mine.yaml: claim 1: a: no cell has norm 'btch': did you mean 'batch'" in line
    assert line.count("\n") == 1


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["batch", "smoke"])
)
ODD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["norm", "lr", "seed", "preset", "a", "variant"]) | SCALARS, inner, max_size=4
        )
    ),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in a study, so that each can be replaced."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in places(child, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {key: replaced(child, path[1:], new) if key == path[0] else child for key, child in value.items()}
    return [replaced(child, path[1:], new) if index == path[0] else child for index, child in enumerate(value)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(places(GOOD)), ODD)
def test_any_study_is_a_plan_or_one_line(tmp_path: Path, path: tuple[Any, ...], new: Any) -> None:
    source = tmp_path / "mine.yaml"
    source.write_text(yaml.safe_dump(replaced(GOOD, path, new), sort_keys=False), encoding="utf-8")
    plan, line = None, str(source)
    try:
        plan = make_plan(source, scale="smoke")
        refuse_wrong_claims(plan, source)
    except UserError as error:
        line = str(error)
    assert line.isprintable()
    assert str(source) in line
    if plan is not None:
        assert 0 < len(plan.cells) <= MOST_CELLS
        assert all(cell.name == Path(cell.name).name for cell in plan.cells)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["norm", "lr", "seed", "n"]) | st.text(max_size=5), st.lists(ODD, max_size=3)))
def test_any_axis_of_the_command_line_is_a_plan_or_one_line(axes: dict[str, list[Any]]) -> None:
    line = ""
    try:
        assert make_plan("seven_norms", scale="smoke", axes=axes).cells
    except UserError as error:
        line = str(error)
    assert line.isprintable()
