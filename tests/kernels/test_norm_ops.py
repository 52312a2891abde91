"""The norm kernel as an operator: torch's own checks of it, and use in compiled and exported programs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from normlab.kernels.norm.calls import BATCH, GROUPS, MIX
from normlab.kernels.norm.dispatch import available, fused_batch_instance, fused_norm
from normlab.kernels.norm.operators import norm_op

pytestmark = pytest.mark.skipif(not available(torch.zeros(1, 1, 1, 1)), reason="the norm kernel is not built here")


class Fused(nn.Module):
    """A module whose only work is the kernel's."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor) -> Tensor:
        first = fused_norm(x, weight, bias, index_set="group", groups=4, relu=True)[0]
        return fused_batch_instance(first, weight, residual=residual, relu=True)[0]


def inputs() -> tuple[Tensor, ...]:
    x, residual = (torch.randn(2, 8, 5, 4).requires_grad_() for _ in range(2))
    return x, torch.rand(8).requires_grad_(), torch.randn(8).requires_grad_(), residual


@pytest.mark.parametrize(
    "kind, given, with_residual", [(BATCH, False, True), (GROUPS, False, False), (MIX, True, True)]
)
def test_the_operator_passes_torchs_own_checks(kind: int, given: bool, with_residual: bool) -> None:
    x, weight, bias, residual = inputs()
    gate = torch.rand(8).requires_grad_() if kind == MIX else None
    statistics = (torch.randn(8), torch.rand(8) + 0.5) if given else (None, None)
    arguments = (x, weight, bias, gate, residual if with_residual else None, *statistics)
    torch.library.opcheck(norm_op, (*arguments, kind, 4 if kind == GROUPS else 1, given, 1e-5, with_residual))


def test_a_compiled_module_gives_the_eager_values_and_gradients() -> None:
    tensors, module = inputs(), Fused()
    eager = module(*tensors)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)(*tensors)
    torch.testing.assert_close(compiled, eager)
    grad = torch.randn_like(eager)
    for found, wanted in zip(
        torch.autograd.grad(compiled, tensors, grad), torch.autograd.grad(eager, tensors, grad), strict=True
    ):
        torch.testing.assert_close(found, wanted)


def test_an_exported_module_gives_the_eager_values() -> None:
    tensors, module = inputs(), Fused()
    exported = torch.export.export(module, tensors)
    assert "normlab.norm.default" in str(exported.graph)
    torch.testing.assert_close(exported.module()(*tensors), module(*tensors))


def test_autocast_leaves_the_type_of_the_map() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        x = nn.functional.conv2d(torch.randn(2, 3, 8, 8), torch.randn(16, 3, 3, 3))
        y, mean, _ = fused_norm(x, index_set="layer", relu=True)
    assert y.dtype == x.dtype == torch.bfloat16
    assert mean.dtype == torch.float32
