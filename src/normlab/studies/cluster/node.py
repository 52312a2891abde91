"""What a machine of a cluster does with one cell: train it in the study's folder, or elsewhere and send it home.

This half runs on the other machine and knows nothing of the cluster's software; `dispatch.py` is the half at home.
A machine that sees the study's folder works in it, like a local worker. One that does not works in a temporary
folder, sends the run home after every epoch, and brings the finished one as its answer.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.runs import RunFolder, RunState
from normlab.runs.parcel import Parcel, pack, unpack
from normlab.studies.local import NotTrained, train_cell
from normlab.tasks import task_settings

TOKEN_FILE = ".shared"  # in the study's folder: who reads its content sees the very folder, not one of the same name
_LOOK_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class Order:
    """One cell to train, in plain values.

    Attributes:
        cell: its name.
        config: its configuration, as JSON values.
        folder: the study's folder of cells, as an absolute path at home.
        token: what `TOKEN_FILE` beside that folder holds; empty: send the run home in any case.
    """

    cell: str
    task: str
    config: dict[str, Any]
    folder: str
    token: str


def train_order(order: Order, begun: Parcel, send: Callable[[Parcel], None]) -> dict[str, Any]:
    """Train a cell to its end and return {"state", "line", "seconds", "parcel"}.

    The state is that of a local cell, or `NotTrained.REFUSED`. The parcel is empty if the study's folder is seen from
    here.

    Args:
        begun: the run as far as it has come, if this machine does not see it.
        send: takes the run home while it goes on.
    """
    started = time.perf_counter()
    if _sees(order):
        state, line = _train(order, Path(order.folder) / order.cell)
        return {"state": state, "line": line, "seconds": time.perf_counter() - started, "parcel": {}}
    with tempfile.TemporaryDirectory(prefix="normlab-cell-") as scratch:
        path = Path(scratch) / order.cell
        unpack(begun, path)
        with _sending(path, send):
            state, line = _train(order, path)
        parcel = {} if state == NotTrained.REFUSED else pack(path)
    return {"state": state, "line": line, "seconds": time.perf_counter() - started, "parcel": parcel}


def _sees(order: Order) -> bool:
    try:
        return bool(order.token) and (Path(order.folder).parent / TOKEN_FILE).read_text(encoding="utf-8") == order.token
    except OSError:
        return False


def _train(order: Order, path: Path) -> tuple[str, str]:
    folder = RunFolder(path)
    if folder.done:  # its first trainer was lost after the last word was written
        return RunState.FINISHED, "was finished already"
    if path.exists():
        try:
            with folder:
                pass
        except UserError as error:
            return NotTrained.BUSY, str(error)
    config = task_settings(order.task).config_class.parse(order.config, "study")
    state, line = train_cell(order.task, config, path)
    if state == RunState.FAILED and not folder.card():  # the card is written as soon as the data are read
        folder.withdraw()
        return NotTrained.REFUSED, line
    return state, line


@contextmanager
def _sending(path: Path, send: Callable[[Parcel], None]) -> Iterator[None]:
    """Send the run whenever its state or its checkpoint has changed."""
    ended = threading.Event()
    thread = threading.Thread(target=_send_changes, args=(path, send, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _send_changes(path: Path, send: Callable[[Parcel], None], ended: threading.Event) -> None:
    sent: list[int] = []
    while not ended.wait(_LOOK_EVERY):
        stamps = [_stamp(path / name) for name in ("card.json", "status.json", "checkpoints/last.safetensors")]
        if stamps != sent and stamps[0]:
            send(pack(path))
            sent = stamps


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
