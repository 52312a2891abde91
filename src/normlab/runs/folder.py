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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from normlab.config import Config, read_yaml
from normlab.errors import UserError
from normlab.runs.atomic import write_json, write_text
from normlab.runs.environment import describe_environment
from normlab.runs.lock import FolderLock

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
        self._lock = FolderLock(self.path / ".lock")

    @classmethod
    def create(cls, path: Path | str, config: Config, task: str) -> Self:
        """Make a new run folder.

        Raises: UserError if the place holds a run already, is a file, or cannot be written.
        """
        folder = cls(path)
        if (folder.path / "config.yaml").exists():
            raise UserError(
                f"{folder.path}: holds a run: go on with `normlab resume {folder.path}`, or choose another --out"
            )
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise UserError(
                f"{folder.path}: cannot make the run folder ({error.strerror}): choose another --out"
            ) from None
        with folder:
            write_json(folder.path / "environment.json", describe_environment())
            folder.set_status("created")
            write_text(folder.path / "config.yaml", f"task: {task}\n{config.to_yaml()}")
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
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    # What a reader asks for

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def checkpoints(self) -> Path:
        """Where weights lie."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """Where predictions on the splits lie."""
        return self.path / "predictions"

    def config(self) -> dict[str, Any]:
        """Return the configuration with the key `task`, as plain values."""
        return read_yaml(self.path / "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Return where it ran."""
        return self._read_json("environment.json")

    def card(self) -> dict[str, Any]:
        """Return what the model needs to be used; empty before training has prepared the data."""
        return self._read_json("card.json", default={})

    def status(self) -> dict[str, Any]:
        """Return {"state": ..., "time": ...}; a "running" whose writer is gone reads as "interrupted"."""
        status = self._read_json("status.json", default={"state": "created"})
        if status["state"] == "running" and not self._lock.held_by_someone():
            return {**status, "state": "interrupted"}
        return status

    def result(self) -> dict[str, Any]:
        """Return the final result; raise `UserError` if the run is not done."""
        if not self.done:
            raise UserError(
                f"{self.path}: no result.json (state: {self.status()['state']}): "
                f"finish it with `normlab resume {self.path}`"
            )
        return self._read_json("result.json")

    @property
    def done(self) -> bool:
        """True once `result.json` stands."""
        return (self.path / "result.json").is_file()

    def metrics(self) -> list[dict[str, Any]]:
        """Return the epochs' records in order."""
        return list(_read_jsonl(self.path / "metrics.jsonl"))

    def layers(self) -> list[dict[str, Any]]:
        """Return the epochs' records by layer, {"epoch", "layers": {name: {quantity: value}}}, if asked for."""
        return list(_read_jsonl(self.path / "layers.jsonl"))

    # What the writer does

    def set_status(self, state: str, **details: Any) -> None:
        """Record the state, when it began (seconds since 1970), and which process of which machine says so."""
        writer = {"host": platform.node(), "pid": os.getpid()}
        write_json(self.path / "status.json", {"state": state, "time": time.time(), **writer, **details})

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
            kept = [record for record in _read_jsonl(self.path / name) if record["epoch"] <= epochs]
            if kept or name == "metrics.jsonl":
                write_text(self.path / name, "".join(json.dumps(record) + "\n" for record in kept))
            else:
                (self.path / name).unlink(missing_ok=True)

    def log(self, line: str) -> None:
        """Add a line to log.txt with the time of day."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def withdraw(self) -> None:
        """Take back a run that never finished an epoch, so that its place is free for the corrected command.

        Only what a run writes is deleted; a folder that held something else before keeps it.
        """
        if self.metrics() or self.done:
            return
        for name in (*_FIRST_FILES, ".lock"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)
        with suppress(OSError):  # not empty: somebody else's files
            self.path.rmdir()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`; the run is done."""
        self.set_status(result["state"])
        write_json(self.path / "result.json", dict(result))

    def _read_json(self, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if default is not None:
                return default
            raise UserError(f"{path}: missing: the run folder is incomplete; train again with another --out") from None
        except ValueError:
            raise UserError(
                f"{path}: not valid JSON: the file was edited or damaged; restore it or train again"
            ) from None


def list_runs(root: Path | str) -> list[RunFolder]:
    """Return the runs below a folder, sorted by path; hidden folders are left out."""
    found = sorted(Path(root).rglob("config.yaml"))
    return [
        RunFolder(path.parent)
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]


def _json_value(value: Any) -> Any:
    """Return a value as JSON can hold it, which knows neither NaN nor infinity."""
    if isinstance(value, Mapping):
        return {name: _json_value(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_json_value(record)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError:
            if number == len(lines):  # a writer was killed in mid-line; the epoch is trained again
                return
            raise UserError(f"{path}:{number}: not valid JSON: the file was edited or damaged") from None
