"""LayerNormLSTM and LinearChainCRF where a stranger's program transforms or traces them.

In all of these the compiled kernels must not run, or the result is what lay in memory: each test compares with
the plain call, in float32 on a CPU, where the kernels run.
"""

from __future__ import annotations

import copy

import pytest
import torch
from sequence_parts import DECODING, DIFFERENTIABLE, B, D, T, close, inputs, made, scalar
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from normlab.nn import LayerNormLSTM

differentiable = pytest.mark.parametrize("name", DIFFERENTIABLE)
everything = pytest.mark.parametrize("name", [*DIFFERENTIABLE, *DECODING])


@differentiable
def test_a_second_derivative_is_that_of_the_reference(name):
    module, x = made(name), inputs()

    def second(module: nn.Module, x: Tensor) -> list[Tensor]:
        x = x.clone().requires_grad_()
        leaves = [x, *module.parameters()]
        first = torch.autograd.grad(scalar(module, x), leaves, create_graph=True, allow_unused=True)
        total = sum((g.square().sum() for g in first if g is not None), torch.zeros((), dtype=x.dtype))
        return [*(g for g in first if g is not None), *torch.autograd.grad(total, leaves, allow_unused=True)]

    computed, expected = second(module, x), second(copy.deepcopy(module).double(), x.double())
    assert len(computed) > 2
    for one, other in zip(computed, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            scale = other.detach().abs().max().clamp(min=1.0)
            close(one.detach() / scale, other.detach() / scale)


def test_a_state_that_is_given_twice_has_a_second_derivative_for_each_place():
    lstm, h = LayerNormLSTM(D, 3), torch.randn(1, B, 3, requires_grad=True)

    def hessian_row(lstm: nn.Module, h: Tensor) -> Tensor:
        x = inputs().transpose(0, 1).to(h.dtype)
        (first,) = torch.autograd.grad(lstm(x, (h, h))[0].square().sum(), h, create_graph=True)
        return torch.autograd.grad(first.square().sum(), h)[0]

    close(hessian_row(lstm, h), hessian_row(copy.deepcopy(lstm).double(), h.detach().double().requires_grad_()))


@differentiable
def test_gradients_for_many_directions_at_once(name):
    module, x = made(name), inputs().requires_grad_()
    y = module(x)
    directions = torch.randn(4, *y.shape)
    (batched,) = torch.autograd.grad(y, x, directions, is_grads_batched=True, retain_graph=True)
    for direction, row in zip(directions, batched, strict=True):
        close(row, torch.autograd.grad(y, x, direction, retain_graph=True)[0])
    assert len(batched) == 4


@differentiable
def test_forward_mode_and_jvp_give_the_derivative_along_a_direction(name):
    module, x, v = made(name), inputs(), torch.randn(B, T, D)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scalar(module, leaf), leaf)
    expected = (gradient * v).sum()
    with forward_ad.dual_level():
        close(forward_ad.unpack_dual(scalar(module, forward_ad.make_dual(x, v))).tangent, expected)
    close(torch.func.jvp(lambda x: scalar(module, x), (x,), (v,))[1], expected)
    close((torch.func.grad(lambda x: scalar(module, x))(x) * v).sum(), expected)


@differentiable
def test_forward_mode_over_a_backward_pass_gives_a_row_of_the_hessian(name):
    module, x, v = made(name), inputs(), torch.randn(B, T, D)
    leaf = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(scalar(module, leaf), leaf, create_graph=True)
    (expected,) = torch.autograd.grad((first * v).sum(), leaf)
    computed = torch.func.jvp(torch.func.grad(lambda x: scalar(module, x)), (x,), (v,))[1]
    scale = expected.abs().max().clamp(min=1.0)
    close(computed / scale, expected / scale)


@differentiable
def test_per_sample_gradients_are_those_of_each_sample_alone(name):
    module, x = made(name), inputs()
    weights = {name: value.detach() for name, value in module.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(module, weights, (x[None],)).square().sum()

    if name == "lengths":  # whose lengths depend on the place in the batch
        pytest.skip("not a function of one sample")
    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x)
    for row, sample in enumerate(x):
        alone = torch.autograd.grad(scalar(module, sample[None]), list(module.parameters()), allow_unused=True)
        for key, gradient in zip(weights, alone, strict=True):
            wanted = torch.zeros_like(weights[key]) if gradient is None else gradient
            scale = wanted.abs().max().clamp(min=1.0)
            close(together[key][row] / scale, wanted / scale)


@everything
def test_vmap_over_batches_equals_a_loop(name):
    module, x = made(name), torch.stack([inputs(), inputs() + 1])
    with torch.no_grad():
        together = torch.func.vmap(module)(x)
        assert len(together) == 2
        for computed, batch in zip(together, x, strict=True):
            close(computed, module(batch))


@everything
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_traced_module_computes_anew_from_other_input(name):
    module, x = made(name), inputs()
    with torch.no_grad():
        traced = torch.jit.trace(module, x)
        assert not torch.equal(module(x).double(), module(2 * x + 1).double())
        close(traced(2 * x + 1), module(2 * x + 1))


@everything
def test_make_fx_records_the_operations(name):
    module, x = made(name), inputs()
    with torch.no_grad():
        graph = make_fx(lambda x: module(x))(x)
        close(graph(2 * x + 1), module(2 * x + 1))


@everything
def test_fake_tensors_have_the_right_shape(name):
    module = made(name)
    expected = module(inputs())
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    with FakeTensorMode() as mode:
        fakes = {key: mode.from_tensor(value) for key, value in tensors.items()}
        computed = torch.func.functional_call(module, fakes, (mode.from_tensor(inputs()),))
    assert computed.shape == expected.shape
    assert computed.dtype == expected.dtype


@everything
def test_on_the_meta_device_the_shape_is_right(name):
    expected = made(name)(inputs())
    module, x = made(name).to("meta"), inputs().to("meta")
    with torch.device("meta"):  # what the program itself makes, as tags
        computed = module(x)
    assert computed.is_meta
    assert (computed.shape, computed.dtype) == (expected.shape, expected.dtype)


@everything
def test_a_mode_that_sees_every_operation_sees_them(name):
    from torch.utils.flop_counter import FlopCounterMode

    module, x = made(name), inputs()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        computed = module(x)
    close(computed, module(x))
    assert counter.get_total_flops() > 0


@pytest.mark.parametrize("name", ["lstm", "nll"])
def test_a_subclass_of_tensor_stays_one(name):
    class Marked(Tensor):
        pass

    module, x = made(name), inputs()
    computed = module(x.as_subclass(Marked))
    assert type(computed) is Marked
    close(computed.as_subclass(Tensor), module(x))
