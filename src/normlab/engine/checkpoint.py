"""Weights and training state on disk, as safetensors: one file, replaced atomically, never unpickled.

`model.safetensors` holds the weights of the chosen epoch, a copy on disk that later steps cannot touch.
`last.safetensors` holds model, optimiser, counters and, if there is one, the average of the weights; its plain values
travel as JSON in the file's metadata.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from normlab.errors import UserError, shortened
from normlab.json_file import parse_json
from normlab.reading import refuse_special, unreadable
from normlab.runs.atomic import write_bytes


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's state dict."""
    write_bytes(path, _as_bytes(_plain_tensors(model.state_dict())))


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into a model of the same shape.

    Raises: UserError if the file is missing, damaged, or of another model.
    """
    tensors, _ = _read(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(
            f"{path}: weights of another model ({reason}): use the config.yaml they were made with"
        ) from None


def save_training(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    counters: dict[str, Any],
    average: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write all that resuming needs; `average` holds averaged weights by name."""
    tensors = {f"model.{name}": value for name, value in _plain_tensors(model.state_dict()).items()}
    tensors |= {f"average.{name}": value for name, value in _plain_tensors(average).items()}
    plain: dict[str, dict[str, Any]] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                plain.setdefault(str(index), {})[name] = value
    metadata = {"counters": json.dumps(counters), "optimizer": json.dumps(plain)}
    write_bytes(path, _as_bytes(tensors, metadata))


def load_training(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Any]:
    """Restore model, optimiser and averaged weights in place; return the counters.

    Raises: UserError if the file is damaged or of another model, or if an average is wanted and it holds none.
    """
    tensors, metadata = _read(path)
    for name, value in average.items():
        if f"average.{name}" not in tensors:
            raise UserError(f"{path}: holds no average of {name}: was begun without `average: ema`: train a new run")
        value.copy_(tensors[f"average.{name}"])
    try:
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        _load_optimizer(optimizer, tensors, parse_json(metadata["optimizer"], str(path)))
        counters = parse_json(metadata["counters"], str(path))
    except UserError:
        raise
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(
            f"{path}: no checkpoint of this model ({type(error).__name__}: {reason}): restore the file that belongs to "
            "its config.yaml, or train again"
        ) from None
    if not isinstance(counters, dict):
        raise UserError(f"{path}: its counters are {shortened(counters)}: restore the file, or train again")
    return counters


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], plain: dict[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {int(i): dict(values) for i, values in plain.items()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = _laid_out_like(parameters[int(index)], value)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _as_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    with _interrupts_later():
        return save(tensors, metadata=metadata)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors and metadata. The file is opened once, by Python: safetensors opens it twice, calls whatever the
    system says "not found", and torch, which maps it, raises what it likes."""
    try:
        refuse_special(path, path.stat().st_mode)
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint: train first, or give another run") from None
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        with _interrupts_later():
            tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return tensors, header.get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({error}): delete it and resume, or train again"
        ) from None


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Keep what handlers of signals raise until the block has ended: safetensors takes it for a damaged file."""
    came: list[tuple[int, FrameType | None]] = []
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    if threading.current_thread() is threading.main_thread():  # Python's handlers run nowhere else
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)
        for kind, frame in came:
            handlers[kind](kind, frame)


def _laid_out_like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """Give a momentum buffer its parameter's memory format, as it had before it was saved."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _plain_tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Detach and copy: safetensors refuses tensors that share memory or are laid out out of order."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
