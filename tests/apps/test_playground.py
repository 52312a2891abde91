"""The playground as its user meets it: the real command, and Chromium without any network but this machine."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chromium import ARGUMENTS

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).resolve().parents[2]
STUDY = REPOSITORY / "docs" / "results" / "seven_norms_published.zip"
PATIENCE = 120_000  # milliseconds; a busy machine answers slowly
# The command, in a process that writes down each address outside of this machine that it looks up or connects to.
WATCHED = """
import sys
from normlab.cli import main

def watch(event, arguments):
    if event == "socket.getaddrinfo":
        address = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        address = arguments[1][0]
    else:
        return
    if address not in (None, "127.0.0.1", "::1", "localhost"):
        with open(sys.argv[1], "a") as file:
            file.write(f"{event} {address}\\n")

sys.addaudithook(watch)
sys.exit(main(sys.argv[2:]))
"""


@dataclass
class Server:
    """A running playground."""

    process: subprocess.Popen[str]
    address: str
    outside: Path
    ended: int | None = None


@dataclass
class Visit:
    """A page of it, with what the browser asked for and complained about."""

    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def tab(self, name: str) -> Any:
        self.page.get_by_role("tab", name=name).click()
        return self.page

    def mistake(self, tab: str) -> str:
        line = self.page.locator(f"#{tab}-message .nl-mistake")
        line.wait_for()
        return str(line.inner_text())

    def upload(self, place: str, file: Path) -> None:
        """Give a file to an upload; one that is there already is taken away first."""
        clear = self.page.locator(f"{place} button[aria-label='Clear']")
        if clear.count():
            clear.click()
        self.page.locator(f"{place} input[type=file]").set_input_files(file)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    for package in ("gradio", "playwright"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'normlab[dev]'")
    folder = tmp_path_factory.mktemp("playground")
    command = ["serve", "--port", "0", "--timeout", "2", "--max-upload", "1", str(STUDY)]
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(folder / "outside"), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("http"):
        process.kill()
        pytest.fail(f"the server did not start: {line} {process.communicate()[1]}")
    yield Server(process, line.split()[0], folder / "outside")
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS, timeout=PATIENCE)
        yield started
        started.close()


def opened(browser: Any, server: Server, width: int) -> Visit:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE)
    visit = Visit(page)

    def only_here(route: Any) -> None:
        if route.request.url.startswith((server.address, "data:", "blob:")):
            route.continue_()
        else:
            visit.outside.append(route.request.url)
            route.abort()

    page.route("**/*", only_here)
    page.on("console", lambda message: "Content Security" in message.text and visit.errors.append(message.text))
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.goto(server.address)
    page.get_by_role("tab", name="Image").wait_for()
    return visit


@pytest.fixture(scope="module")
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    visit = opened(browser, server, 1400)
    yield visit
    visit.page.close()


def test_a_sample_picture_is_answered_by_all_models_side_by_side(visit: Visit) -> None:
    page = visit.tab("Image")
    page.locator("#image-sample label", has_text="airplane").click()
    page.locator("#image-answers .nl-cards section").nth(6).wait_for()
    for card in page.locator("#image-answers section").all():
        assert re.match(r"airplane\s*(> )?9\d", card.locator(".nl-bar").first.inner_text())
    rows = {row.locator("td").first.inner_text(): row for row in page.locator("#image-company tbody tr").all()}
    assert rows["cifar10-batch"].locator(".nl-changed").count() >= 1
    assert rows["cifar10-instance"].locator(".nl-changed").count() == 0
    assert page.locator("#image-features tbody tr").count() == 7


def test_what_is_no_picture_and_a_picture_bomb_are_refused_in_a_line(visit: Visit, tmp_path: Path) -> None:
    visit.tab("Image")
    (tmp_path / "letter.png").write_text("Dear all")
    visit.upload("#image-upload", tmp_path / "letter.png")
    visit.page.locator("#image-message", has_text="letter.png").wait_for()
    assert "not a readable image" in visit.mistake("image")
    assert visit.page.locator("#image-answers .nl-bar").count() == 0
    (tmp_path / "bomb.png").write_bytes(png_of_zeros(30_000))
    visit.upload("#image-upload", tmp_path / "bomb.png")
    visit.page.locator("#image-message", has_text="bomb.png").wait_for()
    assert "pixels" in visit.mistake("image")
    assert "/tmp" not in visit.mistake("image")


def png_of_zeros(side: int) -> bytes:
    """Return a black and white PNG whose header promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    size = side.to_bytes(4, "big")
    rows = zlib.compress(bytes(1 + (side + 7) // 8) * 100)
    header = chunk(b"IHDR", size + size + bytes([1, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_entities_are_highlighted_and_what_is_written_is_never_run(visit: Visit) -> None:
    page = visit.tab("Text")
    page.locator("#text-input textarea").fill("Angela Merkel <img src=x onerror=alert(1)> ${1+1} {{x}} visited Paris.")
    page.locator("#text-button").click()
    page.locator("#text-entities mark", has_text="Angela Merkel").wait_for()
    shown = page.locator("#text-entities").inner_text()
    assert "<img src=x onerror=alert(1)> ${1+1} {{x}}" in shown
    assert re.search(r"Angela Merkel\s*per \d\d\.\d %", shown)
    assert page.locator("#text-entities img").count() == 0
    assert page.locator("#text-alternatives tbody tr").count() == 5


def test_a_question_to_the_sample_shop_gives_its_query_rows_readings_and_words(visit: Visit) -> None:
    page = ask(visit, "List the names of customers from Berlin.")
    page.locator("#database-rows td", has_text="Julia Meyer").wait_for()
    assert page.locator("#database-sql textarea").input_value() == "SELECT name FROM customer WHERE city = 'Berlin'"
    assert page.locator("#database-rows tbody tr").count() == 3
    assert page.locator("#database-readings label").count() > 1
    assert "customer.city" in page.locator("#database-links tr", has_text="Berlin").inner_text()
    page.locator("#database-readings label", has_text="!=").click()  # those from elsewhere, who are more
    page.locator("#database-rows tbody tr").nth(3).wait_for()


def test_an_edited_query_is_run_and_one_that_changes_anything_is_not(visit: Visit) -> None:
    page = run(visit, "SELECT max(price) AS dearest FROM product")
    page.locator("#database-rows td", has_text="189").wait_for()
    run(visit, "DELETE FROM customer")
    assert "SELECT" in visit.mistake("database")
    assert page.locator("#database-rows td").count() == 0
    run(visit, "SELECT count(*) FROM customer")
    page.locator("#database-rows td", has_text="12").wait_for()


def test_an_endless_query_ends_at_the_time_limit(visit: Visit) -> None:
    run(visit, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    assert "did not end in time" in visit.mistake("database")


def test_a_file_of_ones_own_is_asked_and_a_damaged_one_refused(visit: Visit, tmp_path: Path) -> None:
    page = visit.tab("Database")
    (tmp_path / "my ships.csv").write_text("name,harbour\nAurora,Oslo\nBounty,Lisbon\n")
    visit.upload("#database-upload", tmp_path / "my ships.csv")
    page.locator("#database-tables", has_text="my_ships").wait_for()
    assert "/tmp" not in page.locator("#database-tables").inner_text()
    run(visit, "SELECT harbour FROM my_ships WHERE name = 'Aurora'")
    page.locator("#database-rows td", has_text="Oslo").wait_for()
    page.locator("#database-example label", has_text="How many customers").click()  # about the shop, not the ships
    page.locator("#database-rows td", has_text="12").wait_for()
    assert "product" in page.locator("#database-tables").inner_text()
    (tmp_path / "broken.csv").write_text("a,b\n1,2,3\n")
    visit.upload("#database-upload", tmp_path / "broken.csv")
    page.locator("#database-message", has_text="broken.csv:2").wait_for()
    page.locator("#database-upload button[aria-label='Clear']").click()
    page.locator("#database-tables", has_text="product").wait_for()


def test_a_file_that_is_too_large_is_refused(visit: Visit, tmp_path: Path) -> None:
    page = visit.tab("Database")
    with closing(sqlite3.connect(tmp_path / "large.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE t (a TEXT)")
        connection.execute("INSERT INTO t VALUES (zeroblob(1500000))")
    visit.upload("#database-upload", tmp_path / "large.sqlite")
    page.get_by_text(re.compile("exceed the maximum")).first.wait_for()


def test_a_study_in_one_file_shows_its_report(visit: Visit, tmp_path: Path) -> None:
    page = visit.tab("Study")
    (tmp_path / "no_study.zip").write_text("PK")
    visit.upload("#study-upload", tmp_path / "no_study.zip")
    assert "not an archive of a study" in visit.mistake("study")
    page.locator("#study-choice label", has_text="seven_norms_published.zip").click()
    report = page.frame_locator("#study-report iframe")
    report.locator("html[data-drawn]").wait_for()
    assert "Seven normalizations" in report.locator("h1").inner_text()
    assert page.locator("#study-message .nl-mistake").count() == 0


def test_no_tab_overflows_a_narrow_screen(browser: Any, server: Server) -> None:
    narrow = opened(browser, server, 400)
    for name in ("Image", "Text", "Database", "Study"):
        page = narrow.tab(name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, name
    assert narrow.outside == []
    page.close()


def test_nothing_is_asked_of_another_machine_and_ctrl_c_ends_the_server(visit: Visit, server: Server) -> None:
    ask(visit, "How many customers are there?")
    visit.page.locator("#database-rows td", has_text="12").wait_for()
    assert visit.outside == []
    assert visit.errors == []
    server.process.send_signal(signal.SIGINT)
    _, errors = server.process.communicate(timeout=60)
    assert server.process.returncode == 0
    assert "Traceback" not in errors
    assert not server.outside.exists(), server.outside.read_text()


def ask(visit: Visit, question: str) -> Any:
    page = visit.tab("Database")
    page.locator("#database-question textarea, #database-question input").fill(question)
    page.locator("#database-ask").click()
    return page


def run(visit: Visit, sql: str) -> Any:
    page = visit.tab("Database")
    page.locator("#database-sql textarea").fill(sql)
    page.locator("#database-run").click()
    return page
