"""The documentation that is generated is up to date, and no page leads nowhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.cli import _parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize(
    "script", ["norm_pages.py", "performance_page.py", "claim_kinds.py", "result_tables.py", "licences.py"]
)
def test_the_generated_pages_follow_their_sources(script: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_page_of_another_machine_holds_its_own_record_only(tmp_path: Path) -> None:
    record = json.loads((ROOT / "docs" / "performance" / "zen4.json").read_text())
    record["command"], record["remark"] = "normlab bench sql", ""
    record["benches"] = {"sql": record["benches"]["sql"]}
    given, page = tmp_path / "record.json", tmp_path / "page.md"
    given.write_text(json.dumps(record))
    subprocess.run([sys.executable, ROOT / "tools" / "performance_page.py", given, page], check=True)
    headings = re.findall(r"^## (.+)", page.read_text(), re.MULTILINE)
    assert headings == ["Goals", "sql"]
    assert "Command: `normlab bench sql`." in page.read_text()
    published = (ROOT / "docs" / "performance.md").read_text()
    headings = set(re.findall(r"^## (.+)", published, re.MULTILINE))
    records = [json.loads(path.read_text()) for path in (ROOT / "docs" / "performance").glob("*.json")]
    assert {f"{record['processor']}, {record['date']}" for record in records} < headings
    assert records


def test_evidence_names_diverged_runs_and_keeps_shares_between_0_and_100(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "norm_pages.py", tmp_path / "tools")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    wide = {"mean": 0.58, "low": -0.06, "high": 1.22, "n": 2}
    rows = [
        {"values": {"norm": "none"}, "label": "some", "diverged": 1, "metrics": {"test/accuracy": wide}},
        {"values": {"norm": "none"}, "label": "all", "diverged": 3, "metrics": {"test/accuracy": None}},
    ]
    (tmp_path / "docs" / "results" / "s.json").write_text(json.dumps({"title": "S", "rows": rows}))
    subprocess.run([sys.executable, tmp_path / "tools" / "norm_pages.py"], check=True)
    page = (tmp_path / "docs" / "norms" / "none.md").read_text()
    assert "| [S](../results/s.md) | some | 58.00 % [0.00, 100.00] (n = 2, 1 diverged) |" in page
    assert "| [S](../results/s.md) | all | 3 diverged |" in page


def test_the_pages_hold_links_and_commands() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum(len(re.findall(r"\]\((?!http|#)([^)#]+)", text)) for text in texts) > 20
    assert sum(len(re.findall(r"^normlab ", text, re.MULTILINE)) for text in texts) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def walks() -> dict[str, list[str]]:
    """Return question -> files of the walks in architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("### Walks")[2].partition("\n## ")[0]
    parts = re.split(r"^\*\*(.+?)\*\*$", section, flags=re.MULTILINE)[1:]
    return {
        question: re.findall(r"^\d\. `([^`]+)`: ", steps, re.MULTILINE)
        for question, steps in zip(parts[::2], parts[1::2], strict=True)
    }


def test_each_walk_through_the_code_names_at_most_six_files_that_exist() -> None:
    assert len(walks()) == 4
    for question, files in walks().items():
        assert 3 <= len(files) <= 6, question
        for file in files:
            assert (ROOT / "src" / "normlab" / file).is_file(), f"{question}: {file}"


def test_each_place_in_the_glossary_exists() -> None:
    rows = re.findall(r"^\| .* \| (.+) \|$", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    places = [place for row in rows for place in re.findall(r"`([^`]+)`", row)]
    assert len(places) > 40
    for place in places:
        assert list((ROOT / "src" / "normlab").glob(place)), place


@pytest.mark.parametrize("lesson", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_a_lesson_runs(lesson: Path) -> None:
    done = subprocess.run([sys.executable, lesson], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name)
def test_commands_in_the_pages_are_understood_by_the_parser(page: Path) -> None:
    """The README's are run in `test_readme`."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("normlab "):
                words = [word for word in shlex.split(line, comments=True) if word != "&"][1:]
                assert _parser(words).parse_args(words).run, line
