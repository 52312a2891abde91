"""The overview figure, and what sections offer to others."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import chain
from pathlib import Path

import pytest
from synthetic import make_study

from normlab.report.sections import registry, sections_of
from normlab.report.sections.image.published import published_rows
from normlab.report.sections.shared.overview import section as overview
from normlab.report.view import StudyView
from normlab.studies.study import Study


def test_dots_and_error_curves_come_before_claims_and_published_results() -> None:
    assert set(registry.SECTIONS) == {"image", "ner", "text2sql"}
    for task, names in registry.SECTIONS.items():
        curves = next(name for name in names if "curves" in name)
        late = [names.index(name) for name in names if name == "shared.claims" or name.endswith(".published")]
        assert late, task
        assert max(names.index("shared.overview"), names.index(curves)) < min(late), task


@pytest.mark.parametrize("name", sorted({*registry.GENERAL, *registry.SEARCH, *chain(*registry.SECTIONS.values())}))
def test_every_listed_section_has_a_module_with_its_function(name: str) -> None:
    assert callable(import_module(f"normlab.report.sections.{name}").section)


def test_no_section_imports_a_section_of_another_folder_but_shared() -> None:
    folder = Path(registry.__file__).parent
    imports = re.compile(r"from normlab\.report\.sections\.(\w+)[. ]")
    seen = {
        (path.parent.name, target) for path in folder.glob("*/*.py") for target in imports.findall(path.read_text())
    }
    assert ("shared", "registry") in seen
    assert {(own, target) for own, target in seen if target not in {own, "shared", "registry"}} == set()


def test_overview_draws_each_variants_mean_with_its_interval(seven: Study) -> None:
    view = StudyView.read(seven)
    found = overview(view)
    assert found is not None
    (block,) = found.blocks
    ours = {trace.y[0]: trace for trace in block.figure.data if trace.legendgroup == "ours"}
    assert set(ours) == {variant.label for variant in view.variants}
    group = next(variant for variant in view.variants if variant.norm == "group")
    interval = group.interval("test/accuracy")
    assert ours["Group norm"].x[0] == pytest.approx(100 * interval.mean)
    assert ours["Group norm"].error_x.array[0] == pytest.approx(100 * (interval.high - interval.mean))


def test_overview_has_the_published_results_as_rings_and_no_other_section_draws_them(seven: Study) -> None:
    view = StudyView.read(seven)
    rings = [trace for trace in overview(view).blocks[0].figure.data if trace.legendgroup == "published"]
    expected = {variant.label: len(published_rows(variant, "test")) for variant in view.variants}
    assert {trace.y[0]: len(trace.x) for trace in rings} == {label: n for label, n in expected.items() if n}
    others = [block for each in sections_of(view) if each.slug == "published" for block in each.blocks]
    assert others
    assert not [block for block in others if block.kind == "figure"]


def test_overview_of_other_data_has_no_rings(seven: Study) -> None:
    view = StudyView.read(seven)
    for cell in view.cells:
        cell.card["data"] = "digits"
    figure = overview(view).blocks[0].figure
    assert {trace.legendgroup for trace in figure.data} == {"ours"}


def test_overview_of_a_metric_that_is_no_share_is_not_in_percent(tmp_path: Path) -> None:
    view = StudyView.read(make_study(tmp_path, axes={"norm": ["batch", "group"]}, seeds=3))
    for cell in view.cells:
        cell.result["headline"] = "test/loss"
    figure = overview(view).blocks[0].figure
    group = next(variant for variant in view.variants if variant.norm == "group")
    dot = next(trace for trace in figure.data if trace.y[0] == "Group norm")
    assert dot.x[0] == pytest.approx(group.interval("test/loss").mean)
    assert "%" not in figure.layout.xaxis.title.text


def test_one_run_alone_has_no_overview(tmp_path: Path) -> None:
    view = StudyView.read(make_study(tmp_path, axes={"norm": ["group"]}, published=[]))
    assert overview(view) is None


def test_summary_collects_what_the_sections_of_the_study_offer(seven: Study) -> None:
    summary = next(each for each in sections_of(StudyView.read(seven)) if each.slug == "summary")
    lines = [line for block in summary.blocks if block.kind == "bullets" for line in block.items]
    assert any(line.startswith("Batch norm (own) against Batch norm (torch): ") for line in lines)
