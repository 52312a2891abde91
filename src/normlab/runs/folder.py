"""One training's folder: created, locked, filled, read again.

    config.yaml        what was asked for; the file that makes a folder a run
    environment.json   where it ran
    card.json          what the model needs to be used: classes, mean, standard deviation, ...
    metrics.jsonl      one object per epoch
    layers.jsonl       one object per epoch: what was measured of every layer, with `distributions: all`
    log.txt            the same as plain lines
    status.json        running, finished, diverged, pruned, failed, interrupted
    checkpoints/  predictions/
    result.json        written last: it means "done"

Only one process writes to a folder; a second one is refused. Every file but the two logs is replaced atomically, and
a reader ignores a torn last line of a log.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from normlab.config import Config
from normlab.errors import UserError
from normlab.json_file import read_json, read_json_lines
from normlab.runs.atomic import appending, make_folder, remove_unfinished, write_json, write_text
from normlab.runs.environment import describe_environment
from normlab.runs.lock import FolderLock
from normlab.runs.result import RESULT_SCHEMA
from normlab.runs.schema import (
    Card,
    Environment,
    EpochOnly,
    EpochRecord,
    LayersRecord,
    Result,
    Status,
    checked,
)
from normlab.runs.states import RunState
from normlab.yaml_file import read_yaml

_FIRST_FILES = (
    "config.yaml",
    "environment.json",
    "card.json",
    "metrics.jsonl",
    "layers.jsonl",
    "log.txt",
    "status.json",
)


class RunFolder:
    """A run on disk. Reading needs no lock; writing happens inside `with folder:`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._made: list[Path] = []  # folders that `create` made, the innermost first
        self._lock = FolderLock(self.path / ".lock")

    @classmethod
    def create(cls, path: Path | str, config: Config, task: str) -> Self:
        """Make a new run folder.

        Raises: UserError if the folder holds a run already, is a file, or cannot be written.
        """
        folder = cls(path)
        if os.path.lexists(folder.path / "config.yaml"):
            raise UserError(
                f"{folder.path}: holds a run: go on with `normlab resume {folder.path}`, or choose another --out"
            )
        try:
            folder._made = make_folder(folder.path)
        except OSError as error:
            raise UserError(
                f"{folder.path}: cannot make the run folder ({error.strerror}): choose another --out"
            ) from None
        try:
            with folder:
                write_json(folder.path / "environment.json", describe_environment())
                folder.set_status(RunState.CREATED)
                write_text(folder.path / "config.yaml", f"task: {task}\n{config.to_yaml()}")
        except BaseException:
            folder.withdraw()
            raise
        return folder

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open an existing run; raise `UserError` if there is none."""
        folder = cls(path)
        if not (folder.path / "config.yaml").is_file():
            what = "no such folder" if not folder.path.exists() else "not a run folder (no config.yaml)"
            raise UserError(f"{folder.path}: {what}: give the folder that `normlab train --out` made")
        return folder

    def __enter__(self) -> Self:
        self._lock.acquire(self.path)
        remove_unfinished(self.path, self.checkpoints, self.predictions)  # a checkpoint is large
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    # What a reader asks for

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def exists(self) -> bool:
        """True once training was asked for."""
        return (self.path / "config.yaml").exists()

    @property
    def checkpoints(self) -> Path:
        """Where weights lie."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The file of the weights that validation chose."""
        return self.checkpoints / "model.safetensors"

    @property
    def predictions(self) -> Path:
        """Where predictions on the splits lie."""
        return self.path / "predictions"

    def config(self) -> dict[str, Any]:
        """Return the configuration with the key `task`, as plain values."""
        return read_yaml(self.path / "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Return where it ran."""
        return self._read("environment.json", Environment)

    def card(self) -> dict[str, Any]:
        """Return what the model needs to be used; empty before training has prepared the data."""
        return self._read("card.json", Card, default={})

    def status(self) -> dict[str, Any]:
        """Return {"state": ..., "time": ...}; "running" without a process that has the lock reads as "interrupted"."""
        status = self._read("status.json", Status, default={"state": RunState.CREATED})
        state = RunState(status["state"])
        if state is RunState.RUNNING and not self._lock.held_by_someone():
            state = RunState.INTERRUPTED
        return {**status, "state": state}

    def result(self) -> dict[str, Any]:
        """Return the final result; raise `UserError` if the run is not done."""
        if not self.done:
            raise UserError(
                f"{self.path}: no result.json (state: {self.status()['state']}): "
                f"finish it with `normlab resume {self.path}`"
            )
        result = self._read("result.json", Result)
        result.pop("schema", None)
        return result

    @property
    def done(self) -> bool:
        """True once `result.json` stands."""
        return (self.path / "result.json").is_file()

    @property
    def saved(self) -> bool:
        """True once there is an epoch from which the run can go on."""
        return (self.checkpoints / "last.safetensors").is_file() and (self.path / "metrics.jsonl").is_file()

    def metrics(self) -> Sequence[dict[str, Any]]:
        """Return the epochs' records in order."""
        return _records(self.path / "metrics.jsonl", EpochRecord)

    def layers(self) -> list[dict[str, Any]]:
        """Return the epochs' records by layer, {"epoch", "layers": {name: {quantity: value}}}, if asked for."""
        return _records(self.path / "layers.jsonl", LayersRecord)

    # What the writer does

    def set_status(self, state: RunState | str, **details: Any) -> None:
        """Record the state, when it began (seconds since 1970), and which process of which machine says so."""
        writer = {"host": platform.node(), "pid": os.getpid()}
        write_json(self.path / "status.json", {"state": RunState(state), "time": time.time(), **writer, **details})

    def write_card(self, card: Mapping[str, Any]) -> None:
        """Record what the model needs to be used."""
        write_json(self.path / "card.json", card)

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one epoch's record, on disk before this returns."""
        _append_jsonl(self.path / "metrics.jsonl", record)

    def append_layers(self, record: Mapping[str, Any]) -> None:
        """Add one epoch's record by layer, on disk before this returns."""
        _append_jsonl(self.path / "layers.jsonl", record)

    def keep_metrics(self, epochs: int) -> None:
        """Drop the records after an epoch: those a checkpoint does not know are trained again."""
        for name in ("metrics.jsonl", "layers.jsonl"):
            records = [record for record in _records(self.path / name, EpochOnly) if record["epoch"] <= epochs]
            if records or name == "metrics.jsonl":
                write_text(self.path / name, "".join(json.dumps(record) + "\n" for record in records))
            else:
                (self.path / name).unlink(missing_ok=True)

    def log(self, line: str) -> None:
        """Add a line to log.txt with date and time in UTC."""
        now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        with appending(self.path / "log.txt") as file:
            file.write(f"{now} {line}\n")

    def withdraw(self) -> bool:
        """Delete a run that never finished an epoch, so that the corrected command may use its folder.

        Only what a run writes is deleted; a folder that held something else before keeps it.
        Returns: whether it was deleted.
        """
        if self.saved or self.done:
            return False
        for name in (*_FIRST_FILES, ".lock"):
            (self.path / name).unlink(missing_ok=True)
        for name in ("model.safetensors", "last.safetensors"):
            (self.checkpoints / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)
        with suppress(OSError):  # not empty, or not there: other files remain
            self.checkpoints.rmdir()
        with suppress(OSError):
            for folder in self._made or [self.path]:
                folder.rmdir()
        return True

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`; the run is done."""
        self.set_status(result["state"])
        write_json(self.path / "result.json", {"schema": RESULT_SCHEMA, **result})

    def _read(self, name: str, kind: type[BaseModel], default: dict[str, Any] | None = None) -> dict[str, Any]:
        path = self.path / name
        if not os.path.lexists(path):
            if default is not None:
                return default
            raise UserError(f"{path}: missing: the run folder is incomplete; train again with another --out")
        return checked(read_json(path), kind, str(path))


def list_runs(root: Path | str) -> list[RunFolder]:
    """Return the runs below a folder, sorted by path; hidden folders are left out."""
    paths = sorted(Path(root).rglob("config.yaml"))
    return [
        RunFolder(path.parent)
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]


def _json_value(value: Any) -> Any:
    """Return a value as JSON can hold it, which knows neither NaN nor infinity."""
    if isinstance(value, Mapping):
        return {name: _json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    with appending(path) as file:
        file.write(json.dumps(_json_value(record)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _records(path: Path, kind: type[BaseModel]) -> list[dict[str, Any]]:
    if not os.path.lexists(path):
        return []
    return [dict(checked(value, kind, f"{path}:{number}")) for number, value in read_json_lines(path)]
