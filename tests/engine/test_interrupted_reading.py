"""An interrupt while weights are read is an interrupt, not a damaged file."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from normlab.engine import checkpoint
from normlab.errors import UserError


def load(content: bytes) -> dict[str, torch.Tensor]:
    """Read weights as safetensors does: an exception of Python's within becomes one of its own."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise SafetensorError("could not determine the shape of object type") from None
    return {"weight": torch.ones(2, 2), "bias": torch.ones(2)}


def test_an_interrupt_while_weights_are_read_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    checkpoint.save_weights(path, nn.Linear(2, 2))
    monkeypatch.setattr(checkpoint, "load", load)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            checkpoint.load_weights(path, nn.Linear(2, 2))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "said"), [(errno.EACCES, "you may not read it"), (errno.EIO, "the disk fails")])
def test_a_checkpoint_that_cannot_be_opened_is_named_with_the_cause(
    number: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors calls it missing, whatever the system says."""
    path = tmp_path / "model.safetensors"
    checkpoint.save_weights(path, nn.Linear(2, 2))

    def refuse(self: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match=said):
        checkpoint.load_weights(path, nn.Linear(2, 2))
