"""The convolution kernel equals torch's convolution, worked in float64 on the same rounded values."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from normlab.kernels.conv import CONV
from normlab.kernels.runtime import build, contest
from normlab.nn.resnet import HeConv2d, ResNet

needs_kernel = pytest.mark.skipif(bool(CONV.reason_against_cpu()), reason="no AVX2 here, or no compiler")
needs_half = pytest.mark.skipif(torch.bfloat16 not in CONV.types, reason="no AVX512-BF16 here, or no compiler")
TYPES = pytest.mark.parametrize(
    "dtype", [pytest.param(torch.bfloat16, marks=needs_half), pytest.param(torch.float32, marks=needs_kernel)]
)


def _fits_eight() -> bool:
    library = build.load("conv")
    return library is not None and library.conv_lanes() == 8


@pytest.fixture(scope="module", params=["tiles", "vectors"], autouse=True)
def in_tiles(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Each test with both ways of multiplying bfloat16, where the machine has tiles."""
    library = build.load("conv")
    wanted = request.param == "tiles"
    has_tiles = library is not None and bool(library.conv_use_tiles(int(wanted)))
    if wanted and not has_tiles:
        pytest.skip("the CPU has no AMX")
    yield wanted
    if library is not None:
        library.conv_use_tiles(1)


def maps(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=x.dtype == torch.bfloat16):
        computed = CONV.try_call(x, weight, bias, stride)
    assert computed is not None
    return computed


@TYPES
@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 5),
    channels=st.sampled_from([(1, 16), (2, 16), (3, 16), (3, 32), (16, 16), (16, 32), (32, 16), (32, 48), (64, 64)]),
    size=st.tuples(st.integers(1, 34), st.sampled_from([1, 2, 5, 8, 9, 16, 24, 32, 33])),
    stride=st.sampled_from([1, 2]),
    with_bias=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_output_and_gradients_equal_those_of_torch(
    dtype: torch.dtype,
    batch: int,
    channels: tuple[int, int],
    size: tuple[int, int],
    stride: int,
    with_bias: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    C, K = channels
    x = maps(batch, C, *size, dtype=dtype)
    weight, bias = torch.randn(K, C, 3, 3), torch.randn(K) if with_bias else None
    leaves = [weight, *([bias] if bias is not None else []), *([x] if C % 16 == 0 else [])]
    for leaf in leaves:
        leaf.requires_grad_()
    y = convolve(x, weight, bias, stride)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
    grad = maps(*y.shape, dtype=dtype)
    computed = [y, *torch.autograd.grad(y, leaves, grad)]

    wide = {id(leaf): leaf.detach().double().requires_grad_() for leaf in (*leaves, x)}
    wide[id(weight)] = weight.detach().to(dtype).double().requires_grad_()
    expected = F.conv2d(wide[id(x)], wide[id(weight)], None if bias is None else wide[id(bias)], stride, padding=1)
    gradients = torch.autograd.grad(expected, [wide[id(leaf)] for leaf in leaves], grad.double())
    for ours, theirs in zip(computed, [expected, *gradients], strict=True):
        # Sums are float32: only what is stored as bfloat16 is rounded to 8 bits.
        tolerance = 2**-8 if ours.dtype == torch.bfloat16 else 1e-5
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance * scale)


@needs_half
@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 5),
    channels=st.sampled_from([(8, 16), (24, 64), (40, 48), (64, 144), (136, 128), (256, 256)]),
    size=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    stride=st.sampled_from([1, 2]),
    seed=st.integers(0, 10**6),
)
def test_tiles_take_many_channels_and_multiples_of_eight(
    in_tiles: bool, batch: int, channels: tuple[int, int], size: tuple[int, int], stride: int, seed: int
) -> None:
    if not in_tiles:
        pytest.skip("vectors take 64 channels at most, and multiples of 16")
    torch.manual_seed(seed)
    C, K = channels
    x, weight = maps(batch, C, *size).requires_grad_(), torch.randn(K, C, 3, 3) / (9 * C) ** 0.5
    y = convolve(x, weight.requires_grad_(), None, stride)
    grad = maps(*y.shape)
    wide = [x.detach().double().requires_grad_(), weight.detach().bfloat16().double().requires_grad_()]
    expected = F.conv2d(wide[0], wide[1], None, stride, padding=1)
    gradients = torch.autograd.grad(expected, wide, grad.double())
    for ours, theirs in zip([y, *torch.autograd.grad(y, [x, weight], grad)], [expected, *gradients], strict=True):
        tolerance = 2**-8 if ours.dtype == torch.bfloat16 else 1e-5
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance * scale)


@needs_kernel
@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.sampled_from([(32, 16), (64, 64), (128, 80), (96, 256), (256, 32)]),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    offset=st.sampled_from([0.0, 3.0]),
    seed=st.integers(0, 10**6),
)
def test_wide_maps_with_a_mean_stay_within_the_rounding_of_their_largest_output(
    batch: int, channels: tuple[int, int], size: tuple[int, int], offset: float, seed: int
) -> None:
    torch.manual_seed(seed)
    C, K = channels
    x, weight = maps(batch, C, *size, dtype=torch.float32) + offset, torch.randn(K, C, 3, 3) / (9 * C) ** 0.5
    x, grad = x.requires_grad_(), maps(batch, K, *size, dtype=torch.float32)
    y = convolve(x, weight.requires_grad_(), None, 1)
    wide = [leaf.detach().double().requires_grad_() for leaf in (x, weight)]
    expected = F.conv2d(wide[0], wide[1], padding=1)
    gradients = torch.autograd.grad(expected, wide, grad.double())
    for ours, theirs in zip([y, *torch.autograd.grad(y, [x, weight], grad)], [expected, *gradients], strict=True):
        error = float((ours.detach().double() - theirs.detach()).abs().max())
        assert error <= 2e-5 * float(theirs.detach().abs().max())


@pytest.mark.skipif(torch.float32 not in CONV.types or not _fits_eight(), reason="vectors of another size")
def test_channels_that_fill_vectors_of_eight_alone_are_taken() -> None:
    torch.manual_seed(0)
    x, weight = maps(3, 24, 9, 11, dtype=torch.float32).requires_grad_(), torch.randn(64, 24, 3, 3, requires_grad=True)
    y = convolve(x, weight, None, 1)
    wide = [leaf.detach().double().requires_grad_() for leaf in (x, weight)]
    expected = F.conv2d(wide[0], wide[1], padding=1)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.detach().abs().max()))
    for ours, theirs in zip(
        torch.autograd.grad(y.square().sum(), [x, weight]),
        torch.autograd.grad(expected.square().sum(), wide),
        strict=True,
    ):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


@TYPES
def test_the_result_does_not_depend_on_what_was_computed_before(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, weight = maps(3, 16, 9, 7, dtype=dtype), torch.randn(16, 16, 3, 3, requires_grad=True)
    first = convolve(x, weight, None, 1)
    first_gradient = torch.autograd.grad(first.sum(), weight)[0]
    other = convolve(maps(4, 32, 16, 16, dtype=dtype), torch.randn(32, 32, 3, 3, requires_grad=True), None, 2)
    other.float().sum().backward()
    again = convolve(x, weight, None, 1)
    assert torch.equal(first, again)
    assert torch.equal(first_gradient, torch.autograd.grad(again.sum(), weight)[0])


@TYPES
def test_threads_share_the_samples(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, weight = maps(32, 32, 16, 16, dtype=dtype).requires_grad_(), torch.randn(32, 32, 3, 3, requires_grad=True)
    threads, results = torch.get_num_threads(), []
    for count in (1, 2):
        torch.set_num_threads(count)
        y = convolve(x, weight, None, 1)
        results.append([y, *torch.autograd.grad(y.float().square().sum(), [x, weight])])
    torch.set_num_threads(threads)
    assert torch.equal(results[0][0], results[1][0])
    for one, two in zip(*results, strict=True):
        assert dtype != torch.float32 or torch.equal(one, two)
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5 * float(one.detach().abs().max()))


@TYPES
def test_a_second_derivative_is_that_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, weight = maps(2, 16, 5, 5, dtype=dtype).requires_grad_(), torch.randn(16, 16, 3, 3, requires_grad=True)

    def penalty(y: Tensor) -> Tensor:
        gradient = torch.autograd.grad(y.float().square().sum(), x, create_graph=True)[0]
        return torch.autograd.grad(gradient.float().square().sum(), weight)[0]

    computed = penalty(convolve(x, weight, None, 1))
    expected = penalty(F.conv2d(x, weight.to(dtype), padding=1))
    torch.testing.assert_close(computed, expected, rtol=0.05, atol=0.05 * float(expected.abs().max()))


@needs_kernel
@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (maps(2, 16, 8, 8, dtype=torch.float32), torch.randn(16, 16, 3, 3)),
        (torch.randn(2, 16, 8, 8).bfloat16(), torch.randn(16, 16, 3, 3)),
        (maps(2, 16, 8, 8), torch.randn(16, 16, 1, 1)),
        (maps(2, 16, 8, 8), torch.randn(24, 16, 3, 3)),
        (maps(2, 272, 8, 8), torch.randn(16, 272, 3, 3)),
        (maps(2, 5, 8, 8), torch.randn(16, 5, 3, 3)),
        (maps(2, 3, 8, 8).requires_grad_(), torch.randn(16, 3, 3, 3)),
        (maps(0, 16, 8, 8), torch.randn(16, 16, 3, 3)),
    ],
    ids=["float32", "NCHW", "1x1", "24 channels", "272 channels", "5 channels", "gradient of images", "empty"],
)
def test_what_it_does_not_take_is_left_to_torch(x: Tensor, weight: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert CONV.try_call(x, weight, None, 1) is None


@needs_kernel
def test_without_autocast_types_are_not_mixed() -> None:
    assert CONV.try_call(maps(2, 16, 8, 8), torch.randn(16, 16, 3, 3), None, 1) is None
    x = maps(2, 16, 8, 8, dtype=torch.float64)
    assert CONV.try_call(x, torch.randn(16, 16, 3, 3), None, 1) is None


@needs_kernel
@pytest.mark.parametrize(
    ("x", "weight", "stride"),
    [
        (torch.randn(2, 16, 8, 8), torch.randn(16, 16, 3, 3), 1),
        (maps(2, 16, 8, 8, dtype=torch.float32), torch.randn(24, 16, 3, 3), 1),
        (maps(2, 128, 8, 8, dtype=torch.float32), torch.randn(16, 128, 3, 3), 2),
        (maps(2, 272, 8, 8, dtype=torch.float32), torch.randn(16, 272, 3, 3), 1),
        (maps(2, 70, 8, 8, dtype=torch.float32), torch.randn(16, 70, 3, 3), 1),
        (maps(2, 3, 8, 8, dtype=torch.float32).requires_grad_(), torch.randn(16, 3, 3, 3), 1),
        (maps(2, 16, 8, 8, dtype=torch.float32), torch.randn(16, 16, 3, 3), 3),
        (maps(2, 16, 8, 8, dtype=torch.float32), torch.randn(16, 16, 3, 3, dtype=torch.float64), 1),
    ],
    ids=[
        "NCHW",
        "24 channels",
        "128 channels by stride 2",
        "272 channels",
        "70 channels",
        "gradient of images",
        "stride 3",
        "weights of float64",
    ],
)
def test_what_it_does_not_take_in_float32_is_left_to_torch(x: Tensor, weight: Tensor, stride: int) -> None:
    assert CONV.try_call(x, weight, None, stride) is None


@needs_kernel
def test_a_layout_that_it_does_not_take_decides_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "policy", lambda: "auto")
    x, weight = maps(2, 16, 8, 8, dtype=torch.float32), torch.randn(16, 16, 3, 3)
    others = (x.contiguous(), weight), (x, weight.contiguous(memory_format=torch.channels_last))
    assert [CONV.key(*given, None, 1) for given in others] == [None, None]
    assert all(CONV.try_call(*given, None, 1) is None for given in others)
    assert CONV.key(x, weight, None, 1) is not None


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 0.1), (torch.float32, 2e-5)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_network_learns_the_same_with_and_without_the_kernel(
    norm: str, dtype: torch.dtype, rounding: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gradients(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        model, x, labels = ResNet(1, 10, norm), maps(8, 3, 32, 32, dtype=dtype), torch.randint(10, (8,))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = F.cross_entropy(model(x).float(), labels)
        return [loss, *torch.autograd.grad(loss, list(model.parameters()))]

    # A value that rounding moves across zero is let through by ReLU in one of two networks: in some pairs.
    seeds = range(5)
    computed = [gradients(seed) for seed in seeds]
    monkeypatch.setattr(CONV, "try_call", lambda *_: None)
    expected = [gradients(seed) for seed in seeds]
    differences = [
        max(float((a - b).detach().norm() / b.detach().norm()) for a, b in zip(ours, theirs, strict=True))
        for ours, theirs in zip(computed, expected, strict=True)
    ]
    assert statistics.median(differences) < rounding, differences


def test_where_it_is_unavailable_a_layer_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONV, "_run", lambda *_: None)
    layer, x = HeConv2d(16, 16, norm="batch"), maps(2, 16, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight.bfloat16(), padding=1))
