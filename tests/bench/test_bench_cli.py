"""The verb bench: its JSON, its tables, its mistakes in one line. Nothing here looks at how fast anything was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from normlab.bench import BENCHES, image, ner, norms, sequence, sql
from normlab.bench.row import faster
from normlab.bench.timing import Settings, judge
from normlab.cli import main

ROW = {
    "what", "against", "unit", "value", "low", "high", "goal", "met", "own_ms", "baseline_ms", "limit",
    "share_of_limit", "group", "torchs", "note", "details",
}  # fmt: skip


@pytest.mark.parametrize("name", ["norms", "sql"])
def test_a_quick_benchmark_writes_json_and_tables(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "out.json", tmp_path / "out.md"
    words = ["bench", name, "--quick", "--rounds", "1", "--threads", "1", "--json", str(out), "--markdown", str(page)]
    assert main(words) == 0
    record = json.loads(out.read_text())
    assert list(record["benches"]) == [name]
    assert record["command"] == f"normlab bench {name} --quick --rounds 1 --threads 1"
    bench = record["benches"][name]
    facts = {"cpu", "cores", "threads", "torch", "clock", "load_average", "idle_threads", "freed_memory"}
    assert facts <= bench["machine"].keys()
    assert bench["limits"].keys() == {"copy_gb_per_s", "float32_tflop_per_s", "bfloat16_tflop_per_s"}
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = " ".join(" ".join(lines).split())
    assert bench["rows"]
    assert all(row["what"] in shown for row in bench["rows"])
    for row in bench["rows"]:
        assert row.keys() == ROW
        assert 0 < row["low"] <= row["value"] <= row["high"]
        assert (row["met"] is None) == (row["goal"] is None)
    assert page.read_text().startswith(f"## {name}\n")


@pytest.mark.parametrize(("baseline", "status"), [(0.96, 1), (0.98, 0)])
def test_an_operation_that_torch_does_faster_fails_the_command(
    baseline: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = judge([(baseline, 1.0)])
    rows = [faster("a norm", "torch's layers", comparison, torchs=True), faster("a loop", "ours", comparison)]
    record = {"benches": {"norms": {"rows": [row.as_values() for row in rows]}}}
    monkeypatch.setattr("normlab.bench.run.run_benches", lambda *arguments, **options: record)
    assert main(["bench", "norms", "--threads", "1", "--rounds", "1"]) == status
    told = capsys.readouterr().err
    assert ("a norm: 0.96 [0.96, 0.96] times as fast as torch's own, at least 0.97 are expected" in told) == bool(
        status
    )
    assert "a loop" not in told


def test_a_tagger_is_trained_beside_a_course_program() -> None:
    pytest.importorskip("torchcrf")
    config, data = ner.corpus(Settings())
    limits = norms.Limits(Settings(rounds=1))
    compared, speed = ner.training_rows(config, data, Settings(rounds=1), limits, table=500)
    assert "course program" in str(compared.against)
    assert speed.unit == "words/s"
    assert 0 < speed.as_values()["share_of_limit"] < 2


def test_without_pytorch_crf_the_rows_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "pytorch_crf", lambda: None)
    rows = list(sequence.crf_rows(Settings(rounds=1)))
    assert [row.value for row in rows] == [None, None]
    assert all("not installed" in row.note for row in rows)


def test_without_seqeval_the_row_of_scores_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "seqeval.metrics", None)  # importing it raises ImportError
    row = ner.score_row(Settings(rounds=1))
    assert row.value is None
    assert row.note == "seqeval is not installed"


def test_a_network_is_trained_beside_a_course_program() -> None:
    data = image.made_up_images()
    row = image.training_row(8, data, Settings(rounds=1), image.Limits(Settings(rounds=1)))
    assert row.details.keys() == {"normlab_images_per_s", "baseline_images_per_s"}
    assert row.floor is not None
    assert row.floor.flops > 0


@pytest.mark.parametrize("scheme", norms.SCHEMES)
def test_torchs_nearest_layer_computes_the_same(scheme: str) -> None:
    x = torch.randn(4, 16, 8, 8)
    own = norms.NORMS.create(scheme, 16, **({"groups": norms.GROUPS} if scheme == "group" else {}))
    peer = norms.torch_layer(scheme, 16)
    if scheme == "batch_instance":
        with torch.no_grad():
            own.gate.fill_(0.7)
    assert torch.allclose(own(x), peer(x), atol=1e-5)


def test_the_scan_of_cells_finds_what_a_question_names() -> None:
    assert [cell for cell, _ in sql.scanned("Ships under the flag of Malta?", ["Malta", "Norway"])] == ["Malta"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["nomrs"], "did you mean 'norms'?"),
        (["norms", "--rounds", "0"], "--rounds 0: nothing would be timed"),
        (["norms", "--threads", "9999"], "--threads 9999: this machine has"),
        (["norms", "--json", "nowhere/out.json"], "there is no folder nowhere"),
        (["ner", "--corpus", "nowhere"], "--corpus nowhere: no such file or folder"),
        (["norms", "--quik"], "unknown flag '--quik': did you mean '--quick'"),
    ],
)
def test_a_mistake_is_told_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_all_benchmarks_have_their_rows() -> None:
    assert BENCHES.names() == ["norms", "image", "ner", "sql"]
    assert all(callable(BENCHES.get(name)) for name in BENCHES)
