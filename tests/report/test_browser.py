"""The report as a reader meets it: in Chromium, from the disk, on a narrow and on a wide screen."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from synthetic import FORTY, add_layers, make_study

from chromium import ARGUMENTS
from normlab.report import build_report

pytestmark = pytest.mark.browser

WIDTHS = (400, 1400)
PATIENCE = 120_000  # milliseconds; a busy machine draws slowly

# The smallest text that is shown, with where it stands. Text inside a figure is SVG.
SMALLEST_TEXT = """() => {
  let smallest = [99, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(parent.tagName)) continue;
    const box = parent.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const size = parseFloat(getComputedStyle(parent).fontSize);
    if (size < smallest[0]) smallest = [size, text];
  }
  return smallest;
}"""

# Elements that reach beyond the window and do not stand in a box that scrolls.
OVERFLOWING = """() => [...document.querySelectorAll("main *")].filter((element) =>
  element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll, svg, .plot")
).map((element) => element.tagName + "." + element.className)"""

# Figures in which nothing is drawn: no line, point, filled area or heat map.
EMPTY_FIGURES = """() => [...document.querySelectorAll(".figure")].filter((figure) => {
  const plot = figure.querySelector(".js-plotly-plot");
  return !plot || !plot.querySelector("svg .trace, svg .hm image, svg .heatmaplayer image");
}).map((figure) => figure.id)"""


@dataclass
class Visit:
    """A report opened in a page, with what the page said and asked for."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS, timeout=PATIENCE)
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    states = {"norm-none_seed-1": "diverged", "norm-layer_seed-1": "failed"}
    make_study(folder / "seven", seeds=2, states=states)
    axes = {"norm": ["batch", "group"], "batch_size": [8, 128]}
    make_study(folder / "sizes", axes=axes, seeds=2, title="Two schemes at two batch sizes")
    return build_report([folder / "seven", folder / "sizes"], folder / "report.html")


@pytest.fixture(scope="module", params=WIDTHS)
def visit(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    page.set_default_timeout(PATIENCE)
    seen = Visit(page)
    page.on("console", lambda message: seen.messages.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.messages.append(str(error)))
    page.on("request", lambda asked: seen.requests.append(asked.url))
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn]")
    yield seen
    page.close()


def test_every_figure_is_drawn(visit: Visit) -> None:
    assert visit.page.locator(".figure").count() >= 10
    assert visit.page.locator(".js-plotly-plot").count() == visit.page.locator(".figure").count()
    assert visit.page.evaluate(EMPTY_FIGURES) == []


def test_no_request_leaves_the_file(visit: Visit, report: Path) -> None:
    assert [url for url in visit.requests if not url.startswith(("data:", "blob:"))] == [report.as_uri()]


def test_console_stays_silent(visit: Visit) -> None:
    assert visit.messages == []


def test_page_does_not_overflow_sideways(visit: Visit) -> None:
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(OVERFLOWING) == []


def test_no_text_is_smaller_than_eleven_pixels(visit: Visit) -> None:
    size, text = visit.page.evaluate(SMALLEST_TEXT)
    assert size >= 11, text


def test_figures_fit_their_column(visit: Visit) -> None:
    wider = """() => [...document.querySelectorAll(".plot")].filter((plot) =>
      plot.querySelector(".main-svg").getBoundingClientRect().width > plot.clientWidth + 1).length"""
    assert visit.page.evaluate(wider) == 0


WIDE = {"width": 1400, "height": 900}


def opened(browser: Any, report: Path, **options: Any) -> Any:
    """Return a new page in which the report is drawn."""
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE)
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn]")
    return page


def test_script_written_into_the_page_later_does_not_run(browser: Any, report: Path) -> None:
    page = opened(browser, report)
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "document.title = 'taken over'";
      document.body.append(script);
    }""")
    assert page.title() != "taken over"
    page.close()


def test_legend_hides_a_line_and_a_double_click_leaves_one_alone(browser: Any, report: Path) -> None:
    page = opened(browser, report, viewport=WIDE)
    shown = """() => [...new Set(document.querySelector("#s0-figure-error .plot").data
      .filter((trace) => trace.visible !== false).map((trace) => trace.legendgroup))]"""
    key = page.locator("#s0-figure-error .key", has_text="Group norm")
    key.click()
    assert "Group norm" not in page.evaluate(shown)
    assert len(page.evaluate(shown)) == 6
    key.dblclick()
    assert page.evaluate(shown) == ["Group norm"]
    page.close()


def test_table_sorts_by_a_column(browser: Any, report: Path) -> None:
    page = opened(browser, report, viewport=WIDE)
    page.locator("#s0-table-splits th", has_text="Accuracy").first.get_by_role("button").click()
    rows = page.locator("#s0-table-splits tbody tr")
    values = [float(row.locator("td").nth(1).get_attribute("data-sort")) for row in rows.all()]
    assert values == sorted(values)
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_table_wider_than_its_box_says_that_there_are_more_columns(browser: Any, report: Path, width: int) -> None:
    page = opened(browser, report, viewport={"width": width, "height": 900})
    table = page.locator("#s0-table-splits")
    hint, box = table.locator(".more-columns"), table.locator(".scroll")
    wider = box.evaluate("(box) => box.querySelector('table').offsetWidth > box.clientWidth + 4")
    assert hint.is_visible() == wider
    assert wider or width == 1400
    if wider:
        box.evaluate("(box) => { box.scrollLeft = box.scrollWidth; }")
        hint.wait_for(state="hidden")
    page.close()


def test_missing_entries_sort_last_both_ways_and_thousands_are_numbers(browser: Any, report: Path) -> None:
    page = opened(browser, report, viewport=WIDE)
    sort = page.locator("#s1-table-sample_size th", has_text="Stage 1").get_by_role("button")
    ranking = page.locator("#s0-table-rankings th", has_text="Holm p").get_by_role("button")
    entries = "(rows) => rows.map((row) => row.cells[1].textContent.trim())"
    p_values = "(rows) => rows.map((row) => row.cells[3].textContent.trim())"
    sort.click()
    assert page.locator("#s1-table-sample_size tbody tr").evaluate_all(entries) == ["8,192", "131,072"]
    sort.click()
    assert page.locator("#s1-table-sample_size tbody tr").evaluate_all(entries) == ["131,072", "8,192"]
    for _ in range(2):
        ranking.click()
        found = page.locator("#s0-table-rankings tbody tr").evaluate_all(p_values)
        assert found[-1] == "–"
        assert found[0] != "–"
    page.close()


def test_table_is_saved_as_csv_with_one_heading_and_spreads_apart(browser: Any, report: Path) -> None:
    page = opened(browser, report, viewport=WIDE)
    with page.expect_download() as download:
        page.locator("#s0-table-splits .csv").click()
    rows = list(csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 7
    group = next(row for row in rows if row["Variant"] == "Group norm")
    assert 0 < float(group["Test Accuracy %"]) < 100
    assert float(group["Test Accuracy % ±"]) > 0
    assert download.value.suggested_filename == "s0-splits.csv"
    page.close()


def test_saved_figure_is_white_and_carries_title_and_legend(browser: Any, report: Path) -> None:
    page = opened(browser, report, viewport=WIDE, color_scheme="dark")
    with page.expect_download() as download:
        page.locator("#s0-figure-error [data-save=svg]").click()
    svg = download.value.path().read_text(encoding="utf-8")
    assert "Error by epoch" in svg
    assert svg.count("Batch-instance norm") >= 1
    assert "rgb(255, 255, 255)" in svg
    page.close()


def test_figure_is_saved_as_png(browser: Any, report: Path) -> None:
    page = opened(browser, report, viewport=WIDE)
    with page.expect_download() as download:
        page.locator("#s0-figure-error [data-save=png]").click()
    assert download.value.path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert download.value.suggested_filename == "s0-figure-error.png"
    page.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report of 40 variants with long names."""
    folder = tmp_path_factory.mktemp("many")
    study = make_study(folder / "study", axes=FORTY, seeds=2, epochs=30)
    add_layers(study)
    return build_report([study.path], folder / "report.html")


# Pairs of texts of a figure that lie over one another: panel titles, and names of rows.
OVERLAPPING = """() => [...document.querySelectorAll(".plot")].flatMap((plot) => {
  const boxes = [...plot.querySelectorAll(".annotation-text-g")].map((text) => [text.getBoundingClientRect(), text]);
  return boxes.flatMap(([a, one], i) => boxes.slice(i + 1)
    .filter(([b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
    .map(([, other]) => one.textContent + " | " + other.textContent));
})"""


@pytest.mark.parametrize("width", WIDTHS)
def test_forty_variants_stay_readable(browser: Any, many: Path, width: int) -> None:
    page = opened(browser, many, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details.folded').forEach((folded) => { folded.open = true; })")
    page.wait_for_function("[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))")
    assert page.evaluate(EMPTY_FIGURES) == []
    assert page.evaluate(OVERLAPPING) == []
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate("Math.max(...[...document.querySelectorAll('.legend')].map((l) => l.children.length))") <= 10
    plot = page.locator("#s0-figure-overview .plot .plotbg, #s0-figure-overview .plot .cartesianlayer .gridlayer")
    assert plot.first.bounding_box()["width"] > 0.6 * page.locator("#s0-figure-overview .plot").bounding_box()["width"]
    page.close()


def test_row_of_a_table_leads_to_its_curves_where_it_stands_alone(browser: Any, report: Path) -> None:
    page = opened(browser, report, viewport=WIDE)
    page.locator("#s0-table-splits th", has_text="Group norm").locator("a").click()
    assert page.evaluate("location.hash") == "#s0-figure-error"
    shown = """() => [...new Set(document.querySelector("#s0-figure-error .plot").data
      .filter((trace) => trace.visible !== false).map((trace) => trace.legendgroup))]"""
    assert page.evaluate(shown) == ["Group norm"]
    page.locator("#s0-figure-error .all-lines").click()
    assert len(page.evaluate(shown)) == 7
    page.close()


def test_paper_is_white_though_the_screen_is_dark(browser: Any, report: Path) -> None:
    page = opened(browser, report, color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    paper = "document.querySelector('#s0-figure-error .plot').layout.paper_bgcolor"
    assert page.evaluate(paper) == "#ffffff"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(paper) != "#ffffff"
    page.close()


def test_dark_scheme_draws_light_text_in_figures(browser: Any, report: Path) -> None:
    page = opened(browser, report, color_scheme="dark")
    color = page.evaluate("document.querySelector('#s0-figure-error .plot').layout.font.color")
    assert int(color[1:3], 16) > 0xC0
    page.close()
