"""Sending cells out to a Ray cluster and taking them back.

What is not Ray's: a cell whose process or machine is lost is sent out again from its last checkpoint, by us, because
only we know that a run folder can be resumed and what "finished" means. A machine with another version of normlab, or
without the data, is named in one line and left out. Ctrl-C calls all cells back before it ends.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs import RunFolder, RunState
from normlab.runs.atomic import write_text
from normlab.runs.parcel import pack, unpack
from normlab.studies.cluster.connection import CONNECT, connected
from normlab.studies.cluster.node import TOKEN_FILE, Order
from normlab.studies.cluster.pieces import entry, new_mailbox
from normlab.studies.local import NotTrained, Outcome
from normlab.studies.plan import Cell
from normlab.train_config import TrainConfig
from normlab.version import __version__

RETRIES = 3  # times that a cell may lose its process or machine
PATIENCE = 60.0  # seconds to wait for a machine that can take a cell: a cluster may be growing
GRACE = 10.0  # seconds for a called-back cell to say that it was interrupted
BUSY = 120.0  # seconds until a lost process must have let go of its folder
_POLL = 0.5


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster, and what a cell gets of it.

    Attributes:
        address: `auto`, HOST:PORT, `ray://HOST:PORT`; None starts a cluster of this machine alone.
        cpus_per_cell: processors that a cell occupies; also its threads.
        gpus_per_cell: GPUs, in fractions if cells share one; None: one if the cluster has any.
        results: `shared`, cells work in the study's folder; `sent`, they come back over the network; `auto`, each
            machine finds out whether it sees the folder.
    """

    address: str | None = None
    cpus_per_cell: float = 1.0
    gpus_per_cell: float | None = None
    results: Literal["auto", "shared", "sent"] = "auto"


def run_on_ray(
    cells: list[Cell],
    task: str,
    folder: Path,
    *,
    workers: int | None,
    options: ClusterOptions,
    say: Callable[[str], None],
) -> list[Outcome]:
    """Train cells on a cluster, at most `workers` at a time; return how each ended, in the order of ending.

    Raises:
        UserError: Ray is not installed, the cluster does not answer, or no machine of it can take a cell.
        KeyboardInterrupt: after calling the cells back; what they have saved stays.
    """
    if not cells:
        return []
    try:
        import ray
    except ImportError:
        raise UserError('--engine ray: Ray is not installed: `pip install "normlab[ray]"`') from None
    with connected(ray, options.address):
        dispatch = _Dispatch(ray, task, folder.resolve(), options, say, len(cells))
        dispatch.waiting.extend(_Errand(cell) for cell in cells)
        return dispatch.run(workers or len(cells))


@dataclass
class _Errand:
    """A cell on its way."""

    cell: Cell
    losses: int = 0
    refused_by: set[str] = field(default_factory=set)  # node identifiers
    line: str = ""  # the last reason of a refusal
    not_before: float = 0.0
    busy_since: float | None = None
    nowhere_since: float | None = None
    folder: RunFolder | None = None  # locked by us, while the run grows on a machine that cannot lock it


class _Dispatch:
    """Sends errands out and takes them back until none is left."""

    def __init__(
        self,
        ray: Any,
        task: str,
        folder: Path,
        options: ClusterOptions,
        say: Callable[[str], None],
        total: int,
    ) -> None:
        self.ray, self.task, self.folder, self.options, self.say, self.total = ray, task, folder, options, say, total
        self.waiting: deque[_Errand] = deque()
        self.running: dict[Any, _Errand] = {}
        self.outcomes: list[Outcome] = []
        self.unfit: dict[str, str] = {}  # node identifier -> why no cell may go there
        gpus = options.gpus_per_cell
        has_gpus = ray.cluster_resources().get("GPU", 0) > 0
        self.share = {"CPU": options.cpus_per_cell, "GPU": float(has_gpus) if gpus is None else gpus}
        self.token = "" if options.results == "sent" else secrets.token_hex(8)
        self.mailbox = None if options.results == "shared" else new_mailbox(ray)
        self.remote = ray.remote(entry())

    def run(self, at_once: int) -> list[Outcome]:
        """Train all; return their outcomes."""
        write_text(self.folder.parent / TOKEN_FILE, self.token)
        try:
            while self.waiting or self.running:
                self._send_out(at_once)
                done = self._wait()
                self._take_mail()
                for ref in done:
                    self._record_end(self.running.pop(ref), ref)
        finally:
            self._call_back()
            (self.folder.parent / TOKEN_FILE).unlink(missing_ok=True)
        return self.outcomes

    def _wait(self) -> list[Any]:
        """Return the tasks that have ended, after a moment."""
        if not self.running:
            time.sleep(_POLL)
            return []
        done: list[Any] = self.ray.wait(list(self.running), timeout=_POLL)[0]
        return done

    # Sending out

    def _send_out(self, at_once: int) -> None:
        nodes = self._nodes()
        for ref, errand in list(self.running.items()):
            if self._has_nowhere_to_go(errand, nodes):
                self.ray.cancel(ref, force=True)
                del self.running[ref]
                self._give_up(errand, self._why_nowhere(errand))
        for errand in [errand for errand in self.waiting if errand.not_before <= time.monotonic()]:
            if len(self.running) >= at_once:
                return
            if self._has_nowhere_to_go(errand, nodes):
                self.waiting.remove(errand)
                self._give_up(errand, self._why_nowhere(errand))
            elif errand.nowhere_since is None:
                self.waiting.remove(errand)
                self.running[self._submit(errand)] = errand

    def _submit(self, errand: _Errand) -> Any:
        path = self.folder / errand.cell.name
        order = Order(errand.cell.name, self.task, self._travelling(errand.cell.config), str(self.folder), self.token)
        begun = pack(path) if self.mailbox is not None and path.exists() else {}
        left_out = ",".join(sorted(self.unfit.keys() | errand.refused_by))
        task = self.remote.options(
            name=errand.cell.name,
            num_cpus=self.share["CPU"],
            num_gpus=self.share["GPU"],
            max_retries=0,  # retrying is our business
            label_selector={"ray.io/node-id": f"!in({left_out})"} if left_out else None,
        )
        return task.remote(__version__, asdict(order), begun, self.mailbox)

    def _travelling(self, config: TrainConfig) -> dict[str, Any]:
        """Return a configuration whose relative paths mean the same on every machine, and which knows its threads."""
        values = config.model_dump(mode="json")
        for name, value in values.items():
            if isinstance(value, str) and os.sep in value and Path(value).exists():
                values[name] = str(Path(value).resolve())
        values["threads"] = config.threads or max(1, int(self.share["CPU"]))
        return values

    def _nodes(self) -> set[str]:
        """Return the machines that are up and large enough for a cell."""
        return {
            node["NodeID"]
            for node in self.ray.nodes()
            if node["Alive"] and all(node["Resources"].get(kind, 0) >= need for kind, need in self.share.items())
        }

    def _has_nowhere_to_go(self, errand: _Errand, nodes: set[str]) -> bool:
        """Say whether no machine can take the cell, and the wait for one has been long enough.

        A machine that is up and has refused will not change its mind, so then there is nothing to wait for.
        """
        if nodes - self.unfit.keys() - errand.refused_by:
            errand.nowhere_since = None
            return False
        errand.nowhere_since = errand.nowhere_since or time.monotonic()
        return bool(nodes) or time.monotonic() - errand.nowhere_since > PATIENCE

    def _why_nowhere(self, errand: _Errand) -> str:
        if errand.line:
            return errand.line
        if self.unfit:
            raise UserError(f"no machine of the cluster can take a cell: {'; '.join(self.unfit.values())}")
        share = " and ".join(f"{amount:g} {kind}" for kind, amount in self.share.items() if amount)
        raise UserError(
            f"no machine of the cluster has {share} for a cell: change --cpus-per-cell or --gpus-per-cell, "
            "or add a machine, and run the same command again: finished cells are kept"
        )

    # Taking back

    def _record_end(self, errand: _Errand, ref: Any) -> None:
        """Look at what has become of a cell."""
        errors = self.ray.exceptions
        try:
            answer = self.ray.get(ref)
        except errors.RayTaskError as error:
            self._give_up(errand, str(error).strip().splitlines()[-1])
            return
        except errors.RayError as error:
            self._lost(errand, type(error).__name__)
            return
        node, line = answer["node"], f"{answer['host']}: {answer['line']}"
        match answer["state"]:
            case NotTrained.UNFIT:
                self._announce(node, line)
                self.waiting.append(errand)
            case NotTrained.REFUSED:
                errand.refused_by.add(node)
                errand.line = line
                self.say(f"{errand.cell.name}: {line}; trying another machine")
                self.waiting.append(errand)
            case NotTrained.BUSY:
                self._wait_for_the_lost_process(errand, line)
            case state:
                unpack(answer["parcel"], self.folder / errand.cell.name)
                self._release(errand)
                self._end(errand, Outcome(state, f"{answer['line']}  on {answer['host']}", answer["seconds"]))

    def _announce(self, node: str, line: str) -> None:
        if node not in self.unfit:
            self.say(f"{line}; cells go to other machines")
        self.unfit[node] = line

    def _lost(self, errand: _Errand, how: str) -> None:
        """Send a cell out again from its last checkpoint, unless that was tried often enough."""
        folder = RunFolder(self.folder / errand.cell.name)
        writer = _writer(folder)
        self._release(errand)
        if folder.done:
            self._end(errand, Outcome(folder.result()["state"], f"its process was lost afterwards ({how})", 0.0))
            return
        errand.losses += 1
        if errand.losses > RETRIES:
            self._give_up(errand, f"lost its process or machine {plural(errand.losses, 'time')} ({how})")
            return
        saved = (folder.checkpoints / "last.safetensors").exists()
        start = (
            f"from its checkpoint after epoch {len(folder.metrics())}" if saved else "from the start: no epoch saved"
        )
        self.say(f"{errand.cell.name}: lost with its process or machine{writer} ({how}); once more, {start}")
        self.waiting.appendleft(errand)

    def _wait_for_the_lost_process(self, errand: _Errand, line: str) -> None:
        errand.busy_since = errand.busy_since or time.monotonic()
        if time.monotonic() - errand.busy_since > BUSY:
            self._give_up(errand, line)
        else:
            errand.not_before = time.monotonic() + 2
            self.waiting.append(errand)

    def _give_up(self, errand: _Errand, line: str) -> None:
        """Record in the cell's own folder that it failed, as a local cell does."""
        self._release(errand)
        path = self.folder / errand.cell.name
        with suppress(UserError):  # another process writes to it, and reports it
            begun = (path / "config.yaml").exists()
            folder = RunFolder(path) if begun else RunFolder.create(path, errand.cell.config, self.task)
            with folder:
                folder.log(line)
                folder.set_status(RunState.FAILED, error=line)
        self._end(errand, Outcome(RunState.FAILED, line, 0.0))

    def _end(self, errand: _Errand, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        count = f"[{len(self.outcomes)}/{self.total}]"
        self.say(f"{count} {errand.cell.name}  {outcome.state}  {outcome.line}  ({outcome.seconds:.0f} s)")

    # Runs that grow elsewhere

    def _take_mail(self) -> None:
        """Unpack what has come home since the last look, and hold the lock in the name of the machine elsewhere."""
        if self.mailbox is None:
            return
        try:
            parcels = self.ray.get(self.mailbox.take.remote(), timeout=CONNECT)
        except self.ray.exceptions.RayError:  # the next look will have it, or the cell will come again
            return
        errands = {errand.cell.name: errand for errand in self.running.values()}
        for name, parcel in parcels.items():
            errand = errands.get(name)
            if errand is None:
                continue
            if errand.folder is None:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
                errand.folder = RunFolder(self.folder / name).__enter__()
            unpack(parcel, self.folder / name)

    def _release(self, errand: _Errand, state: RunState | None = None) -> None:
        if errand.folder is not None:
            if state:
                errand.folder.set_status(state)
            errand.folder.__exit__(None, None, None)
            errand.folder = None

    def _call_back(self) -> None:
        """Stop what still runs: ask first, so that runs can say "interrupted", then kill."""
        if not self.running:
            return
        self.say(f"calling {plural(len(self.running), 'cell')} back")
        refs = list(self.running)
        for ref in refs:
            self.ray.cancel(ref, force=False)
        _, deaf = self.ray.wait(refs, num_returns=len(refs), timeout=GRACE)
        for ref in deaf:
            self.ray.cancel(ref, force=True)
        self._take_mail()
        for errand in self.running.values():
            self._release(errand, RunState.INTERRUPTED)
        self.running.clear()


def _writer(folder: RunFolder) -> str:
    status = folder.status()
    return f" on {status['host']} (pid {status['pid']})" if "host" in status else ""
