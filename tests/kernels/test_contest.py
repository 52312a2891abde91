"""The choice between a kernel and torch's operation: who decides, what is recorded, and that results are equal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from normlab.errors import UserError
from normlab.kernels.lstm import LSTM
from normlab.kernels.norm import NORM
from normlab.kernels.norm.scheme import BATCH, GROUPS, MIX
from normlab.kernels.runtime import contest
from normlab.kernels.runtime.choice import Choices
from normlab.nn import LayerNormLSTM
from normlab.norms import NORMS
from normlab.norms.check import check_norm

TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Start without choices, and leave none behind."""
    monkeypatch.setattr(contest, "choices", lambda: Choices("here", lambda work: 1.0, tmp_path))
    contest.begin_run({})
    yield
    contest.begin_run({})


def policy(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(contest, "policy", lambda: value)


def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, own: float, torchs: float) -> list[str]:
    """Let the kernel and torch's operation take these seconds, in turn; return a list that grows with each timing."""
    timings: list[str] = []

    def timer(work: object) -> float:
        timings.append("call")
        assert callable(work)
        work()
        return own if len(timings) % 2 else torchs

    monkeypatch.setattr(contest, "choices", lambda: Choices("timed", timer, tmp_path / "timed"))
    policy(monkeypatch, "auto")
    return timings


def arguments(
    kind: int = BATCH, *, dtype: torch.dtype = torch.float32, residual: bool = False, relu: bool = False
) -> tuple[object, ...]:
    torch.manual_seed(0)
    x = (3 * torch.randn(4, 8, 5, 7) + 2).to(dtype).requires_grad_()
    weight, bias = (torch.randn(8, requires_grad=True) for _ in range(2))
    added = torch.randn(4, 8, 5, 7).to(dtype).requires_grad_() if residual else None
    return x, weight, bias, None, added, None, None, kind, 4 if kind == GROUPS else 1, False, 1e-5, relu


@TYPES
@pytest.mark.parametrize("kind", [BATCH, GROUPS])
@pytest.mark.parametrize("follows", [(False, False), (False, True), (True, True), (True, False)])
def test_torchs_norm_answers_as_the_kernel_does(dtype: torch.dtype, kind: int, follows: tuple[bool, bool]) -> None:
    if NORM.reason_against_cpu():
        pytest.skip(NORM.reason_against_cpu())
    given = arguments(kind, dtype=dtype, residual=follows[0], relu=follows[1])
    leaves = [tensor for tensor in given if isinstance(tensor, Tensor)]
    rounding = 2e-2 if dtype == torch.bfloat16 else 1e-5
    results = []
    for implementation in (NORM.call_own, NORM.by_torch):
        y, mean, var = implementation(*given)
        grad = torch.linspace(-1, 1, y.numel()).view_as(y).to(dtype)
        results.append([y, mean, var, *torch.autograd.grad(y, leaves, grad)])
    for own, theirs in zip(*results, strict=True):
        assert own.dtype == theirs.dtype
        assert own.shape == theirs.shape
        scale = max(1.0, float(own.detach().float().abs().max()))
        assert float((own.detach().float() - theirs.detach().float()).abs().max()) < rounding * scale


@pytest.mark.parametrize("name", ["batch", "instance", "layer", "group"])
def test_a_scheme_computed_by_torch_keeps_the_norms_contract(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy(monkeypatch, "torch")
    check_norm(lambda channels: NORMS.create(name, channels, **({"groups": 4} if name == "group" else {})))
    assert "torch" in contest.used().values()


@pytest.mark.parametrize("chosen", ["own", "torch", "off"])
@pytest.mark.parametrize("kind", [BATCH, GROUPS, MIX])
def test_the_output_alone_is_that_of_the_whole_answer(chosen: str, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    policy(monkeypatch, chosen)
    given = list(arguments(kind, residual=True, relu=True))
    if kind == MIX:
        given[3] = torch.full((8,), 0.3)
    whole, alone = NORM.try_call(*given), NORM.try_output(*given)
    if whole is None:
        assert alone is None
        return
    assert torch.equal(whole[0], alone)
    leaves = [tensor for tensor in given if isinstance(tensor, Tensor) and tensor.requires_grad]
    gradients = [torch.autograd.grad(y.square().sum(), leaves) for y in (whole[0], alone)]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_what_looks_into_operations_meets_none_of_torchs_fused_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    policy(monkeypatch, "torch")
    given = arguments(GROUPS)
    assert NORM.try_output(*given) is not None
    key = NORM.key(*given)
    assert key is not None
    assert NORM._prefers_torch[key, "output alone"]
    with forward_ad.dual_level():
        assert NORM.try_output(*given) is None
    seen = torch.func.vmap(lambda x: x + float(NORM.try_output(*given) is None))(torch.zeros(2))
    assert seen.tolist() == [1, 1]


def test_an_output_alone_is_measured_beside_torchs_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if NORM.reason_against_cpu():
        pytest.skip(NORM.reason_against_cpu())
    measured(monkeypatch, tmp_path, own=1.0, torchs=2.0)
    given = arguments(GROUPS)
    assert NORM.try_output(*given) is not None
    (alone,) = contest.used()
    assert NORM.try_call(*given) is not None
    assert sorted(contest.used()) == [alone.removesuffix(", output alone"), alone]


def test_what_torch_has_not_stays_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    policy(monkeypatch, "torch")
    x = torch.randn(2, 8, 4, 4)
    mixed = (x, torch.ones(8), torch.zeros(8), torch.ones(8), None, None, None, MIX, 1, False, 1e-5, False)
    assert NORM.key(*mixed) is None
    channels_last = list(arguments(GROUPS))
    channels_last[0] = x.contiguous(memory_format=torch.channels_last)
    assert NORM.key(*channels_last) is None, "torch's variance is E[x^2] - E[x]^2 there"


@pytest.mark.parametrize(("own", "chosen"), [(1.0, "own"), (2.02, "own"), (2.2, "torch")])
def test_the_faster_one_runs_and_a_tie_is_the_kernels(
    own: float, chosen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if NORM.reason_against_cpu():
        pytest.skip(NORM.reason_against_cpu())
    measured(monkeypatch, tmp_path, own=own, torchs=2.0)
    NORM.try_call(*arguments())
    assert set(contest.used().values()) == {chosen}


def test_a_kind_of_shape_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timings = measured(monkeypatch, tmp_path, own=1.0, torchs=2.0)
    for _ in range(3):
        NORM.try_call(*arguments())
    first = len(timings)
    NORM.forget()
    NORM.try_call(*arguments())
    assert len(timings) == first
    assert first > 0 or NORM.reason_against_cpu()


def test_measuring_leaves_gradients_and_random_numbers_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured(monkeypatch, tmp_path, own=1.0, torchs=2.0)
    given = arguments(residual=True)
    before = torch.get_rng_state()
    NORM.try_call(*given)
    assert torch.equal(before, torch.get_rng_state())
    leaves = [tensor for tensor in given if isinstance(tensor, Tensor)]
    assert leaves
    assert all(tensor.grad is None for tensor in leaves)


def test_a_resumed_run_keeps_what_it_began_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured(monkeypatch, tmp_path, own=1.0, torchs=2.0)
    NORM.try_call(*arguments())
    (family,) = contest.used()
    contest.begin_run({family: "torch"})
    NORM.try_call(*arguments())
    assert contest.used() == {family: "torch"}


def test_runs_of_one_process_know_nothing_of_each_others_choices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured(monkeypatch, tmp_path, own=1.0, torchs=2.0)
    NORM.try_call(*arguments())
    (family,) = contest.used()
    chosen = contest.used()[family]
    contest.begin_run({family: "torch"})
    NORM.try_call(*arguments())
    resumed = contest.of_this_run()
    contest.begin_run({})
    assert contest.used() == {}
    NORM.try_call(*arguments())
    assert contest.used() == {family: chosen}
    contest.go_on_with(resumed)
    NORM.try_call(*arguments())
    assert contest.used() == {family: "torch"}


def test_an_unknown_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORMLAB_KERNELS", "fastest")
    with pytest.raises(UserError, match="choose one of auto, own, torch, off"):
        contest.policy.__wrapped__()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("both", [False, True])
def test_a_plain_lstm_by_torch_equals_nn_lstm(dtype: torch.dtype, both: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    policy(monkeypatch, "torch")
    torch.manual_seed(1)
    ours = LayerNormLSTM(3, 5, 2, bidirectional=both, layer_norm=False).to(dtype)
    theirs = nn.LSTM(3, 5, 2, bidirectional=both).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(6, 2, 3, dtype=dtype, requires_grad=True)
    results = []
    for lstm in (ours, theirs):
        y, (h, c) = lstm(x)
        loss = y.square().sum() + h.sum() + c.prod()
        results.append([y, h, c, *torch.autograd.grad(loss, [x, *lstm.parameters()])])
    assert set(contest.used().values()) == {"torch"}
    for own, other in zip(*results, strict=True):
        torch.testing.assert_close(own, other)


def test_a_plain_lstm_by_torch_has_second_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for value in ("torch", "off"):
        policy(monkeypatch, value)
        torch.manual_seed(1)
        lstm = LayerNormLSTM(3, 5, layer_norm=False)
        x = torch.randn(4, 2, 3, requires_grad=True)
        (slope,) = torch.autograd.grad(lstm(x)[0].square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), x)[0])
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)


def test_padding_and_layer_norm_are_the_kernels() -> None:
    x, state = torch.randn(4, 2, 3), (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5))
    plain, normalised = (LayerNormLSTM(3, 5, layer_norm=wanted)._weights("_l0") for wanted in (False, True))
    assert LSTM.key(x, state, [plain], None, 1e-5) is not None
    assert LSTM.key(x, state, [plain], torch.tensor([4, 2]), 1e-5) is None
    assert LSTM.key(x, state, [normalised], None, 1e-5) is None


def test_the_first_answer_that_is_written_is_everybodys(tmp_path: Path) -> None:
    one, two = (Choices("here", lambda work: float(work()), tmp_path) for _ in range(2))  # type: ignore[arg-type]
    two.ratios()  # has looked before the other has written
    assert one.ratio("norm", "a", lambda: (lambda: 1.0, lambda: 2.0)) == 0.5
    assert two.ratio("norm", "a", lambda: (lambda: 4.0, lambda: 2.0)) == 0.5


def test_a_kernel_that_does_not_take_the_call_is_never_chosen(tmp_path: Path) -> None:
    def refuses() -> object:
        raise RuntimeError

    assert (
        Choices("here", lambda work: float(work()), tmp_path).ratio(  # type: ignore[arg-type]
            "norm", "a", lambda: (refuses, lambda: 1.0)
        )
        == math.inf
    )
