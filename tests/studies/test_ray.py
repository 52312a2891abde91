"""Studies on a real Ray cluster of two nodes on this machine: nothing lost, nothing trained twice, no orphans."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.errors import UserError
from normlab.studies import Study, run_study
from normlab.studies.cluster import ClusterOptions
from normlab.studies.cluster.pieces import entry

pytest.importorskip("ray", reason="needs the extra `ray`")

EPOCHS = 30
STUDY = f"""
title: A tiny comparison
question: Does it run?
task: image
base: {{data: digits, n: 1, epochs: {EPOCHS}, limit_train: 100, validation: 100, train_metrics: end, batch_size: 32}}
axes:
  norm: [torch_batch, none]
"""
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=NODE)
    yield made
    made.shutdown()


@pytest.fixture
def second(cluster: Any) -> Iterator[Any]:
    node = cluster.add_node(**NODE)
    cluster.wait_for_nodes(timeout=120)  # one that an earlier test has killed is given cells until it is missed
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """Take Ctrl-C as an interactive process does: one that a shell started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(source: Path, cluster: Any, lines: list[str], **options: Any) -> Study:
    options = {"address": cluster.address, **options}
    return run_study(
        source,
        scale="demo",
        out=source.parent / "out",
        engine="ray",
        cluster=ClusterOptions(**options),
        say=lines.append,
    )


def under_way(out: Path, raylet: int | None = None) -> tuple[Path, int] | None:
    """Return the folder and the process of a cell that has trained an epoch, on one node if asked for."""
    if not (out / "study.json").exists():
        return None
    for cell in Study.open(out).cells:
        pid = cell.writer().get("pid")
        saved = (cell.folder.checkpoints / "last.safetensors").exists()
        if cell.state == "running" and saved and pid and (raylet is None or parent(pid) == raylet):
            return cell.folder.path, pid
    return None


def parent(pid: int) -> int | None:
    try:
        return int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]
    except OSError:
        return None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(found: Callable[[], Any], seconds: float = 300) -> Any:
    """Wait for something that another process does; None after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.02)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("results", ["shared", "sent"])
def test_a_node_that_dies_costs_no_cell_and_no_epoch(cluster: Any, second: Any, source: Path, results: str) -> None:
    # Enough cells that the first node cannot do them all before the second one's worker is up.
    source.write_text(STUDY.replace("[torch_batch, none]", "[torch_batch, batch, instance, none]"))
    lines: list[str] = []
    killed: list[Path] = []
    raylet = second.all_processes["raylet"][0].process.pid

    def kill_the_node() -> None:
        if found := until(lambda: under_way(source.parent / "out", raylet)):
            os.kill(found[1], signal.SIGKILL)
            cluster.remove_node(second, allow_graceful=False)
            killed.append(found[0])

    killer = threading.Thread(target=kill_the_node)
    killer.start()
    study = run(source, cluster, lines, results=results)
    killer.join()

    assert killed, "no cell was seen on the second node"
    assert [cell.state for cell in study.cells] == ["finished"] * 4
    ended = [line.split()[1] for line in lines if line.startswith("[")]
    assert sorted(ended) == sorted(cell.name for cell in study.cells)
    for cell in study.cells:
        assert [record["epoch"] for record in cell.folder.metrics()] == list(range(1, EPOCHS + 1))
    lost = next(line for line in lines if "lost with its process or machine" in line)
    assert lost.startswith(killed[0].name)
    assert re.search(r"once more, from its checkpoint after epoch \d+", lost)
    assert "resuming after epoch" in (killed[0] / "log.txt").read_text()
    assert not list(source.parent.glob("out/.shared"))


@pytest.mark.slow
@pytest.mark.parametrize("results", ["shared", "sent"])
@pytest.mark.usefixtures("heeds_interrupts")
def test_an_interrupted_study_leaves_no_orphan_and_goes_on(cluster: Any, source: Path, results: str) -> None:
    lines: list[str] = []
    out, seen = source.parent / "out", list[int]()

    def interrupt() -> None:
        if found := until(lambda: under_way(out)):
            seen.append(found[1])
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(source, cluster, lines, results=results)
    thread.join()
    assert until(lambda: not alive(seen[0]), 20), "the cell's process outlives its study"
    study = Study.open(out)
    assert sorted(cell.state for cell in study.cells) == ["interrupted", "waiting"]

    again = run(source, cluster, lines, results=results)
    assert [cell.state for cell in again.cells] == ["finished"] * 2
    begun = next(cell for cell in again.cells if "resuming after epoch" in (cell.folder.path / "log.txt").read_text())
    assert [record["epoch"] for record in begun.folder.metrics()] == list(range(1, EPOCHS + 1))


def test_another_version_on_the_machines_is_one_line_and_nothing_is_begun(
    cluster: Any, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.studies.cluster.dispatch.__version__", "0.0.9")
    with pytest.raises(UserError, match=r"has normlab .*, but the study is run by 0.0.9: install 0.0.9 there"):
        run(source, cluster, [])
    assert [cell.state for cell in Study.open(source.parent / "out").cells] == ["waiting"] * 2


def test_a_machine_without_the_data_is_one_line_and_its_cells_go_elsewhere(
    cluster: Any, second: Any, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.studies.cluster.dispatch.entry", lambda: blind_on(second.node_id))
    source.write_text(STUDY.replace(f"epochs: {EPOCHS}", "epochs: 1"))
    lines: list[str] = []
    study = run(source, cluster, lines)
    assert [cell.state for cell in study.cells] == ["finished"] * 2
    refusals = [line for line in lines if "trying another machine" in line]
    assert len(refusals) == 1
    assert "/not/on/this/machine: no such file or folder" in refusals[0]


def blind_on(node: str) -> Callable[..., dict[str, Any]]:
    """Return what a cell's task calls, as on a cluster of which one node lacks the data."""
    original = entry()

    def train(version: str, order: dict[str, Any], *rest: Any) -> dict[str, Any]:
        import ray

        if ray.get_runtime_context().get_node_id() == node:
            order["config"]["data"] = "/not/on/this/machine"
        return original(version, order, *rest)

    return train


def test_a_cell_that_no_machine_can_begin_has_failed_with_the_reason(cluster: Any, source: Path) -> None:
    source.write_text(STUDY.replace("data: digits", "data: /no/such/data"))
    lines: list[str] = []
    study = run(source, cluster, lines)
    assert [cell.state for cell in study.cells] == ["failed"] * 2
    assert all("/no/such/data" in cell.folder.status()["error"] for cell in study.cells)


def test_a_share_that_no_machine_has_is_one_line(cluster: Any, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normlab.studies.cluster.dispatch.PATIENCE", 0.0)
    with pytest.raises(UserError, match="no machine of the cluster has 500 CPU"):
        run(source, cluster, [], cpus_per_cell=500)


def test_an_address_where_nobody_listens_is_one_line(source: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(UserError, match=rf"--address {address}: cannot be reached"):
            run_study(source, out=source.parent / "x", engine="ray", cluster=ClusterOptions(address=address))


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "host:99999", "ray://host", ""])
def test_what_is_no_address_is_one_line(source: Path, address: str) -> None:
    with pytest.raises(UserError, match=rf"--address {address}: no address: give auto, HOST:PORT"):
        run_study(source, out=source.parent / "x", engine="ray", cluster=ClusterOptions(address=address))


def test_a_flag_of_the_cluster_without_the_engine_is_a_mistake(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "run", str(source), "--address", "auto"]) == 2
    assert "--address is for a cluster: add --engine ray" in capsys.readouterr().err
