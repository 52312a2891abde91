"""An interrupt while weights are read is an interrupt, not a damaged file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from normlab.engine import checkpoint


class File:
    """A file of weights as safetensors reads it: an exception of Python's within becomes one of its own."""

    def keys(self) -> list[str]:
        return ["weight", "bias"]

    def get_tensor(self, name: str) -> torch.Tensor:
        try:
            signal.raise_signal(signal.SIGINT)
            return torch.ones(2, 2) if name == "weight" else torch.ones(2)
        except KeyboardInterrupt:
            raise SafetensorError("could not determine the shape of object type") from None

    def metadata(self) -> dict[str, str]:
        return {}


@contextmanager
def opened(path: Path, framework: str) -> Iterator[Any]:
    yield File()


def test_an_interrupt_while_weights_are_read_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    checkpoint.save_weights(path, nn.Linear(2, 2))
    monkeypatch.setattr(checkpoint, "safe_open", opened)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            checkpoint.load_weights(path, nn.Linear(2, 2))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
