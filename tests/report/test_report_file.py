from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zlib
from html import unescape
from pathlib import Path

import pytest
from synthetic import NORMS, make_run, make_study

from normlab.errors import UserError
from normlab.report import build_report
from normlab.report.build import figure_script, render
from normlab.report.sections import GENERAL, SEARCH, SECTIONS, sections_of
from normlab.report.view import StudyView
from normlab.studies.claims import judge, parse_claims
from normlab.studies.study import Study


def headings(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


def written_figures(html: str) -> list[str]:
    """Return the JSON of every figure, inflated where it was packed."""
    scripts = re.findall(r'<script type="application/json"( data-packed)?>(.*?)</script>', html, flags=re.DOTALL)
    return [zlib.decompress(base64.b64decode(text)).decode() if packed else text for packed, text in scripts]


def test_report_of_a_study_has_every_section_of_the_image_task(seven: Study, tmp_path: Path) -> None:
    html = build_report([seven.path], tmp_path / "report.html").read_text(encoding="utf-8")
    expected = {"Summary", "Unfinished runs", "Results on the three splits", "Beside published results"}
    expected |= {"Error curves", "Evolution of the feature distribution", "Confusion matrices"}
    expected |= {"Time and memory", "Configuration", "Environment"}
    assert expected <= set(headings(html))


def test_report_names_nothing_outside_the_file(seven: Study) -> None:
    html = render([StudyView.read(seven)])
    page = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)  # plotly's own text names web pages
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", page)
    assert "default-src 'none'" in unescape(page)


def test_import_of_report_brings_neither_torch_nor_the_engine() -> None:
    forbidden = ["torch", "normlab.engine", "normlab.tasks.image"]
    code = f"import sys, normlab.report; print([name for name in {forbidden} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_report_itself_imports_no_task() -> None:
    files = (Path(__file__).parents[2] / "src" / "normlab" / "report").rglob("*.py")
    forbidden = re.compile(r"^\s*(from|import) (torch|normlab\.(tasks|engine|apps))", re.MULTILINE)
    assert [path.name for path in files if forbidden.search(path.read_text(encoding="utf-8"))] == []


def test_title_that_holds_a_script_is_escaped(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["batch"]}, title="<script>alert('title')</script>")
    html = render([StudyView.read(study)])
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_text_in_a_figure_cannot_close_its_script_element(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["</script><b>"]})
    blocks = [block for section in sections_of(StudyView.read(study)) for block in section.blocks]
    figures = [block for block in blocks if block.kind == "figure"]
    assert figures
    assert not any("<" in figure_script(figure)[1:].removesuffix("</script>") for figure in figures)


@pytest.mark.parametrize("state", ["waiting", "running", "interrupted", "failed", "diverged"])
def test_study_without_a_finished_cell_renders_and_shows_the_state(state: str, tmp_path: Path) -> None:
    states = {f"norm-{norm}_seed-0": state for norm in NORMS}
    study = make_study(tmp_path, states=states)
    html = render([StudyView.read(study)])
    shown = "interrupted" if state == "running" else state  # no process holds the lock: its writer is gone
    assert f"<span>{shown}</span>" in html
    assert "No run has finished yet" in html


def test_failed_cell_shows_its_error_and_diverged_cell_its_step(seven: Study) -> None:
    html = render([StudyView.read(seven)])
    assert "OSError: the disk is full" in html
    assert "diverged at step 640" in html


def test_single_run_folder_renders_with_curves_confusion_and_percentiles(tmp_path: Path) -> None:
    make_run(tmp_path / "run", {"norm": "group"})
    html = build_report([tmp_path / "run"], tmp_path / "report.html").read_text(encoding="utf-8")
    assert {"Error curves", "Confusion matrices", "Evolution of the feature distribution"} <= set(headings(html))


def test_run_without_a_metric_yet_renders(tmp_path: Path) -> None:
    make_run(tmp_path / "run", {"norm": "group"}, state="running")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    assert "Unfinished runs" in headings(build_report([tmp_path / "run"], tmp_path / "r.html").read_text())


def test_task_without_own_sections_gets_the_general_ones(tmp_path: Path) -> None:
    make_run(tmp_path / "run", {"norm": "group"}, task="counting")
    html = build_report([tmp_path / "run"], tmp_path / "report.html").read_text(encoding="utf-8")
    assert {"Summary", "Results", "Curves", "Configuration", "Environment"} <= set(headings(html))
    assert "Test accuracy %" in html


CLAIM = {
    "says": "Batch norm beats none.",
    "kind": "better",
    "a": {"norm": "batch"},
    "b": {"norm": "none"},
    "source": "a paper",
}


def test_claim_stands_with_its_verdict_and_source(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["batch", "none"]}, seeds=4, claims=[CLAIM])
    html = render([StudyView.read(study)])
    verdict = judge(study, parse_claims(study)[0]).kind
    assert f'<span class="verdict {verdict}">' in html
    assert "Batch norm beats none." in html
    assert "Claimed by: a paper" in html


def test_wrong_claim_is_named_and_the_rest_of_the_report_stands(tmp_path: Path) -> None:
    claims = [{**CLAIM, "metric": "test/acuracy"}]
    html = render([StudyView.read(make_study(tmp_path, claims=claims))])
    assert "unknown metric &#39;test/acuracy&#39;" in html
    assert "Error curves" in headings(html)


def test_every_listed_section_exists() -> None:
    modules = Path(__file__).parents[2] / "src" / "normlab" / "report" / "sections"
    listed = {name for names in [GENERAL, SEARCH, *SECTIONS.values()] for name in names}
    present = {f"{path.parent.name}.{path.stem}" for path in modules.glob("*/*.py") if path.stem != "__init__"}
    assert present - listed == {"shared.side_by_side"}, "which is for two studies"
    assert listed <= present


def test_ids_of_two_studies_in_one_file_do_not_meet(seven: Study, batch_sizes: Study) -> None:
    html = render([StudyView.read(seven), StudyView.read(batch_sizes)])
    page = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_curve_with_nan_is_written_as_valid_json(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", {"norm": "none"}, state="diverged")
    with (folder.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"epoch": 3, "val/loss": NaN, "val/accuracy": Infinity, "features/p99": NaN}\n')
    html = build_report([folder.path], tmp_path / "report.html").read_text(encoding="utf-8")
    figures = written_figures(html)
    assert figures
    for text in figures:
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in a figure"))


def test_smoke_report_says_that_it_is_a_check_and_no_result(tmp_path: Path) -> None:
    for scale, said in (("smoke", 2), ("demo", 0)):
        study = make_study(tmp_path / scale, axes={"norm": ["batch", "group"]}, scale=scale)
        html = render([StudyView.read(study)]).lower()
        assert html.count("a check, not a result") == said


def test_path_without_run_or_study_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a study"):
        build_report([tmp_path], tmp_path / "report.html")
    with pytest.raises(UserError, match="no such folder"):
        build_report([tmp_path / "absent"], tmp_path / "report.html")


def test_report_of_35_cells_and_100_epochs_is_light_enough_to_mail(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", seeds=5, epochs=100)
    out = build_report([study.path], tmp_path / "report.html")
    assert out.stat().st_size < 8_000_000


def test_large_figures_are_packed_and_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = [StudyView.read(make_study(tmp_path / "study", seeds=2, epochs=100))]
    packed = render(views)
    monkeypatch.setattr("normlab.report.build._PACKED_FROM", 10**9)
    plain = render(views)
    assert " data-packed" in packed.split("<body>")[1]
    assert written_figures(packed) == written_figures(plain)
    assert len(packed) < len(plain)
