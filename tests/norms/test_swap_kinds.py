"""What people have in their networks: swapped where the scheme can, else named as left; nothing fails afterwards."""

from __future__ import annotations

import copy
import functools
import pickle
import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.ao.nn.intrinsic import qat
from torch.ao.quantization import get_default_qat_qconfig
from torch.nn.utils import parametrizations, prune

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.swap import swap_norms
from normlab.norms.swap_report import SwapReport, listed

pytestmark = pytest.mark.filterwarnings("ignore:swap_norms", "ignore:.*leaves nothing of it")


class BatchNormAct(nn.BatchNorm2d):
    """Norm and activation, as model zoos have it."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.drop = nn.Dropout(0.5)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


class ReluInside(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


class Relu6Inside(nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(super().forward(x))


class UnchangedSubclass(nn.BatchNorm3d):
    pass


class LayerNorm2d(nn.LayerNorm):
    """Over the channels at each position of a map."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TokenNormAct(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


class FrozenBatchNorm2d(nn.Module):
    """As in detection networks: everything is a buffer, and eps stands in the code."""

    def __init__(self, n: int) -> None:
        super().__init__()
        for name, value in (("weight", 0.5), ("bias", 0.1), ("running_mean", 0.2), ("running_var", 2.0)):
            self.register_buffer(name, torch.full((n,), value))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class NeverTrains(nn.BatchNorm2d):
    def train(self, mode: bool = True) -> NeverTrains:
        return super().train(False)


class ForeignBatchNorm(nn.Module):
    """Another package's batch norm: torch's attributes, another base class."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = n, 1e-3, 0.2
        self.weight, self.bias = nn.Parameter(torch.ones(n)), nn.Parameter(torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_var", torch.ones(n))

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        return nn.functional.leaky_relu(y, 0.01)


def stem(norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), norm)


def unmoved_estimates(net: nn.Module) -> nn.Module:
    """Give the running statistics of a network values of their own."""
    torch.manual_seed(0)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_()
        elif name.endswith(("running_var", "weight")):
            tensor.uniform_(0.5, 2)
    return net


MAPS, SEQUENCES, VOLUMES = (4, 3, 6, 6), (4, 3, 12), (4, 3, 6, 6, 6)
SAME_FUNCTION: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, dict]] = {
    "2d": (lambda: stem(nn.BatchNorm2d(8)), MAPS, "batch", {}),
    "synchronised": (lambda: stem(nn.SyncBatchNorm(8)), MAPS, "batch", {}),
    "dropout and activation": (lambda: stem(BatchNormAct(8)), MAPS, "batch", {}),
    "activation in forward": (lambda: stem(ReluInside(8)), MAPS, "batch", {}),
    "clipped activation": (lambda: stem(Relu6Inside(2, 8)), MAPS, "group", {"groups": 2}),
    "subclass": (lambda: nn.Sequential(nn.Conv3d(3, 8, 3), UnchangedSubclass(8)), VOLUMES, "batch", {}),
    "features": (lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8)), (4, 3), "batch", {}),
    "sequences": (lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8)), SEQUENCES, "torch_batch", {}),
    "volumes": (lambda: nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8)), VOLUMES, "batch", {}),
    "groups of sequences": (lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.GroupNorm(4, 8)), SEQUENCES, "group", {}),
    "groups of features": (lambda: nn.Sequential(nn.Linear(3, 8), nn.GroupNorm(4, 8)), (4, 3), "group", {}),
    "instances of volumes": (lambda: nn.Sequential(nn.InstanceNorm3d(3)), VOLUMES, "instance", {}),
    "samples": (lambda: nn.Sequential(nn.LayerNorm((3, 6, 6))), MAPS, "layer", {}),
    "positions": (lambda: stem(LayerNorm2d(8)), MAPS, "layer", {"over": "channel"}),
    "frozen": (lambda: stem(FrozenBatchNorm2d(8)), MAPS, "batch", {}),
    "frozen by mode": (lambda: stem(NeverTrains(8)), MAPS, "torch_batch", {}),
    "foreign": (lambda: stem(ForeignBatchNorm(8)), MAPS, "batch", {}),
    "no statistics": (lambda: stem(nn.BatchNorm2d(8, track_running_stats=False)), MAPS, "batch", {}),
    "no weights": (lambda: stem(nn.BatchNorm2d(8, affine=False)), MAPS, "batch", {}),
    "no bias": (lambda: nn.Sequential(nn.LayerNorm((3, 1, 1), bias=False)), (4, 3, 1, 1), "layer", {}),
}


@pytest.mark.parametrize("kind", SAME_FUNCTION)
def test_the_same_scheme_computes_the_same(kind: str) -> None:
    build, shape, name, options = SAME_FUNCTION[kind]
    net = build() if kind in ("samples", "no bias") else unmoved_estimates(build())
    net.eval()
    before = copy.deepcopy(net)
    x = torch.randn(shape)
    report = swap_norms(net, name, **options)
    assert report == [str(len(net) - 1)]
    assert not report.left
    assert isinstance(net[-1], NORMS.get(name))
    torch.testing.assert_close(net(x), before(x))
    if not kind.startswith("frozen"):
        torch.manual_seed(1)
        trained = net.train()(x)
        torch.manual_seed(1)
        torch.testing.assert_close(trained, before.train()(x))


@pytest.mark.parametrize("kind", [kind for kind in SAME_FUNCTION if "frozen" not in kind])
@pytest.mark.parametrize("name", NORMS.names())
def test_every_kind_takes_every_scheme_and_trains(kind: str, name: str) -> None:
    build, shape, _, _ = SAME_FUNCTION[kind]
    net = build().train()
    activations = [type(m) for m in net[-1].children()]
    report = swap_norms(net, name)
    assert isinstance(report, SwapReport)
    assert len(report) == 1
    x = torch.randn(shape, requires_grad=True)
    net(x).sum().backward()
    assert net.eval()(x).isfinite().all()
    assert [type(m) for m in net[-1].children()][: len(activations)] == activations


def test_norm_and_activation_keep_their_names_weights_and_modules() -> None:
    net = stem(BatchNormAct(8))
    keys, parts = list(net.state_dict()), dict(net[1].named_children())
    weight, drop = net[1].weight, net[1].drop.eval()
    swap_norms(net, "batch")
    assert list(net.state_dict()) == keys
    assert dict(net[1].named_children()) == parts
    assert net[1].weight is weight
    assert not drop.training
    swap_norms(net, "group")
    assert dict(net[1].named_children()) == parts
    assert type(net[1]).__name__ == "GroupNormAct"
    assert type(net[1]) is type(stem_with("group")[1])


def stem_with(name: str) -> nn.Sequential:
    net = stem(BatchNormAct(8)).eval()
    swap_norms(net, name)
    return net


@pytest.mark.parametrize("name", ["group", "batch_instance", "none", "torch_batch"])
def test_norm_and_activation_can_be_copied_pickled_compiled_and_fused(name: str) -> None:
    net = stem_with(name)
    x = torch.randn(MAPS)
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), torch.compile(net, backend="aot_eager")):
        torch.testing.assert_close(copied(x), net(x))
    y = torch.randn(2, 8, 3, 3)
    torch.testing.assert_close(net[1].fused(y, residual=y, relu=True), torch.relu(net[1](y) + y))


def test_an_activation_in_place_does_not_reach_what_a_removed_norm_leaves() -> None:
    class Block(nn.Module):
        def __init__(self, norm: nn.Module, act: nn.Module) -> None:
            super().__init__()
            self.norm, self.act = norm, act

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.norm(x)) + x  # the shortcut reads x after the activation has run

    for norm, act in ((nn.BatchNorm2d(3), nn.ReLU(inplace=True)), (BatchNormAct(3), nn.Identity())):
        net = Block(norm, act).eval()
        expected_act = nn.ReLU() if isinstance(act, nn.ReLU) else nn.SiLU()
        for replacement in ("none", lambda c: nn.Identity()):
            swapped = copy.deepcopy(net)
            swap_norms(swapped, replacement)
            if isinstance(replacement, str) or isinstance(act, nn.Identity):
                x = torch.randn(MAPS)
                torch.testing.assert_close(swapped(x.clone()), expected_act(x) + x)


class Doubles(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class SplitsInTraining(nn.BatchNorm2d):
    """Like a plain batch norm in evaluation only."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([super(SplitsInTraining, self).forward(part) for part in x.chunk(2)]) if self.training else (
            super().forward(x)
        )  # fmt: skip


class CannotBeCopied(nn.BatchNorm2d):
    def __deepcopy__(self, memo: dict) -> nn.Module:
        raise RuntimeError("no copies")


class MysteryNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.norm()


class MyRMSNorm(MysteryNorm):
    pass


class TakesMask(nn.BatchNorm2d):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(x)


def replaced_forward() -> nn.Module:
    layer = nn.BatchNorm2d(8)
    layer.forward = lambda x: x
    return layer


LEFT: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "tokens": (lambda: nn.LayerNorm(8), r"last axis \(tokens\)"),
    "tokens, subclass": (lambda: TokenNormAct(8), r"TokenNormAct over the last axis \(tokens\)"),
    "two axes": (lambda: nn.LayerNorm((4, 8)), "last two axes"),
    "rms": (lambda: nn.RMSNorm(8), "root-mean-square"),
    "rms of another package": (lambda: MyRMSNorm(), "MyRMSNorm is a root-mean-square"),
    "neighbours": (lambda: nn.LocalResponseNorm(2), "not known"),
    "unknown": (lambda: MysteryNorm(), "MysteryNorm is not known"),
    "does more": (lambda: Doubles(8), "Doubles does not compute a known norm"),
    "does more in training": (lambda: SplitsInTraining(8), "does not compute a known norm"),
    "takes more": (lambda: TakesMask(8), r"takes more than its input \(mask\)"),
    "for quantization": (lambda: qat.ConvBn2d(8, 8, 1, qconfig=get_default_qat_qconfig()), "prepared for quantization"),
    "no copies": (lambda: CannotBeCopied(8), "cannot be copied"),
    "lazy": (lambda: nn.LazyBatchNorm2d(), "size is not known yet"),
    "pruned": (lambda: prune.random_unstructured(nn.BatchNorm2d(8), "weight", 0.5), "computed from others"),
    "parametrized": (lambda: parametrizations.weight_norm(nn.BatchNorm2d(8), dim=0), "parametrized"),
    "replaced forward": (replaced_forward, "forward was replaced"),
    "scripted": (lambda: torch.jit.script(nn.BatchNorm2d(8)), "scripted"),
}


@pytest.mark.parametrize("kind", LEFT)
def test_a_norm_that_cannot_be_replaced_is_named_with_the_reason_and_stays(kind: str) -> None:
    build, reason = LEFT[kind]
    layer = build()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), layer, nn.BatchNorm2d(8))
    with pytest.warns(UserWarning, match="left 1 of 2 norm layers") as caught:
        report = swap_norms(net, "group")
    assert report == ["2"]
    assert list(report.left) == ["1"]
    assert re.search(reason, report.left["1"])
    assert net[1] is layer
    assert len([w for w in caught if "left" in str(w.message)]) == 1
    assert "\n" not in str(caught[-1].message)
    assert "left 1" in report.summary()


def test_what_is_no_norm_is_not_named() -> None:
    class NormLinear(nn.Linear):
        pass

    class NormalNoise(nn.Module):
        pass

    class PreNormBlock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.fc = nn.LayerNorm(4), nn.Linear(4, 4)

    class WrapsNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn = nn.BatchNorm1d(4)

    net = nn.Sequential(
        NormLinear(4, 4), NormalNoise(), PreNormBlock(), WrapsNorm(), parametrizations.spectral_norm(nn.Linear(4, 4))
    )
    report = swap_norms(net, "group")
    assert report == ["3.bn"]
    assert list(report.left) == ["2.norm"]


def test_what_is_inside_a_layer_that_stays_stays_too() -> None:
    class Outer(nn.BatchNorm2d):
        def __init__(self) -> None:
            super().__init__(8)
            self.extra = nn.BatchNorm2d(8)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.extra(x)

    report = swap_norms(nn.Sequential(Outer()), "group")
    assert report == []
    assert list(report.left) == ["0"]


@pytest.mark.parametrize("num_channels", range(2, 7))
def test_a_lookalike_is_known_at_any_width_and_with_its_axes(num_channels: int) -> None:
    net = nn.Sequential(FrozenBatchNorm2d(num_channels))
    assert swap_norms(net, lambda c: nn.BatchNorm2d(c)) == ["0"]
    net = nn.Sequential(LayerNorm2d(num_channels))
    assert swap_norms(net, lambda c: nn.BatchNorm2d(c)) == ["0"]


def test_examining_a_layer_calls_no_hook_and_moves_nothing() -> None:
    layer = BatchNormAct(8)
    calls: list[str] = []
    layer.register_forward_hook(lambda *_: calls.append("layer"))
    layer.act.register_forward_pre_hook(lambda *_: calls.append("act"))
    before = copy.deepcopy(layer.state_dict())
    random_state, threads = torch.get_rng_state(), torch.get_num_threads()
    swap_norms(nn.Sequential(layer), "batch", dry_run=True)
    assert calls == []
    torch.testing.assert_close(dict(layer.state_dict()), dict(before))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.get_num_threads() == threads
    assert layer.training


def test_on_the_meta_device_a_norm_and_activation_is_known_too() -> None:
    with torch.device("meta"):
        net = stem(BatchNormAct(8))
    assert swap_norms(net, "batch_instance") == ["1"]
    assert net[1].gate.is_meta


def test_frozen_norms_keep_weights_that_do_not_train() -> None:
    net = stem(FrozenBatchNorm2d(8))
    report = swap_norms(net, "group")
    assert not net[1].weight.requires_grad
    assert (net[1].weight == 0.5).all()
    assert any("frozen" in line for line in report.warnings)
    assert report.new_parameters == []


def test_a_frozen_layer_gets_no_new_parameter_that_trains() -> None:
    net = stem(nn.BatchNorm2d(8)).requires_grad_(False)
    assert swap_norms(net, "batch_instance").new_parameters == ["1.gate"]
    assert not net[1].gate.requires_grad


@pytest.mark.parametrize(
    "layer, name, message",
    [
        (nn.BatchNorm2d(8), "batch_instance", r"1 new parameter \(1.gate\).*optimiser"),
        (nn.GroupNorm(4, 8), "batch", "running statistics start at mean 0"),
        (
            nn.InstanceNorm2d(8, track_running_stats=True),
            "instance",
            "running statistics of instance norms are dropped",
        ),
        (nn.LayerNorm((8, 4, 4)), "layer", "weights of another shape"),
        (nn.BatchNorm2d(4), "group", "each mean runs over one channel"),
        (nn.BatchNorm1d(8), "instance", "each mean runs over one channel"),
        (NeverTrains(8), "batch", "frozen batch norms are replaced"),
    ],
)
def test_what_a_swap_changes_beyond_the_scheme_is_told(layer: nn.Module, name: str, message: str) -> None:
    with pytest.warns(UserWarning, match=message) as caught:
        report = swap_norms(nn.Sequential(nn.Identity(), layer), name)
    assert len(report.warnings) == len(caught) == 1 + ("another shape" in message)
    assert report.warnings[0] in " ".join(report.summary().split())
    assert max(map(len, report.summary().splitlines())) <= 80


def test_hooks_of_the_state_dict_are_not_taken_over_and_that_is_told() -> None:
    layer = nn.BatchNorm2d(8)
    layer.register_load_state_dict_post_hook(lambda *_: None)
    report = swap_norms(nn.Sequential(layer), "batch")
    assert report.warnings == ["hooks of the state dict are not taken over (1 layer: 0)"]


@pytest.mark.parametrize(
    ("model", "name", "options", "message"),
    [
        ([nn.BatchNorm2d(8)], "group", {}, "the model is a list"),
        (nn.BatchNorm2d(8), nn.BatchNorm2d(8), {}, "the replacement is a BatchNorm2d: give a scheme's name"),
        (nn.BatchNorm2d(8), 3, {}, "the replacement is a int"),
        (nn.BatchNorm2d(8), "group", {"groups": "4"}, "groups='4' is no whole number"),
        (nn.BatchNorm2d(8), "batch", {"eps": "a"}, r"eps='a' is no finite number"),
        (nn.BatchNorm2d(8), "batch", {"eps": float("nan")}, r"eps=nan is no finite number"),
    ],
)
def test_arguments_of_other_kinds_are_told_in_one_line(
    model: object, name: object, options: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        swap_norms(model, name, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_process_group_that_is_not_taken_over_is_told() -> None:
    layer = nn.SyncBatchNorm(8)
    layer.process_group = object()
    net = nn.Sequential(layer)
    report = swap_norms(net, "batch")
    assert any("process group" in line for line in report.warnings)
    assert net[0].sync


def test_an_ordinary_swap_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert swap_norms(stem(nn.BatchNorm2d(8)), "group").warnings == []
        assert swap_norms(stem(BatchNormAct(8)), "layer").warnings == []


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": None}, {"momentum": 0.3, "eps": 1e-2}, {"affine": False}, {"track_running_stats": False}],
)
@pytest.mark.parametrize("name", ["batch", "torch_batch", "batch_instance"])
def test_statistics_settings_are_kept(options: dict, name: str) -> None:
    old = nn.BatchNorm2d(8, **options)
    net = nn.Sequential(old)
    swap_norms(net, name)
    for key in ("eps", "momentum", "affine", "track_running_stats"):
        assert getattr(net[0], key) == getattr(old, key)


def test_settings_survive_a_way_through_two_schemes_of_this_package() -> None:
    net = nn.Sequential(nn.BatchNorm2d(8, momentum=None, track_running_stats=False, affine=False))
    swap_norms(net, "batch")
    swap_norms(net, "batch_instance")
    assert (net[0].momentum, net[0].track_running_stats, net[0].affine) == (None, False, False)


def test_listed_names_are_cut_after_three() -> None:
    assert listed("abc") == "a, b, c"
    assert listed("abcd") == "a, b, c and 1 more"


def three() -> nn.Sequential:
    return nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(3)))


@pytest.mark.parametrize(
    "options, swapped",
    [
        ({"only": "0.*"}, ["0.1"]),
        ({"only": ["0.*", "2.1"]}, ["0.1", "2.1"]),
        ({"skip": "1.1"}, ["0.1", "2.1"]),
        ({"only": "[01].1", "skip": ("1.*",)}, ["0.1"]),
    ],
)
def test_patterns_choose_layers(options: dict, swapped: list[str]) -> None:
    net = three()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what the user left out is no surprise
        report = swap_norms(net, "layer", **options)
    assert report == swapped
    assert {name for name, m in net.named_modules() if isinstance(m, Norm)} == set(swapped)
    assert set(report.left) == {"0.1", "1.1", "2.1"} - set(swapped)
    assert all("only=" in reason or "skip=" in reason for reason in report.left.values())


@pytest.mark.parametrize("keyword", ["only", "skip"])
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_name(keyword: str) -> None:
    net = three()
    with pytest.raises(UserError, match=rf"{keyword}='0.1x' matches .* did you mean '0.1'"):
        swap_norms(net, "layer", **{keyword: ["1.*", "0.1x"]})
    assert not any(isinstance(m, Norm) for m in net.modules())
    with pytest.raises(UserError, match="the model has none"):
        swap_norms(nn.Sequential(nn.ReLU()), "layer", **{keyword: "0"})


def test_a_shared_layer_is_chosen_by_any_of_its_names() -> None:
    shared = nn.BatchNorm2d(3)
    net = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared), "c": nn.BatchNorm2d(3)})
    assert swap_norms(net, "layer", only="b.*") == ["a"]
    assert net["a"] is net["b"][0]
    assert type(net["c"]) is nn.BatchNorm2d


def test_dry_run_changes_nothing_and_reports_the_same() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.LayerNorm(3), BatchNormAct(3))
    before, hooks = list(net.modules()), net[0].register_forward_hook(lambda *_: None)
    state = copy.deepcopy(net.state_dict())
    planned = swap_norms(net, "batch_instance", dry_run=True)
    assert all(a is b for a, b in zip(before, net.modules(), strict=True))
    torch.testing.assert_close(dict(net.state_dict()), dict(state))
    assert all(p.requires_grad for p in net.parameters())
    assert "would be replaced" in planned.summary()
    done = swap_norms(net, "batch_instance")
    assert (planned, planned.left, planned.warnings) == (done, done.left, done.warnings)
    hooks.remove()


def test_a_callable_builds_the_layers() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), BatchNormAct(8), nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6)).eval()
    weight = net[1].weight
    report = swap_norms(net, lambda c, groups: nn.GroupNorm(groups, c), groups=2)
    assert report == ["1", "3"]
    assert isinstance(net[1], nn.GroupNorm)
    assert (net[1].num_groups, net[3].num_channels) == (2, 6)
    assert net[1].weight is weight
    assert not net[1].training
    assert isinstance(net[1].act, nn.SiLU)
    assert net(torch.randn(2, 3, 6, 6)).shape == (2, 6, 4, 4)
    assert swap_norms(net, nn.BatchNorm2d, only="3", example=torch.randn(2, 3, 6, 6)) == ["3"]


def test_a_callable_must_return_a_module() -> None:
    with pytest.raises(UserError, match=r"swap_norms: 0\.1: the replacement returned int"):
        swap_norms(three(), lambda c: c)


@pytest.mark.parametrize(
    "layer, replacement",
    [
        (nn.BatchNorm1d(8), nn.BatchNorm2d),
        (nn.GroupNorm(4, 8), nn.InstanceNorm2d),
        (nn.BatchNorm2d(8), lambda c: nn.LayerNorm(c)),
        (nn.BatchNorm2d(8), lambda c: nn.BatchNorm2d(c + 1)),
        (nn.BatchNorm2d(8), lambda c: nn.Flatten()),
    ],
)
def test_a_layer_is_not_replaced_by_one_that_cannot_take_its_input(layer: nn.Module, replacement: Callable) -> None:
    net = nn.Sequential(layer)
    report = swap_norms(net, replacement)
    assert report == []
    assert "does not take its input" in report.left["0"]
    assert net[0] is layer


def test_an_example_shows_what_a_layer_gets() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8))
    assert swap_norms(net, nn.InstanceNorm2d, dry_run=True) == []  # it may be sequences
    net[1].eval()
    random_state = torch.get_rng_state()
    assert swap_norms(net, nn.InstanceNorm2d, example=torch.randn(2, 3, 6, 6, generator=torch.Generator())) == ["1"]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [m.training for m in net] == [True, False]


@pytest.mark.parametrize("example", [(torch.ones(2, 3, 4, 4), 2), {"x": torch.ones(2, 3, 4, 4), "times": 2}])
def test_an_example_may_be_several_arguments(example: object) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor, times: int) -> Tensor:
            return self.norm(x) * times

    assert swap_norms(Net(), "group", example=example) == ["norm"]


def test_input_that_is_no_batch_of_maps_keeps_its_layer() -> None:
    net = nn.Sequential(nn.InstanceNorm2d(8))
    report = swap_norms(net, "instance", example=torch.randn(8, 8, 4))  # one image without a batch, which torch takes
    assert report == []
    assert "(8, 8, 4) is not (N, 8, ...)" in report.left["0"]
    net = nn.Sequential(nn.InstanceNorm2d(5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch only warns that 8 channels are not 5
        assert swap_norms(net, "instance", example=torch.randn(2, 8, 4, 4)) == []


def test_a_layer_that_would_leave_nothing_of_the_example_is_named() -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    x = torch.randn(4, 3, 8, 8)
    for name, options in (
        ("group", {"groups": 4}),
        ("instance", {}),
        (nn.InstanceNorm2d, {}),
        (lambda c: nn.GroupNorm(c, c), {}),
    ):
        report = swap_norms(copy.deepcopy(net), name, example=x, **options)
        told = [*report.warnings, *report.left.values()]
        assert any("leaves nothing of it" in line or "more than 1 spatial" in line for line in told), name
    for name, options in (("group", {"groups": 2}), ("batch", {}), ("layer", {})):
        assert swap_norms(copy.deepcopy(net), name, example=x, **options).warnings == []


def test_a_layer_that_the_example_does_not_reach_is_swapped_and_named() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.auxiliary = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.auxiliary(self.norm(x)) if self.training else self.norm(x)

    report = swap_norms(Net(), "layer", example=torch.randn(2, 3, 4, 4))
    assert report == ["norm", "auxiliary"]
    assert report.warnings == ["the example did not reach 1 of the replaced layers (auxiliary)"]


def test_an_example_that_does_not_fit_the_model_is_the_users_mistake() -> None:
    net = stem(nn.BatchNorm2d(8))
    with pytest.raises(UserError, match="the model fails on the example: RuntimeError"):
        swap_norms(net, "group", example=torch.randn(2, 5, 6, 6))
    assert type(net[1]) is nn.BatchNorm2d
    assert not net[1]._forward_pre_hooks


def test_if_the_model_fails_with_the_new_layers_the_old_ones_are_put_back() -> None:
    class ReadsWeight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x.to(self.norm.weight.dtype))

    net = ReadsWeight()
    with pytest.raises(UserError, match="none was replaced"):
        swap_norms(net, "none", example=torch.randn(2, 3, 4, 4))
    assert type(net.norm) is nn.BatchNorm2d


def test_a_group_size_that_does_not_fit_names_the_layer() -> None:
    with pytest.raises(UserError, match=r"swap_norms: 0\.1: group norm: groups=2 does not divide 3 channels"):
        swap_norms(three(), "group", groups=2)


def test_an_unknown_option_is_refused_where_there_is_nothing_to_replace() -> None:
    with pytest.raises(UserError, match="'layer' has no option 'groups'"):
        swap_norms(nn.Sequential(nn.ReLU()), "layer", groups=2)


def test_a_network_within_itself_is_walked_once() -> None:
    net = three()
    net[0].register_module("whole", net)
    assert swap_norms(net, "layer") == ["0.1", "1.1", "2.1"]


class Steps(nn.Module):
    """A network that runs its layers from an attribute of its own, made by `hold`."""

    def __init__(self, hold: Callable[[nn.Module, nn.Module], object]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.held = hold(self.conv, self.norm)

    def forward(self, x: Tensor) -> Tensor:
        if callable(self.held):
            return self.held(x)
        for step in self.held.values() if isinstance(self.held, dict) else self.held:
            for layer in step if isinstance(step, tuple) else (step,):
                x = layer(x)
        return x


class Pair(NamedTuple):
    conv: nn.Module
    norm: nn.Module


HELD: dict[str, Callable[[nn.Module, nn.Module], object]] = {
    "list": lambda conv, norm: [conv, norm],
    "tuple": lambda conv, norm: (conv, norm),
    "named tuple": Pair,
    "dict": lambda conv, norm: {"conv": conv, "norm": norm},
    "list of tuples": lambda conv, norm: [(conv, norm)],
}


@pytest.mark.parametrize("how", HELD)
def test_a_layer_is_replaced_in_plain_containers_too(how: str) -> None:
    net, x = Steps(HELD[how]).eval(), torch.randn(MAPS)
    containers = type(net.held)
    assert swap_norms(net, "group", groups=4) == ["norm"]
    assert torch.equal(net(x), net.norm(net.conv(x)))
    assert isinstance(net.norm, NORMS.get("group"))
    assert type(net.held) is containers


def test_a_layer_is_put_back_in_plain_containers_too() -> None:
    net = Steps(HELD["list"])
    norm = net.norm
    with pytest.raises(UserError, match="none was replaced"):
        swap_norms(net, lambda channels: Fails(channels), example=torch.randn(MAPS))
    assert net.held[1] is net.norm is norm


class Fails(nn.GroupNorm):
    """Takes a batch of two, as in a trial, but not the model's."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)
        self.calls = 0

    def forward(self, input: Tensor) -> Tensor:
        if not hasattr(self, "tried"):
            raise RuntimeError("not in this model")
        return super().forward(input)

    def __deepcopy__(self, memo: dict) -> nn.Module:  # the copy that is tried
        copied = Fails(self.num_channels)
        copied.tried = True
        return copied


@pytest.mark.parametrize(
    "hold",
    [
        lambda conv, norm: lambda x: norm(conv(x)),
        lambda conv, norm: norm.forward,
        lambda conv, norm: functools.partial(lambda layer, x: layer(x), norm),
        lambda conv, norm: {norm},
    ],
)
def test_a_layer_that_a_function_holds_stays_and_is_named(hold: Callable) -> None:
    net = Steps(hold)
    norm = net.norm
    report = swap_norms(net, "group", groups=4)
    assert report == []
    assert net.norm is norm
    assert re.search("held holds it too", report.left["norm"])


class OfTheClass(nn.Module):
    norm = nn.BatchNorm2d(8)


def test_norms_that_are_no_submodules_are_named() -> None:
    net = nn.Sequential(nn.BatchNorm2d(8), OfTheClass())
    net.norms = [nn.BatchNorm2d(8), nn.Sequential(nn.BatchNorm2d(8))]
    net.parent = [nn.Sequential(net, nn.BatchNorm2d(8))]
    report = swap_norms(net, "group")
    assert report == ["0"]
    assert list(report.left) == ["norms[0]", "norms[1].0", "1.norm"]
    assert all("ModuleList" in reason for reason in report.left.values())


def test_a_model_without_norms_is_told() -> None:
    with pytest.warns(UserWarning, match="found no norm layer in the model"):
        assert swap_norms(nn.Linear(2, 2), "group") == []
