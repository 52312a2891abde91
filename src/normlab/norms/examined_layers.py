"""What a norm layer of an unknown class computes, found by running a copy of it on random input.

The copy gets random weights and estimates (zero weights would hide differences) and runs in float64, in training
and in evaluation, on input of 2 to 5 axes. It is known if its output is always one formula of its own attributes,
followed by its own submodules (a dropout, an activation) or by one common activation function.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from normlab.norms.norm_layer import HOOKS, Kind, NormLayer, axes_of, resembles_batch_norm

_TOKENS = "over the last axis (tokens), which is no map (N, C, ...)"
_ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    nn.ReLU, nn.LeakyReLU, nn.SiLU, nn.GELU, lambda: nn.GELU("tanh"), nn.ReLU6, nn.Hardswish, nn.ELU, nn.Mish, nn.SELU,
    nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardsigmoid, nn.Hardtanh, lambda: nn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.2),
)  # fmt: skip


class _Trial(NamedTuple):
    axes: int  # of the input
    normalised: Tensor  # what the formula gives
    output: Tensor  # what the layer gives


def examine(module: nn.Module) -> NormLayer | str:
    """Return what the layer does, or the reason why it cannot be replaced."""
    name = type(module).__name__
    formulas = list(_possible_formulas(module))
    if more := _further_arguments(module):
        return f"the forward of {name} takes more than its input ({', '.join(more)})"
    if not formulas:
        is_rms = "RMS" in name.upper()
        return f"{name} is a root-mean-square norm, which no scheme is" if is_rms else f"{name} is not known"
    try:
        layer = _randomised_copy(module)
    except Exception as error:  # whatever a stranger's class raises when it is copied
        return f"{name} cannot be copied to examine it ({type(error).__name__})"
    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.autocast("cpu", enabled=False), _quietly():
        for kind, formula in formulas:
            trials = list(_trials(layer, kind, formula))
            followers = _followers(module, layer, trials) if trials else None
            if followers is None:
                continue
            if kind == "tokens":
                return f"{name} {_TOKENS}"
            axes = tuple(sorted({trial.axes for trial in trials}))
            is_frozen = formula is _by_estimates or _refuses_to_train(layer)
            return NormLayer(module, kind, num_channels(module), axes, followers, is_frozen)
    return f"{name} does not compute a known norm, alone or with an activation after it"


def _further_arguments(module: nn.Module) -> list[str]:
    """Return the names of what `forward` takes beside its input, which a replacement would not take."""
    try:
        _, *more = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # no signature, or no argument at all
        return []
    return [p.name for p in more if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings, and on one thread: inputs are small, and starting other threads costs more than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)


def num_channels(module: nn.Module) -> int:
    """Return C of a layer with one of torch's attributes for it, or with batch norm's estimates."""
    for key in ("num_features", "num_channels", "normalized_shape"):
        value = getattr(module, key, None)
        if value is not None:
            return int(value[0] if key == "normalized_shape" else value)
    return len(module.running_mean)  # type: ignore[arg-type]


def _possible_formulas(module: nn.Module) -> Iterator[tuple[Kind, Callable[[nn.Module, Tensor], Tensor]]]:
    if isinstance(module, nn.GroupNorm):
        yield "group", _over_groups
    elif isinstance(module, _InstanceNorm):
        yield "instance", _over_positions
    elif isinstance(module, nn.LayerNorm):
        yield ("layer" if len(module.normalized_shape) > 2 else "tokens"), _over_last_axes
        if len(module.normalized_shape) == 1:
            yield "channel", _over_channels
    elif isinstance(module, _BatchNorm) or resembles_batch_norm(module):
        yield "batch", _over_batch
        if getattr(module, "running_mean", None) is not None:
            yield "batch", _by_estimates


def _over_groups(layer: nn.Module, x: Tensor) -> Tensor:
    return F.group_norm(x, layer.num_groups, layer.weight, layer.bias, layer.eps)  # type: ignore[arg-type]


def _over_positions(layer: nn.Module, x: Tensor) -> Tensor:
    if not layer.training and layer.running_mean is not None:
        return _by_estimates(layer, x)
    return F.instance_norm(x, weight=layer.weight, bias=layer.bias, eps=layer.eps)  # type: ignore[arg-type]


def _over_last_axes(layer: nn.Module, x: Tensor) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)  # type: ignore[arg-type]


def _over_channels(layer: nn.Module, x: Tensor) -> Tensor:
    return _over_last_axes(layer, x.movedim(1, -1)).movedim(-1, 1)


def _over_batch(layer: nn.Module, x: Tensor) -> Tensor:
    if not layer.training and getattr(layer, "running_mean", None) is not None:
        return _by_estimates(layer, x)
    return F.batch_norm(x, None, None, _tensor(layer, "weight"), _tensor(layer, "bias"), True, 0.0, epsilon(layer))


def _by_estimates(layer: nn.Module, x: Tensor) -> Tensor:
    mean, var, weight, bias = (_tensor(layer, key) for key in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, False, 0.0, epsilon(layer))


def _tensor(layer: nn.Module, key: str) -> Tensor | None:
    value = getattr(layer, key, None)
    return value if isinstance(value, Tensor) else None


def epsilon(layer: nn.Module) -> float:
    """Return what the layer adds to a variance; frozen batch norms often write the usual 1e-5 into their code."""
    value = getattr(layer, "eps", None)
    return float(value) if isinstance(value, int | float) else 1e-5


def _trials(layer: nn.Module, kind: Kind, formula: Callable[[nn.Module, Tensor], Tensor]) -> Iterator[_Trial]:
    """Run layer and formula in both modes on every input that the layer takes."""
    for shape in _input_shapes(layer, kind):
        x = torch.randn(shape, dtype=torch.float64, device="cpu")
        both = []
        for training in (True, False):
            layer.training = training  # not .train(): a dropout that follows stays still
            try:
                normalised = formula(layer, x)
                output = layer.forward(x.clone())  # not __call__: no hooks
            except Exception:  # an input of these axes is not for this layer
                break
            if isinstance(output, Tensor) and output.shape == x.shape:  # else broadcast along a wrong axis
                both.append(_Trial(len(shape), normalised, output))
        if len(both) == 2:
            yield from both


def _input_shapes(layer: nn.Module, kind: Kind) -> list[tuple[int, ...]]:
    C = num_channels(layer)
    N, a, b, c = [size for size in (5, 2, 3, 4, 6) if size != C][:4]  # C stands at one place only
    if kind == "layer":
        return [(N, *layer.normalized_shape)]  # type: ignore[misc]
    if kind == "tokens":
        return [(N, b, *layer.normalized_shape)]  # type: ignore[misc]
    shapes: list[tuple[int, ...]] = [(N, C), (N, C, c), (N, C, b, c), (N, C, a, b, c)]
    axes = axes_of(type(layer))
    return [shape for shape in shapes if len(shape) in axes and not (len(shape) == 2 and kind == "channel")]


def _followers(module: nn.Module, layer: nn.Module, trials: list[_Trial]) -> dict[str, nn.Module] | None:
    """Return what makes the layer's output from the formula's in every trial; None if no known one does."""
    children = [name for name, child in layer.named_children()][:4]
    for count in range(len(children), -1, -1):
        for names in itertools.permutations(children, count):
            if _explain(trials, nn.Sequential(*(layer.get_submodule(name) for name in names))):
                return {name: module.get_submodule(name) for name in names}
    for build in _ACTIVATIONS:
        if _explain(trials, build()):
            return {"act": build()}
    return None


def _explain(trials: list[_Trial], follower: nn.Module) -> bool:
    follower.eval()
    try:
        return all(
            torch.allclose(follower(trial.normalised.clone()), trial.output.double(), rtol=1e-5, atol=2e-5)
            for trial in trials
        )
    except Exception:  # a submodule that takes no map
        return False


def _randomised_copy(module: nn.Module) -> nn.Module:
    """Copy the layer to the CPU in float64, without hooks, with random values, so that no term vanishes."""
    layer = copy.deepcopy(module)
    if any(t.is_meta for t in (*layer.parameters(), *layer.buffers())):
        layer.to_empty(device="cpu")
    layer.to(device="cpu", dtype=torch.float64).eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
        if tensor.is_floating_point():  # weights from 1 to 4 take the output beyond the bend of a ReLU6
            low, high = (-1.0, 1.0) if name.endswith(("bias", "mean")) else (1.0, 4.0)
            tensor.data.uniform_(low, high, generator=generator)
    for part in layer.modules():
        for key in HOOKS:
            setattr(part, key, OrderedDict())
    return layer


def _refuses_to_train(layer: nn.Module) -> bool:
    """Whether `train()` leaves the layer in evaluation, as frozen batch norms do."""
    layer.training = False
    layer.train()
    return not layer.training
