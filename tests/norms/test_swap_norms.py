"""A swap exchanges the norm layers and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.swap import swap_norms

pytestmark = pytest.mark.filterwarnings("ignore:swap_norms", "ignore:.*leaves nothing of it")


class NormAndScale(nn.BatchNorm2d):
    """A subclass that does more than normalise and activate."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * super().forward(x) + x


def model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, eps=1e-3, momentum=0.3), nn.ReLU(),
        nn.Sequential(nn.Conv2d(8, 16, 3), nn.GroupNorm(4, 16), nn.SiLU()),
        nn.InstanceNorm2d(16), nn.LayerNorm((16, 4, 4)), NormAndScale(16), nn.Flatten(), nn.Linear(256,
        5), nn.BatchNorm1d(5), nn.LayerNorm(5),
    )  # fmt: skip


SWAPPED = ["1", "3.1", "4", "5", "9"]


@pytest.mark.parametrize("name", NORMS.names())
def test_swap_replaces_the_norms_and_only_them(name: str) -> None:
    net = model()
    kept = {path: m for path, m in net.named_modules() if path not in SWAPPED}
    order = [path for path, _ in net.named_modules()]
    assert swap_norms(net, name) == SWAPPED
    assert [path for path, _ in net.named_modules()] == order
    after = dict(net.named_modules())
    assert len(kept) == 10
    assert all(after[path] is m for path, m in kept.items())
    assert all(type(after[path]) is NORMS.get(name) for path in SWAPPED)
    assert net(torch.randn(4, 3, 8, 8)).shape == (4, 5)


def test_swap_keeps_activations_other_weights_and_hooks() -> None:
    net = model()
    calls: list[str] = []
    for path in ("0", "1", "2"):
        net.get_submodule(path).register_forward_hook(lambda *_, path=path: calls.append(path))
    handle = net[1].register_forward_pre_hook(lambda *_: calls.append("before 1"))
    others = {k: p for k, p in net.named_parameters() if not k.startswith(tuple(SWAPPED))}
    swap_norms(net, "group")
    after = dict(net.named_parameters())
    assert others
    assert all(after[k] is p for k, p in others.items())
    net(torch.randn(2, 3, 8, 8))
    assert calls == ["0", "before 1", "1", "2"]
    net[1].register_full_backward_hook(lambda *_: calls.append("back 1"))
    swap_norms(net, "batch")
    calls.clear()
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    assert calls == ["0", "before 1", "1", "2", "back 1"]
    handle.remove()
    calls.clear()
    net(torch.randn(2, 3, 8, 8))
    assert "before 1" not in calls


def test_torchs_batch_norm_becomes_ours_without_a_change_of_output() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8))
    for _ in range(3):
        net(torch.randn(4, 3, 6, 6))
    nn.init.normal_(net[1].weight)
    x = torch.randn(4, 3, 6, 6)
    before = net.eval()(x)
    swap_norms(net, "batch")
    assert not net[1].training
    torch.testing.assert_close(net(x), before)
    swap_norms(net, "torch_batch")
    torch.testing.assert_close(net(x), before)


def test_equal_schemes_of_torch_become_ours_without_a_change_of_output() -> None:
    for layer, name, options in (
        (nn.GroupNorm(2, 8), "group", {"groups": 2}),
        (nn.InstanceNorm2d(8, affine=True), "instance", {}),
        (nn.LayerNorm((8, 6, 6)), "layer", {}),
    ):
        net = nn.Sequential(layer)
        x = torch.randn(4, 8, 6, 6)
        before = net(x)
        swap_norms(net, name, **options)
        torch.testing.assert_close(net(x), before)


def test_an_optimiser_built_before_the_swap_still_trains_the_affine_weights() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    weight = net[1].weight
    weight.requires_grad_(False)
    swap_norms(net, "group")
    assert net[1].weight is weight
    assert not net[1].weight.requires_grad


@pytest.mark.parametrize("name", ["batch_instance", "group"])
def test_new_layer_takes_type_and_mode_of_the_old(name: str) -> None:
    net = model().double().eval()
    swap_norms(net, name)
    layers = [m for m in net.modules() if isinstance(m, Norm)]
    assert len(layers) == len(SWAPPED)
    assert all(t.dtype == torch.float64 for m in layers for t in m.parameters())
    assert not any(m.training for m in layers)
    assert net(torch.randn(2, 3, 8, 8, dtype=torch.float64)).dtype == torch.float64


def test_device_is_kept() -> None:
    with torch.device("meta"):
        net = model()
    swap_norms(net, "batch_instance")
    assert {t.device.type for t in (*net.parameters(), *net.buffers())} == {"meta"}


def test_settings_carry_over_unless_overruled() -> None:
    net = model()
    swap_norms(net, "batch")
    assert (net[1].eps, net[1].momentum, net[1].affine) == (1e-3, 0.3, True)
    assert not net[4].affine
    net = model()
    swap_norms(net, "batch", eps=1e-4, momentum=None, affine=True)
    assert (net[1].eps, net[1].momentum, net[4].affine) == (1e-4, 0.3, True)


def test_shared_layer_is_replaced_by_one_layer() -> None:
    shared = nn.BatchNorm2d(3)
    net = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared, nn.ReLU())})
    report = swap_norms(net, "instance")
    assert report == ["a"]
    assert isinstance(report, list)
    assert report[0] == "a"
    assert str(report) == "['a']"
    assert net["a"] is net["b"][0]
    assert isinstance(net["a"], NORMS.get("instance"))


def test_gate_and_averages_survive_a_swap_to_the_same_scheme() -> None:
    net = nn.Sequential(NORMS.create("batch_instance", 4))
    nn.init.constant_(net[0].gate, 0.25)
    net(torch.randn(4, 4, 3, 3))
    x = torch.randn(2, 4, 3, 3)
    before = net.eval()(x)
    swap_norms(net, "batch_instance")
    torch.testing.assert_close(net(x), before)


def test_bare_layer_gives_the_new_one_in_the_report() -> None:
    layer = nn.BatchNorm2d(8)
    report = swap_norms(layer, "gn")
    assert report == [""]
    assert type(report.model) is NORMS.get("group")
    assert report.model.weight is layer.weight
    net = nn.Sequential(layer)
    assert swap_norms(net, "gn").model is net
    tokens = nn.LayerNorm(8)
    report = swap_norms(tokens, "gn")
    assert report.model is tokens
    assert list(report.left) == [""]
    assert "the model itself: LayerNorm" in report.summary()


@pytest.mark.parametrize("name, options", [("grop", {}), ("batch", {"groups": 2}), ("group", {"groups": 16})])
def test_a_mistake_leaves_the_model_as_it_was(name: str, options: dict[str, int]) -> None:
    net = model()
    before = list(net.modules())
    with pytest.raises(UserError):
        swap_norms(net, name, **options)
    assert all(a is b for a, b in zip(before, net.modules(), strict=True))


def test_unknown_name_is_refused_even_where_there_is_nothing_to_replace() -> None:
    with pytest.raises(UserError, match="did you mean 'group'"):
        swap_norms(nn.Sequential(nn.ReLU()), "grop")
