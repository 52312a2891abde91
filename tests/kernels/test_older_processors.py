"""The kernels built for processors with narrower vectors than this one's, or none of this one's: same results.

`-march=native` takes one path through the sources on each machine; the others are compiled here too.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from normlab.kernels.norm import NORM

PROGRAM = """
import copy, itertools, sys
import torch
from normlab.kernels.conv import CONV
from normlab.kernels.crf import VITERBI
from normlab.kernels.lstm import LSTM
from normlab.kernels.norm import NORM
from normlab.kernels.runtime import build
from normlab.nn import LayerNormLSTM, LinearChainCRF
from normlab.norms import NORMS

build.FLAGS = tuple(flag.replace("native", sys.argv[1]) for flag in build.FLAGS)
torch.manual_seed(0)

def gradients(module, x):
    output = module(x)
    output = output[0] if isinstance(output, tuple) else output
    leaves = [x, *module.parameters()]
    loss = (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum()
    return [output.detach(), *torch.autograd.grad(loss, leaves)]

def compare(what, module, wide, x):
    ours = gradients(module, x)
    wide_x = x.detach().double().requires_grad_()
    for own, exact in zip(ours, gradients(wide, wide_x), strict=True):
        difference = float((own.double() - exact).abs().max() / exact.abs().max().clamp(min=1))
        assert difference < (4e-2 if x.dtype == torch.bfloat16 else 1e-4), (what, difference)

names, types = ("batch", "instance", "layer", "group", "batch_instance"), (torch.float32, torch.bfloat16)
for name, channels, last, dtype in itertools.product(names, (16, 24, 64), (False, True), types):
    options = {"groups": 8} if name == "group" else {}
    x = (torch.randn(3, channels, 5, 7) + 2).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    wide = NORMS.create(name, channels, **options).double()
    compare((name, channels, last, dtype), NORMS.create(name, channels, **options), wide, x.requires_grad_())

for inputs, hidden, sentences, steps, normalised, both in itertools.product(
    (1, 3, 20), (1, 2, 9), (1, 2, 6), (1, 4), (False, True), (False, True)
):
    module = LayerNormLSTM(inputs, hidden, layer_norm=normalised, bidirectional=both)
    wide = LayerNormLSTM(inputs, hidden, layer_norm=normalised, bidirectional=both).double()
    wide.load_state_dict(module.state_dict())
    what = inputs, hidden, sentences, steps, normalised, both
    compare(what, module, wide, torch.randn(steps, sentences, inputs, requires_grad=True))

for inputs, hidden, sentences in ((50, 33, 40), (17, 70, 13)):  # whole blocks of the products and each rest of one
    module, wide = LayerNormLSTM(inputs, hidden), LayerNormLSTM(inputs, hidden).double()
    wide.load_state_dict(module.state_dict())
    compare((inputs, hidden), module, wide, torch.randn(3, sentences, inputs, requires_grad=True))

for channels, K, width, stride in itertools.product((3, 16, 32), (16, 48), (5, 8, 16), (1, 2)):
    module = torch.nn.Conv2d(channels, K, 3, stride=stride, padding=1)
    x = torch.randn(2, channels, 7, width).contiguous(memory_format=torch.channels_last)
    leaves = [module.weight, module.bias, *([x.requires_grad_()] if channels > 3 else [])]
    y = CONV.try_call(x, module.weight, module.bias, stride)
    if y is None:  # without AVX2 there is none
        assert sys.argv[1] == "x86-64" and CONV.reason_against_cpu()
        break
    wide, wide_x = copy.deepcopy(module).double(), x.detach().double().requires_grad_()
    exact = wide(wide_x)
    grad = torch.randn(y.shape)
    wide_leaves = [wide.weight, wide.bias, *([wide_x] if channels > 3 else [])]
    theirs = [exact, *torch.autograd.grad(exact, wide_leaves, grad.double())]
    for own, exact in zip([y, *torch.autograd.grad(y, leaves, grad)], theirs, strict=True):
        assert float((own.double() - exact).abs().max() / exact.abs().max()) < 1e-5, (channels, K, width, stride)

for tags, sentences, words in itertools.product((1, 5, 9, 17, 33), (1, 5, 18), (1, 7)):
    crf, emissions = LinearChainCRF(tags), torch.randn(sentences, words, tags, requires_grad=True)
    with torch.no_grad():
        crf.transitions.normal_()
    wide, wide_emissions = copy.deepcopy(crf).double(), emissions.detach().double().requires_grad_()
    gold = torch.randint(tags, (sentences, words))
    both = (crf, emissions), (wide, wide_emissions)
    found = [torch.autograd.grad(chain.nll(scores, gold), [scores, *chain.parameters()]) for chain, scores in both]
    for own, exact in zip(*found, strict=True):
        assert float((own.double() - exact).abs().max()) < 1e-5, (tags, sentences, words)
    assert torch.equal(crf.viterbi(emissions), wide.viterbi(wide_emissions)), (tags, sentences, words)

assert not NORM.reason_against_cpu() and not LSTM.reason_against_cpu() and not VITERBI.reason_against_cpu()
"""


@pytest.mark.slow
@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3"])
def test_kernels_built_for_an_older_processor_compute_the_same(processor: str) -> None:
    if NORM.reason_against_cpu():
        pytest.skip(NORM.reason_against_cpu())
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names of x86 processors")
    environment = {**os.environ, "NORMLAB_KERNELS": "own"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, processor], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
