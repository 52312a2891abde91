"""The parts of the playground that need neither a browser nor Gradio: the gate, what is shown, the samples."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from normlab.apps.serve import markup
from normlab.apps.serve.database_view import Databases, rows_of
from normlab.apps.serve.gate import Gate
from normlab.apps.serve.image_view import COPIES, SITUATIONS, as_shown, read_picture
from normlab.apps.serve.limits import Limits
from normlab.apps.serve.mistakes import OURS, answering
from normlab.apps.serve.models import open_models
from normlab.apps.serve.reports import KEPT, SAMPLE, Reports
from normlab.apps.serve.sample_pictures import write_pictures
from normlab.apps.serve.sample_shop import write_shop
from normlab.apps.serve.server import allowed_hosts, listen
from normlab.apps.serve.text_view import tag_text
from normlab.cli import main
from normlab.cli.serve import _write_report
from normlab.data.sql.sqlite import run_query
from normlab.engine.api import load_run
from normlab.errors import UserError

HERE = "127.0.0.1:7860"


async def behind_the_gate(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(gate: Gate, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str, dict[bytes, bytes]]:
    """Send a request; return status, body and headers of the answer."""
    sent: list[Any] = []
    given = {"host": HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(gate(scope, None, send))
    return sent[0]["status"], sent[1]["body"].decode(), dict(sent[0]["headers"])


@pytest.fixture
def gate() -> Gate:
    return Gate(behind_the_gate, *allowed_hosts("127.0.0.1"), Limits(upload=1_000_000, request=1000))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7860", "LOCALHOST:80"])
def test_the_gate_answers_to_its_own_names(gate: Gate, host: str) -> None:
    assert ask(gate, host=host)[:2] == (200, "inside")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "localhost.evil.example", "192.168.1.7", ""])
def test_the_gate_refuses_other_hosts(gate: Gate, host: str) -> None:
    status, body, _ = ask(gate, host=host)
    assert status == 403
    assert body.startswith("normlab: ")
    assert body.count("\n") == 1


def test_a_server_on_all_addresses_answers_to_addresses_and_to_no_foreign_name() -> None:
    gate = Gate(behind_the_gate, *allowed_hosts("0.0.0.0"))
    assert ask(gate, host="192.168.1.7:7860")[0] == 200
    assert ask(gate, host="[fe80::1]:7860")[0] == 200
    assert ask(gate, host="evil.example")[0] == 403


def test_a_given_host_is_answered_to() -> None:
    gate = Gate(behind_the_gate, *allowed_hosts("Lab-Machine"))
    assert ask(gate, host="lab-machine:7860")[0] == 200
    assert ask(gate, host="192.168.1.7")[0] == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:7861"])
def test_requests_of_other_pages_are_refused(gate: Gate, origin: str) -> None:
    assert ask(gate, origin=origin)[0] == 403
    assert ask(gate, origin=f"http://{HERE}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=https://evil.example/x",
        "/gradio_api/file=https://evil.example/x",
        "/gradio_api/vibe-edit",
        "/gradio_api/run-history/connect",
        "/monitoring",
        "/docs",
        "/reports/",
        "/svelte/" + "a" * 256,
        "/assets/" + "ä" * 128,
        "/assets/" + "a/" * 2000,
        "/static/\0",
    ],
    ids=lambda path: path[:40],
)
def test_paths_that_the_playground_does_not_use_are_closed(gate: Gate, path: str) -> None:
    assert ask(gate, path)[0] == 404


def test_requests_that_are_too_large_or_do_not_say_how_large_are_refused(gate: Gate) -> None:
    join, upload = "/gradio_api/queue/join", "/gradio_api/upload"
    json = {"content_type": "application/json; charset=utf-8"}
    assert ask(gate, join, "POST", content_length="1000", **json)[0] == 200
    assert ask(gate, join, "POST", content_length="1001", **json)[0] == 413
    assert ask(gate, upload, "POST", content_length="1000000")[0] == 200
    assert ask(gate, upload, "POST", content_length="1100000")[0] == 413
    assert ask(gate, join, "POST")[0] == 411


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_a_body_that_is_no_json_is_refused(gate: Gate, kind: str) -> None:
    assert ask(gate, "/gradio_api/queue/join", "POST", content_length="3", content_type=kind)[0] == 415
    assert ask(gate, "/gradio_api/upload", "POST", content_length="3", content_type=kind)[0] == 200
    assert ask(gate, "/gradio_api/reset", "POST", content_length="0")[0] == 200


def test_a_visitor_who_breaks_off_is_no_error_and_anything_else_is() -> None:
    requests = pytest.importorskip("starlette.requests", reason="starlette comes with gradio, which is not installed")
    for error, passes in ((requests.ClientDisconnect(), False), (RuntimeError("ours"), True)):

        async def fails(scope: Any, receive: Any, send: Any, error: Exception = error) -> None:
            raise error

        request = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", HERE.encode())]}
        answer = Gate(fails, *allowed_hosts("127.0.0.1"), Limits())(request, None, None)
        if passes:
            with pytest.raises(RuntimeError, match="ours"):
                asyncio.run(answer)
        else:
            asyncio.run(answer)


def test_files_of_an_upload_that_was_broken_off_are_removed(tmp_path: Path) -> None:
    requests = pytest.importorskip("starlette.requests", reason="starlette comes with gradio, which is not installed")
    utils = pytest.importorskip(
        "gradio.route_utils", reason="gradio is not installed: pip install 'normlab[playground]'"
    )

    async def stream() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"0" * 9999
        assert len(list(tmp_path.iterdir())) == 1
        raise requests.ClientDisconnect

    async def upload(scope: Any, receive: Any, send: Any) -> None:
        headers = requests.Headers({"content-type": "multipart/form-data; boundary=x"})
        await utils.GradioMultiPartParser(headers, stream(), upload_dir=tmp_path, max_file_size=10**6).parse()

    request = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", HERE.encode())]}
    asyncio.run(Gate(upload, *allowed_hosts("127.0.0.1"), Limits())(request, None, None))
    assert not list(tmp_path.iterdir())


def test_every_answer_forbids_the_browser_to_fetch_from_elsewhere(gate: Gate) -> None:
    for headers in (ask(gate)[2], ask(gate, host="evil.example")[2]):
        assert headers[b"content-security-policy"].startswith(b"default-src 'self'")


def test_what_a_user_writes_is_shown_and_is_neither_markup_nor_a_template() -> None:
    hostile = "<script>alert('1')</script>${2}{{3}}"
    for html in (markup.bars({hostile: 0.5}), markup.mistake(hostile), markup.table([hostile], [], caption=hostile)):
        assert not {"<script", "${", "{{"} & {html[i : i + n] for i in range(len(html)) for n in (2, 7)}
    assert "&lt;script&gt;" in rows_of((hostile,), [(hostile,)], False)


def test_a_probability_is_never_shown_as_certain() -> None:
    assert [markup.percent(p) for p in (0.0, 0.0004, 0.5, 0.9996, 1.0)] == [
        *("< 0.1 %", "< 0.1 %", "50.0 %", "> 99.9 %", "> 99.9 %")
    ]


def test_a_mistake_is_a_line_without_temporary_folders_and_empties_the_answers(tmp_path: Path) -> None:
    @answering(2)
    def fails(file: Path) -> tuple[str, str]:
        raise UserError(f"{file}:3: 2 cells for 3 columns")

    message, *answers = fails(tmp_path / "my shop.csv")
    assert "my shop.csv:3: 2 cells for 3 columns" in message
    assert str(tmp_path) not in message
    assert answers == ["", ""]


def test_a_defect_of_ours_is_a_line_in_the_page_and_a_traceback_in_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @answering(1)
    def breaks() -> str:
        raise KeyError("inner detail")

    message, answer = breaks()
    assert OURS in message
    assert "inner detail" not in message
    assert answer == ""
    assert "inner detail" in capsys.readouterr().err


def test_training_mode_depends_on_batch_mates_under_batch_norm_and_not_under_instance_norm(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path)
    runs = {name: load_run(name, device="cpu") for name in ("cifar10-batch", "cifar10-instance")}
    before = {name: {key: value.clone() for key, value in run.model.state_dict().items()} for name, run in runs.items()}
    readings = {name: read_picture(run, pictures["ship"], list(pictures.values())) for name, run in runs.items()}
    usual, alone, copies, company = readings["cifar10-batch"].in_company
    assert len(SITUATIONS) == 4
    assert COPIES > 1
    assert copies[1] == pytest.approx(alone[1], abs=0.02)  # statistics of a picture and of its copies are the same
    assert abs(alone[1] - usual[1]) > 0.1
    assert abs(company[1] - alone[1]) > 0.1
    shares = [share for _, share in readings["cifar10-instance"].in_company]
    assert max(shares) - min(shares) < 0.02
    for name, run in runs.items():
        assert all(value.equal(before[name][key]) for key, value in run.model.state_dict().items())
    answers, table, features = as_shown(readings, runs)
    assert answers.index("ship") < answers.index("airplane")
    assert table.count("nl-changed") >= 1
    assert features.count("<tr>") == 3


def test_the_shipped_models_know_the_drawn_samples(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path)
    run = load_run("cifar10-batch-instance", device="cpu")
    answers = {record["name"].removesuffix(".png"): record["class"] for record in run.predict(tmp_path)}
    assert set(answers) == set(pictures)
    assert [name for name, answer in answers.items() if answer != name] == ["stripes"]


def test_entities_are_marked_where_they_stand_and_all_of_the_text_is_kept() -> None:
    text = "Barack Obama met\nAngela Merkel & <b>friends</b> in Berlin."
    run = load_run("gmb-tagger", device="cpu")
    entities, taggings = tag_text(run, text, most=1000)
    assert '">Barack Obama<small>per ' in entities
    assert "&lt;b&gt;friends&lt;/b&gt; in <mark" in entities
    assert entities.count("&amp;") == 1
    assert "geo: place, per: person" in entities
    assert "Berlin (geo)" in taggings
    for wrong in ("  \n ", "word " * 300):
        with pytest.raises(UserError):
            tag_text(run, wrong, most=1000)


def test_a_given_model_replaces_the_named_ones_of_its_task_only() -> None:
    models = open_models(["cifar10-instance"])
    assert list(models["image"]) == ["cifar10-instance"]
    assert list(models["ner"]) == ["gmb-tagger"]
    assert list(models["text2sql"]) == ["spider-sql"]
    with pytest.raises(UserError, match="did you mean 'cifar10-instance'"):
        open_models(["cifar10-instances"])


def test_the_shop_is_the_same_every_time_and_its_keys_hold(tmp_path: Path) -> None:
    shops = [write_shop(tmp_path / name) for name in ("a.sqlite", "b.sqlite")]
    rows = [run_query(shop, "SELECT * FROM orders ORDER BY order_id").rows for shop in shops]
    assert rows[0] == rows[1]
    lost = "SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT customer_id FROM customer)"
    assert run_query(shops[0], lost).rows == [(0,)]


def test_databases_beyond_the_open_ones_are_closed(tmp_path: Path) -> None:
    databases = Databases({"spider-sql": load_run("spider-sql", device="cpu")}, Limits(characters=50))
    files = []
    for number in range(6):
        files.append(tmp_path / f"t{number}.csv")
        files[-1].write_text(f"a,b\n{number},2\n")
        assert databases.run(files[-1], "spider-sql", f"SELECT a FROM t{number}").rows == [(number,)]
    temporary = Path(databases._database(files[-1], "spider-sql")._file)
    assert len(databases._open) == 4
    databases.close()
    assert not temporary.exists()
    with pytest.raises(UserError, match="at most 50"):
        databases.run(files[0], "spider-sql", "SELECT 1" + " " * 50)


def test_reports_have_names_that_cannot_be_guessed_and_old_ones_go(tmp_path: Path) -> None:
    def write(study: Path, out: Path) -> list[str]:
        out.write_text(study.name)
        return ["a remark"]

    folder = tmp_path / "reports"
    folder.mkdir()
    reports = Reports(write, folder, Limits(unpacked=1000))
    studies = [tmp_path / f"{number}.zip" for number in range(KEPT + 2)]
    names = []
    for study in studies:
        with zipfile.ZipFile(study, "w") as archive:
            archive.writestr("study.json", "{}")
        name, remarks = reports.report(study)
        assert remarks == ["a remark"]
        names.append(name)
    assert len(set(names)) == len(names)
    assert reports.report(studies[-1])[0] == names[-1]
    assert reports.file(names[0]) is None
    assert reports.file("../secret") is None
    assert len(list(folder.iterdir())) == KEPT
    growing = tmp_path / "study"  # a folder: cells may have been finished since
    growing.mkdir()
    assert reports.report(growing) != reports.report(growing)
    assert len(list(folder.iterdir())) == KEPT
    with zipfile.ZipFile(studies[0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("study.json", b"0" * 2000)
    with pytest.raises(UserError, match="unpacked"):
        Reports(write, folder, Limits(unpacked=1000)).report(studies[0])


def test_the_sample_study_has_a_report_without_remarks(tmp_path: Path) -> None:
    assert _write_report(SAMPLE, tmp_path / "report.html") == []
    assert "Seven normalizations" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_mistakes_of_the_command_line_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    taken = listen("127.0.0.1", 0)
    try:
        with pytest.raises(UserError, match="in use"):
            listen("127.0.0.1", taken.getsockname()[1])
    finally:
        taken.close()
    with pytest.raises(UserError, match="no address of this machine"):
        listen("192.0.2.1", 0)
    for words in (["--port", "70000"], ["--timeout", "0"], ["--max-upload", "-1"]):
        assert main(["serve", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_without_gradio_the_command_that_installs_it_is_printed(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['gradio'] = None; from normlab.cli import main; sys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "normlab: the playground needs Gradio: pip install 'normlab[playground]'\n"


def test_only_so_many_open_pages_are_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of each page Gradio keeps a tenth of a megabyte: ten minutes of visits had cost 170 MB."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'normlab[playground]'")
    from normlab.apps.serve.app import build_app

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))  # which the playground sets, and is set back
    with ExitStack() as resources:
        gate = build_app(
            open_models([]), write_report=lambda study, out: [], resources=resources, limits=Limits(pages=3)
        )
        inner = next(route.app for route in gate.app.routes if hasattr(getattr(route, "app", None), "state_holder"))
        for number in range(9):
            inner.state_holder[f"page {number}"]
        assert set(inner.state_holder.session_data) == {"page 6", "page 7", "page 8"}


def test_a_stream_that_finds_out_that_it_has_nothing_to_send_ends_and_is_no_error(gate: Gate) -> None:
    pytest.importorskip("starlette", reason="starlette comes with gradio, which is not installed")
    from starlette.exceptions import HTTPException

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("an answer has begun") from HTTPException(404)

    status, body, _ = ask(replace(gate, app=stream), "/gradio_api/queue/data")
    assert (status, body) == (200, "")
