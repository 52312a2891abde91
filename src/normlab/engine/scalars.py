"""The run's scalars as TensorBoard event files, if the extra `tensorboard` is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class ScalarLog:
    """Writes every number of an epoch's record under its own name."""

    def __init__(self, folder: Path) -> None:
        self._writer = _open_writer(folder / "tensorboard")

    def add(self, record: Mapping[str, Any]) -> None:
        """Add an epoch's record; its "epoch" is the horizontal axis."""
        self._write(record, record["epoch"])

    def close(self, final: Mapping[str, float], epoch: int) -> None:
        """Add the final metrics under `final/` and close the file."""
        self._write({f"final/{name}": value for name, value in final.items()}, epoch)
        if self._writer is not None:
            self._writer.close()

    def _write(self, values: Mapping[str, Any], step: int) -> None:
        if self._writer is None:
            return
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(name, value, step)


def _open_writer(folder: Path) -> Any:
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    try:
        return SummaryWriter(str(folder))
    except UnicodeError:  # TensorBoard cannot open a path that the locale cannot encode
        return None
