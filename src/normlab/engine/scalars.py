"""The run's scalars as TensorBoard event files, if the extra `tensorboard` is installed.

TensorBoard's own writer is a thread, whose error on a full disk is a traceback in the middle of the run's lines. Here
its records go to a file of ours, at each epoch.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from normlab.errors import WriteError


class ScalarLog:
    """Writes every number of an epoch's record under its own name.

    Raises: WriteError naming the file, from every method.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] | None = None
        if find_spec("tensorboard") is None:
            return
        name = f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}.0"
        self._path = folder / "tensorboard" / name
        try:
            self._path.parent.mkdir(exist_ok=True)
            self._file = self._path.open("ab")
        except OSError as error:
            raise WriteError(error, self._path) from error
        self._append([{"file_version": "brain.Event:2"}])

    def add(self, record: Mapping[str, Any]) -> None:
        """Add an epoch's record; its "epoch" is the horizontal axis."""
        self._add(record, record["epoch"])

    def close(self, final: Mapping[str, float], epoch: int) -> None:
        """Add the final metrics under `final/` and close the file."""
        self._add({f"final/{name}": value for name, value in final.items()}, epoch)
        if self._file is not None:
            self._file.close()

    def _add(self, values: Mapping[str, Any], step: int) -> None:
        if self._file is None:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        numbers = {name: float(value) for name, value in values.items() if isinstance(value, (int, float))}
        scalars = (Summary.Value(tag=name, simple_value=value) for name, value in numbers.items())
        self._append([{"step": step, "summary": Summary(value=[scalar])} for scalar in scalars])

    def _append(self, events: list[dict[str, Any]]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert self._file is not None
        writer = RecordWriter(self._file)
        try:
            for event in events:
                writer.write(Event(wall_time=time.time(), **event).SerializeToString())
            self._file.flush()
        except OSError as error:
            raise WriteError(error, self._path) from error
