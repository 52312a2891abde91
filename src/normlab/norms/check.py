"""The contract of a normalization scheme, as a function that authors of new ones can call in their tests.

`check_norm` builds the scheme and measures what it declares. It draws its inputs from a fixed seed, leaves
the global random state alone, runs on the CPU, and raises an AssertionError that names the violated requirement.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.check_statistics import (
    Build,
    activates_if_it_says_so,
    close,
    depends_on_what_it_declares,
    maps_each_value_alone,
    mixes_over_what_it_declares,
    moved,
    pools_over_exactly_what_it_declares,
)

_FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def check_norm(norm: str | Callable[..., Norm], num_channels: int = 16, **options: Any) -> None:
    """Raise an AssertionError that says what is wrong if the scheme violates the contract.

    Checked: shape, type and memory format kept, statistics in float32 at least; over exactly `pools_over` mean 0
        and variance 1, or what else the card's `statistics` promises: mean square 1; of a mixture that scale and
        shift of the input change nothing and that each declared axis matters; of a scheme with an activation that
        each declared axis matters and no other; without `pools_over`, an increasing function of each value alone;
        an activation exactly where `activates` says so; no dependence on batch mates unless declared, and never in
        evaluation; training equal to evaluation unless `running_state`; gradients in float64; a batch of one and
        1x1 maps; large offsets; the state dict; torch.export; step-by-step equality with `torch_equivalent()`;
        `fused()` equal to the norm followed by sum and, unless it `activates`, ReLU; torch.func (vmap, jvp) in
        evaluation; input of 2, 3 and 5 axes treated as maps of as many positions; an empty batch; integers refused
        by a scheme that has statistics.

    Args:
        norm: a name in `NORMS`, or what builds the layer from `num_channels` and `options`, e.g. the class.
        num_channels: C of the layers that are tried.
        options: of the scheme.
    """

    def build() -> Norm:
        factory = NORMS.get(norm) if isinstance(norm, str) else norm
        return factory(num_channels, **options)

    with torch.random.fork_rng(devices=[]):
        for clause in (
            _declares_itself,
            _keeps_type_and_format,
            pools_over_exactly_what_it_declares,
            mixes_over_what_it_declares,
            depends_on_what_it_declares,
            maps_each_value_alone,
            _ignores_batch_mates,
            _evaluates_as_it_trains,
            _has_true_gradients,
            _takes_a_single_sample_and_a_single_pixel,
            _survives_a_large_offset,
            _restores_its_state,
            _exports,
            _equals_torch,
            _fuses_what_follows,
            _passes_through_transforms,
            _takes_features_sequences_and_volumes,
            _takes_an_empty_batch,
            _refuses_integers,
            activates_if_it_says_so,
        ):
            torch.manual_seed(0)
            clause(build)


def _declares_itself(build: Build) -> None:
    layer = build()
    assert isinstance(layer, Norm), f"{type(layer).__name__} is no normlab.norms.base.Norm"
    assert layer.card.name, "the card has no name"
    assert layer.card.formula, "the card has no formula"
    assert layer.pools_over <= set("NCHW"), f"pools_over is not within NCHW: {sorted(layer.pools_over)}"
    assert layer.batch_dependent == ("N" in layer.pools_over), "batch_dependent contradicts pools_over"
    assert layer.activates or layer.card.statistics != "activated", "the card's statistics contradict activates"
    if layer.card.statistics == "none":
        assert not layer.pools_over, "the card declares no statistics, which contradicts pools_over"


def _keeps_type_and_format(build: Build) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        for name, memory_format in _FORMATS.items():
            layer = build().double() if dtype == torch.float64 else build()
            x = _input(layer).to(dtype, memory_format=memory_format).requires_grad_()
            y = layer(x)
            when = f"for {dtype} input in {name}"
            assert y.shape == x.shape, f"shape {tuple(x.shape)} became {tuple(y.shape)} {when}"
            assert y.dtype == dtype, f"the output is {y.dtype} {when}"
            assert y.is_contiguous(memory_format=memory_format), f"the memory format is lost {when}"
            (grad,) = torch.autograd.grad(y.sum(), x)
            assert grad.dtype == dtype, f"the gradient is {grad.dtype} {when}"
            if dtype == torch.bfloat16:
                exact = build()(x.detach().float()).to(dtype)
                close(y, exact, 2**-7, "bfloat16 is off by more than rounding: keep float32 statistics")


def _ignores_batch_mates(build: Build) -> None:
    for training in (True, False):
        layer = build().train(training)
        if training and layer.batch_dependent:
            continue
        mode = "training" if training else "evaluation"
        x = _input(layer).requires_grad_()
        close(layer(x)[:1], layer(x[:1]), 1e-5, f"in {mode} a sample's output depends on its batch mates")
        (grad,) = torch.autograd.grad(layer(x)[0].square().sum(), x)
        assert grad[1:].abs().max() == 0, f"in {mode} a sample's gradient reaches its batch mates"


def _evaluates_as_it_trains(build: Build) -> None:
    layer = build()
    if layer.running_state:
        return
    x = _input(layer)
    close(layer.train()(x), layer.eval()(x), 0, "training and evaluation differ without running_state")


def _has_true_gradients(build: Build) -> None:
    for training in (True, False):
        layer = moved(build().double()).train(training)
        x = torch.randn(2, layer.num_channels, 3, 2, dtype=torch.float64, requires_grad=True)
        inputs = (x, *layer.parameters())
        try:
            torch.autograd.gradcheck(lambda x, *_, layer=layer: layer(x) * 1.0, inputs)
        except RuntimeError as error:
            raise AssertionError(f"gradcheck fails with training={training}: {error}") from error


def _takes_a_single_sample_and_a_single_pixel(build: Build) -> None:
    layer = build()
    C = layer.num_channels
    one_sample, one_value = torch.randn(1, C, 4, 4), torch.randn(1, C, 1, 1)
    assert layer(one_sample).isfinite().all(), "a batch of one gives values that are not finite"
    if layer.batch_dependent:
        try:
            layer(one_value)
        except ValueError:
            pass
        else:
            raise AssertionError("a single value per channel must be refused in training: it has no variance")
    else:
        assert layer(one_value).isfinite().all(), "a 1x1 map gives values that are not finite"
    assert layer.eval()(one_value).isfinite().all(), "a 1x1 map is not finite in evaluation"


def _survives_a_large_offset(build: Build) -> None:
    layer = build()
    if not layer.pools_over:
        return
    x = torch.randn(4, layer.num_channels, 8, 8) + 1e4
    exact = copy.deepcopy(layer).double()(x.double()).float()
    close(layer(x), exact, 5e-3, "an offset of 10,000 destroys the result: use two passes")


def _restores_its_state(build: Build) -> None:
    layer = moved(build())
    layer(_input(layer))
    copied = build()
    copied.load_state_dict(layer.state_dict())
    for training in (False, True):
        x = _input(layer)
        message = "a layer built from the state dict computes something else"
        close(copied.train(training)(x), layer.train(training)(x), 0, message)


def _exports(build: Build) -> None:
    layer = moved(build()).eval()
    x = _input(layer)
    program = torch.export.export(layer, (x,))
    close(program.module()(x), layer(x), 1e-5, "the exported program computes something else")


def _equals_torch(build: Build) -> None:
    layer = moved(build())
    equivalent = layer.torch_equivalent()
    if equivalent is None:
        return
    for _ in range(3):
        x = _input(layer).requires_grad_()
        grad = torch.randn_like(x)
        ours, theirs = (torch.autograd.grad(m(x), (x, *m.parameters()), grad) for m in (layer, equivalent))
        close(layer(x), equivalent(x), 1e-5, f"the output differs from torch's {type(equivalent).__name__}")
        for a, b in zip(ours, theirs, strict=True):
            close(a, b, 1e-4, f"a gradient differs from torch's {type(equivalent).__name__}")
    for key, value in equivalent.state_dict().items():
        close(layer.state_dict()[key], value, 1e-5, f"{key} differs from torch's {type(equivalent).__name__}")
    layer.eval(), equivalent.eval()
    close(layer(x), equivalent(x), 1e-5, f"in evaluation the output differs from torch's {type(equivalent).__name__}")


def _fuses_what_follows(build: Build) -> None:
    for training in (True, False):
        layer = build().train(training)
        x, residual = _input(layer), _input(layer)
        fused = layer.fused(x, residual=residual, relu=True)
        plain = layer(x) + residual  # the same batch again; in training only running estimates moved
        if layer.activates:
            close(fused, plain, 1e-4, "fused() differs from norm(x) + residual, which has its activation")
        else:
            close(fused, torch.relu(plain), 1e-4, "fused() differs from relu(norm(x) + residual)")


def _passes_through_transforms(build: Build) -> None:
    layer = moved(build()).eval()
    x, tangent = _input(layer), _input(layer)
    try:
        mapped = torch.func.vmap(lambda sample: layer(sample[None])[0])(x)
        derivative = torch.func.jvp(layer, (x,), (tangent,))[1]
    except (RuntimeError, NotImplementedError) as error:
        raise AssertionError(f"torch.func (vmap, jvp) fails: {error}") from error
    close(mapped, layer(x), 1e-4, "vmap over the samples computes something else")
    leaf = x.requires_grad_()
    (grad,) = torch.autograd.grad((layer(leaf) * tangent).sum(), leaf)
    # <tangent, J tangent> by forward and by backward mode.
    close((derivative * tangent).sum(), (grad * tangent).sum(), 1e-3, "jvp and backward disagree")


def _takes_features_sequences_and_volumes(build: Build) -> None:
    layer = build()
    C = layer.num_channels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a scheme may say that it leaves nothing of one position
        for shape, as_maps in (((4, C), (4, C, 1, 1)), ((4, C, 6), (4, C, 6, 1)), ((4, C, 2, 3, 4), (4, C, 6, 4))):
            x = torch.randn(shape)
            try:
                y = layer(x)
            except (ValueError, RuntimeError) as error:
                raise AssertionError(f"input of {len(shape)} axes is refused: {error}") from error
            close(y, layer(x.view(as_maps)).view(shape), 1e-5, f"{len(shape)} axes differ from the same values as maps")


def _takes_an_empty_batch(build: Build) -> None:
    layer = build()
    x = torch.ones(0, layer.num_channels, 4, 4, requires_grad=True)
    for training in (True, False):
        y = layer.train(training)(x)
        assert y.shape == x.shape, f"an empty batch came out as {tuple(y.shape)}"
        y.sum().backward()
    for name, buffer in layer.named_buffers():
        assert buffer.isfinite().all(), f"an empty batch left {name} not finite"


def _refuses_integers(build: Build) -> None:
    layer = build()
    if not layer.pools_over:
        return
    try:
        layer(torch.ones(4, layer.num_channels, 4, 4, dtype=torch.long))
    except (TypeError, ValueError):
        return
    raise AssertionError("integers must be refused with a TypeError: they have no place for a normalised value")


def _input(layer: Norm) -> Tensor:
    return torch.randn(4, layer.num_channels, 5, 6) * 2 + 1
