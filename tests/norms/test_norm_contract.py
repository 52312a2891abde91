"""Every registered scheme keeps the contract, and the contract notices the classical errors."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.batch import BatchNorm
from normlab.norms.check import check_norm
from normlab.norms.dynamic_tanh import DynamicTanh
from normlab.norms.evonorm_s0 import EvoNormS0
from normlab.norms.instance import InstanceNorm
from normlab.norms.layer import LayerNorm
from normlab.norms.rms import RMSNorm
from normlab.norms.rms_pixel import PixelRMSNorm
from normlab.norms.switchable import SwitchableNorm


@pytest.mark.parametrize("name", NORMS.names())
def test_registered_norm_keeps_the_contract(name: str) -> None:
    check_norm(name)


@pytest.mark.parametrize(
    "name, options",
    [
        ("layer", {"over": "channel"}),
        ("group", {"groups": 1}),
        ("group", {"channels_per_group": 1}),
        ("batch", {"momentum": None, "affine": False}),
        ("batch_instance", {"affine": False}),
        ("switchable", {"affine": False}),
        ("ghost_batch", {"ghost_batch_size": 2}),
        ("derf", {"affine": False}),
        ("filter_response", {"learn_eps": True}),
        ("evonorm_s0", {"groups": 2, "affine": False}),
        ("evonorm_b0", {"momentum": None}),
    ],
)
def test_norm_keeps_the_contract_with_options(name: str, options: dict[str, object]) -> None:
    check_norm(name, 8, **options)


@pytest.mark.parametrize("name", NORMS.names())
def test_card_is_complete(name: str) -> None:
    card = NORMS.get(name).card
    assert card.name == name
    assert all(value for key, value in dataclasses.asdict(card).items() if key != "year")


class NarrowFormula(InstanceNorm):
    """E[x^2] - E[x]^2 in the input's own type."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        var = (x.square().mean((2, 3), keepdim=True) - mean.square()).clamp(min=0)
        y = (x - mean) * (var + self.eps).rsqrt()
        return (y * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class PoolsTooLittle(LayerNorm):
    """Declares (C, H, W), pools (H, W)."""

    transform = InstanceNorm.transform


class PoolsTooMuch(InstanceNorm):
    """Declares (H, W), pools (C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.group_norm(x, 1, self.weight.to(x.dtype), self.bias.to(x.dtype)).contiguous(
            memory_format=torch.channels_last if x.stride(1) == 1 else torch.contiguous_format
        )


class BiasedRunningVariance(BatchNorm):
    """The classical error: the running estimate takes the biased variance."""

    def _track(self, mean: Tensor, var: Tensor, count: int) -> None:
        super()._track(mean, var * (count - 1) / count, count)


class LosesItsState(BatchNorm):
    """Running statistics as attributes that the state dict does not know."""

    def __init__(self, num_channels: int) -> None:
        super().__init__(num_channels)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(self, name), persistent=False)

    def torch_equivalent(self) -> None:
        return None


class LooksAtBatchMates(InstanceNorm):
    """Adds the batch mean behind the reader's back."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y + 0.01 * (y * y.detach()).mean((0, 2, 3), keepdim=True).sub(1).to(y.dtype)


class WrongGradient(InstanceNorm):
    """Treats the statistics as constants in the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.double() if x.dtype == torch.double else x.float()
        var, mean = torch.var_mean(wide.detach(), (2, 3), correction=0, keepdim=True)
        return ((wide - mean) * (var + self.eps).rsqrt()).to(x.dtype)


class OnlyTakesMaps(InstanceNorm):
    """Refuses features, sequences and volumes."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise ValueError("maps only")
        return self.transform(x)


class TakesIntegers(InstanceNorm):
    """Rounds without a word."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.is_floating_point() else x.float()).to(x.dtype)


class OpaqueFunction(torch.autograd.Function):
    """The identity, but without vmap and jvp."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad


class IsOpaqueToTransforms(InstanceNorm):
    """Goes through an autograd function that torch.func cannot take apart."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if torch.compiler.is_compiling() else OpaqueFunction.apply(x))


class SpoilsEstimatesByAnEmptyBatch(BatchNorm):
    """Divides by the number of values."""

    def forward(self, x: Tensor) -> Tensor:
        if x.numel() == 0 and self.training:
            self.running_mean += x.sum((0, 2, 3)) / x.numel()
        return super().forward(x)


class DividesByTheSample(PixelRMSNorm):
    """Declares C, divides by the mean square over (C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        square = x.double().square().mean((1, 2, 3), keepdim=True)
        return (x * torch.rsqrt(square + self.eps)).to(x.dtype)


class DividesByThePixel(RMSNorm):
    """Declares (C, H, W), divides by C only."""

    def forward(self, x: Tensor) -> Tensor:
        square = x.double().square().mean(1, keepdim=True)
        return (x * torch.rsqrt(square + self.eps)).to(x.dtype)


class MixesWithoutTheLayer(SwitchableNorm):
    """Leaves the mixture's other sets out, so that other channels do not matter."""

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        with torch.no_grad():
            self.mean_logits[1] = self.var_logits[1] = -1e3
        return super().transform(x, residual, relu)


class MixesTheScaleIn(SwitchableNorm):
    """Lets the input's own scale through."""

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        return super().transform(x, residual, relu) + 0.01 * x


class SquashesTheSample(DynamicTanh):
    """A function of a value and of its sample's mean, which is declared as one of the value alone."""

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        return super().transform(x - 0.1 * x.mean((1, 2, 3), keepdim=True), residual, relu)


class FoldsValues(DynamicTanh):
    """Gives two values the same output."""

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        return super().transform(x.abs(), residual, relu)


class HidesItsActivation(InstanceNorm):
    """Ends in a ReLU, and a block puts another one after it."""

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        y = torch.nn.functional.leaky_relu(super().transform(x), 0.9)
        y = y if residual is None else y + residual
        return y.relu() if relu else y


class DeclaresAnActivation(InstanceNorm):
    """Lets the block leave its ReLU out without having one."""

    card = dataclasses.replace(InstanceNorm.card, statistics="activated")
    activates = True


class DividesByTheGroup(EvoNormS0):
    """Declares (H, W), divides by a deviation over the channels too."""

    pools_over = frozenset("HW")


@pytest.mark.parametrize(
    "broken, message",
    [
        (DividesByTheSample, r"the mean square over \(C\) is off 1"),
        (DividesByThePixel, "the mean square is 1 already without the declared axis"),
        (MixesWithoutTheLayer, "axis C does not matter"),
        (MixesTheScaleIn, "scale and shift of the input"),
        (SquashesTheSample, "depends on other values"),
        (HidesItsActivation, "the mean over|declares activates = True"),
        (DeclaresAnActivation, "activates is declared"),
        (DividesByTheGroup, "axis C matters"),
        (FoldsValues, "a larger value does not give a larger output"),
        (NarrowFormula, "offset of 10,000|bfloat16"),
        (PoolsTooLittle, "without the declared axis C"),
        (PoolsTooMuch, "the mean over"),
        (BiasedRunningVariance, "running_var differs"),
        (LosesItsState, "state dict"),
        (LooksAtBatchMates, "batch mates"),
        (WrongGradient, "gradcheck"),
        (OnlyTakesMaps, "2 axes is refused"),
        (TakesIntegers, "integers must be refused"),
        (IsOpaqueToTransforms, "torch.func"),
        (SpoilsEstimatesByAnEmptyBatch, "empty batch left running_mean"),
    ],
)
def test_contract_refuses_a_classical_error(broken: type[Norm], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_norm(broken)
