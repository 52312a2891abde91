"""What an example input shows about the norm layers of a model, and trying a replacement on such an input."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from normlab.errors import UserError

Shape = tuple[int, ...]


def run_example(model: nn.Module, example: Any) -> None:
    """Run the model on an example, in evaluation and without gradients, leaving modes and random state alone.

    Args:
        example: a tensor or other single input, a tuple or list of positional arguments, or a mapping of keywords.
    """
    with in_evaluation(model), torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(example, Mapping):
            model(**example)
        elif isinstance(example, tuple | list):
            model(*example)
        else:
            model(example)


def input_shapes(model: nn.Module, layers: list[nn.Module], example: Any) -> dict[int, set[Shape]]:
    """Return the shapes of the tensors that each layer gets when the model runs on the example, by the layer's id.

    Raises: UserError if the model fails on it.
    """
    shapes: dict[int, set[Shape]] = {id(layer): set() for layer in layers}

    def note(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for value in (*args, *kwargs.values()):
            if isinstance(value, torch.Tensor):
                shapes[id(layer)].add(tuple(value.shape))
                return

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True, prepend=True) for layer in layers]
    try:
        run_example(model, example)
    except Exception as error:
        message = (str(error).splitlines() or [""])[0]
        raise UserError(f"swap_norms: the model fails on the example: {type(error).__name__}: {message}") from error
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def failure_on(layer: nn.Module, shape: Shape, fallback: torch.Tensor) -> str | None:
    """Return why a layer does not map an input of that shape to one of the same shape, None if it does."""
    trial = copy.deepcopy(layer)
    like = next((t for t in (*trial.parameters(), *trial.buffers()) if t.is_floating_point()), fallback)
    shape = (max(shape[0], 2), *shape[1:])
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for training in (True, False):
            try:
                y = trial.train(training)(torch.zeros(shape, device=like.device, dtype=like.dtype))
            except Exception as error:  # whatever a stranger's layer raises
                return (str(error).splitlines() or [type(error).__name__])[0]
            if not isinstance(y, torch.Tensor) or y.shape != shape:
                return "its output has another shape"
    return None


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Within the block the model evaluates; after it, each module is in its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
