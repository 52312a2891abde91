"""Our norms on the samples of torch's own tests (OpInfo and ModuleInfo), against torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.swap import swap_norms

pytestmark = pytest.mark.filterwarnings("ignore:swap_norms", "ignore:.*leaves nothing of it", "ignore:input's size")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    if importlib.util.find_spec("expecttest") is None:
        pytest.skip("torch's test tools need expecttest: `pip install expecttest`")
    path = tmp_path_factory.mktemp("samples") / "samples.pt"
    script = Path(__file__).with_name("torch_norm_samples.py")
    done = subprocess.run([sys.executable, str(script), str(path)], capture_output=True, text=True, check=False)
    if done.returncode:  # internal, and free to change
        pytest.skip(f"torch's test tools of this version do not fit: {done.stderr.strip().splitlines()[-1]}")
    return torch.load(path)


def batch_norm(x: Tensor, mean: Any, var: Any, weight: Any, bias: Any, training=False, momentum=0.1, eps=1e-5) -> Norm:
    layer = NORMS.create("batch", x.shape[1], eps=eps, momentum=momentum, track_running_stats=mean is not None)
    if mean is not None:
        layer.running_mean, layer.running_var = mean.clone(), var.clone()
    return with_weights(layer, weight, bias).train(training)


def group_norm(x: Tensor, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Norm:
    return with_weights(NORMS.create("group", x.shape[1], groups=num_groups, eps=eps), weight, bias)


def instance_norm(
    x: Tensor, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats=True, momentum=0.1, eps=1e-5,
) -> Norm | None:  # fmt: skip
    return with_weights(NORMS.create("instance", x.shape[1], eps=eps), weight, bias) if use_input_stats else None


def layer_norm(x: Tensor, shape: tuple, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Norm | None:
    has_ours = tuple(shape) == tuple(x.shape[1:]) and weight is None and bias is None
    return with_weights(NORMS.create("layer", x.shape[1], eps=eps), None, None) if has_ours else None


def with_weights(layer: Norm, weight: Tensor | None, bias: Tensor | None) -> Norm:
    layer.weight = None if weight is None else nn.Parameter(weight)
    layer.bias = None if bias is None else nn.Parameter(bias)
    return layer.double()


def value_and_gradient(function: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    y = function(x)
    (grad,) = torch.autograd.grad(y.pow(3).sum(), x)
    return y.detach(), grad


@pytest.mark.parametrize("function", [batch_norm, group_norm, instance_norm, layer_norm])
def test_samples_of_the_functional_norms(samples: dict[str, list[Any]], function: Any) -> None:
    compared = 0
    for name, x, args, kwargs in samples["functions"]:
        if name != function.__name__ or x.dim() < 2:
            continue
        layer = function(x, *args, **kwargs)
        if layer is None:
            continue
        torchs = getattr(F, name)
        theirs = [a.clone() if isinstance(a, Tensor) else a for a in args]
        try:
            expected = value_and_gradient(lambda x, a=theirs, k=kwargs, f=torchs: f(x, *a, **k), x)
        except ValueError as error:
            if "more than 1 spatial" not in str(error):  # ours is 0 there, and says so
                with pytest.raises(ValueError, match=str(error).split(",")[0]):
                    layer(x)
            continue
        torch.testing.assert_close(value_and_gradient(layer, x), expected, rtol=1e-7, atol=1e-7)
        if getattr(layer, "running_mean", None) is not None:
            torch.testing.assert_close((layer.running_mean, layer.running_var), tuple(theirs[:2]))
        compared += 1
    assert compared > (0 if function is layer_norm else 3)


@pytest.mark.parametrize("kind", ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm"])
def test_samples_of_the_modules_stay_as_they_were_after_a_swap(samples: dict[str, list[Any]], kind: str) -> None:
    scheme = {"BatchNorm": "batch", "GroupNorm": "group", "InstanceNorm": "instance", "LayerNorm": "layer"}[kind]
    compared = left = 0
    for name, args, kwargs, x in samples["modules"]:
        if not name.startswith(kind):
            continue
        theirs, net = (nn.Sequential(getattr(nn, name)(*args, **kwargs)).double() for _ in range(2))
        options = {"groups": args[0]} if kind == "GroupNorm" else {}
        report = swap_norms(net, scheme, example=x, **options)
        assert len(report) + len(report.left) == 1
        if report.left:  # without a batch axis, or over tokens
            left += 1
            assert torch.equal(net(x), theirs(x))
            continue
        assert isinstance(net[0], Norm)
        torch.testing.assert_close(value_and_gradient(net, x), value_and_gradient(theirs, x), rtol=1e-7, atol=1e-7)
        if kind == "BatchNorm":
            torch.testing.assert_close(dict(net.state_dict()), dict(theirs.state_dict()))
        if getattr(theirs[0], "running_mean", None) is None or kind == "BatchNorm":
            torch.testing.assert_close(net.eval()(x), theirs.eval()(x), rtol=1e-7, atol=1e-7)
        compared += 1
    assert compared > 1
    assert left > 0 or kind in ("BatchNorm", "GroupNorm")
