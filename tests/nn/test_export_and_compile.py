"""LayerNormLSTM and LinearChainCRF in programs that are exported for any length, and under torch.compile."""

from __future__ import annotations

import itertools
import shutil
import warnings

import pytest
import torch
from sequence_parts import DECODING, DIFFERENTIABLE, B, T, close, inputs, made, scalar


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "strict"), [*((name, False) for name in DIFFERENTIABLE | DECODING), ("lengths", True), ("k_best", True)]
)
def test_an_exported_program_takes_any_number_of_steps(name, strict):
    torch.compiler.reset()  # or what earlier tests exported decides which sizes are taken for constant
    module = made(name).eval()
    dynamic = {0: torch.export.Dim("batch", min=2), 1: torch.export.Dim("steps", min=2, max=500)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (inputs(),), dynamic_shapes=(dynamic,), strict=strict)
    nodes = [node for part in program.graph_module.modules() for node in part.graph.nodes]
    assert not [node for node in nodes if "normlab" in str(node.target)], "it must run without this package"
    for batch, steps in ((2, 2), (5, 11), (3, 20)):
        x = inputs(batch, steps)
        close(program.module()(x), module(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "aot_eager") for name in DIFFERENTIABLE), *((name, "inductor") for name in ("lengths", "nll"))],
)
def test_a_compiled_module_trains(name, backend):
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("torch's default backend needs a C++ compiler")
    torch.compiler.reset()
    module = made(name)
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    for x in (inputs(), inputs(B, T + 2)):
        expected = torch.autograd.grad(scalar(module, x), list(module.parameters()), allow_unused=True)
        computed = torch.autograd.grad(scalar(compiled, x), list(module.parameters()), allow_unused=True)
        for one, other in itertools.zip_longest(computed, expected):
            assert (one is None) == (other is None)
            if one is not None:
                scale = other.abs().max().clamp(min=1.0)
                close(one / scale, other / scale)


@pytest.mark.parametrize("name", ["lstm", "nll", "viterbi"])
def test_a_transform_inside_a_compiled_function(name):
    torch.compiler.reset()
    module, x = made(name), torch.stack([inputs(), inputs() + 1])
    with torch.no_grad():
        computed = torch.compile(lambda x: torch.func.vmap(module)(x), backend="aot_eager")(x)
        close(computed, torch.stack([module(batch) for batch in x]))
