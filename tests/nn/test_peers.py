"""Other people's tests on our parts: torch's module samples of nn.LSTM, and what pytorch-crf promises.

torch.testing's samples (ModuleInfo) are run against LayerNormLSTM(layer_norm=False); the properties of pytorch-crf's
own tests against LinearChainCRF, whose batch axis comes first, and whose loss has the other sign.
"""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys

import pytest
import torch
import torchcrf
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from normlab.nn import LayerNormLSTM, LinearChainCRF

COMPARE = """
import sys
import torch
from torch import nn
from torch.testing._internal.common_modules import module_db
from normlab.nn import LayerNormLSTM

torch.set_num_threads(1)
dtype = getattr(torch, sys.argv[1])
# Rounding of this type alone: the sums of both are of some dozen terms, in another order.
close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-12}
(info,) = (info for info in module_db if info.module_cls is nn.LSTM)
kinds = set()
for seed, sample in enumerate(info.module_inputs_func(info, "cpu", dtype, True, True)):
    torch.manual_seed(seed)
    construction, call = sample.constructor_input, sample.forward_input
    theirs = nn.LSTM(*construction.args, **construction.kwargs, device="cpu", dtype=dtype)
    ours = LayerNormLSTM(*construction.args, **construction.kwargs, device="cpu", dtype=dtype, layer_norm=False)
    ours.load_state_dict(theirs.state_dict())
    leaves = torch.utils._pytree.tree_leaves((call.args, call.kwargs))
    results = []
    for module in (ours, theirs):
        output, (h_n, c_n) = module(*call.args, **call.kwargs)
        total = output.square().sum() + h_n.sin().sum() + c_n.cos().sum()
        results.append([output, h_n, c_n, *torch.autograd.grad(total, [*leaves, *module.parameters()])])
    torch.testing.assert_close(*results, **close)
    kinds.add(tuple(construction.kwargs[name] for name in ("bias", "batch_first", "bidirectional", "proj_size")))
print(len(kinds))
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torchs_samples_of_an_lstm_give_the_same_outputs_and_gradients(dtype):
    """In a process of its own: importing torch's test utilities changes settings of the whole process."""
    pytest.importorskip("expecttest", reason="torch's own test utilities need the package expecttest")
    done = subprocess.run([sys.executable, "-c", COMPARE, dtype], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) >= 16, "biases, batch_first, directions and projections"


def test_the_positional_arguments_are_those_of_torchs_lstm():
    documented = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
    documented += ["proj_size", "device", "dtype"]
    ours = [name for name in inspect.signature(LayerNormLSTM).parameters if name not in ("layer_norm", "eps")]
    assert ours == documented
    positional = (3, 4, 2, False, True, 0.25, True, 2, "cpu", torch.float64)
    theirs, module = nn.LSTM(*positional), LayerNormLSTM(*positional, layer_norm=False)
    assert list(module.state_dict()) == list(theirs.state_dict())
    for name in documented[:8]:
        assert getattr(module, name) == getattr(theirs, name)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float64}
    module.flatten_parameters()


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("proj_size", [0, 2])
def test_packed_sentences_and_their_states_give_the_same(enforce_sorted, batch_first, proj_size):
    options = {"bidirectional": True, "batch_first": batch_first, "proj_size": proj_size}
    theirs = nn.LSTM(3, 4, 2, **options)
    ours = LayerNormLSTM(3, 4, 2, **options, layer_norm=False)
    ours.load_state_dict(theirs.state_dict())
    lengths = [5, 3, 1] if enforce_sorted else [1, 5, 3]
    x = torch.randn(3, 5, 3) if batch_first else torch.randn(5, 3, 3)
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted)
    hx = torch.randn(4, 3, proj_size or 4), torch.randn(4, 3, 4)
    (output, final), (expected, expected_final) = ours(packed, hx), theirs(packed, hx)
    assert isinstance(output, PackedSequence)
    torch.testing.assert_close((output.data, *final), (expected.data, *expected_final), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_modules_run_as_torchs_do(dtype):
    theirs = nn.LSTM(3, 4, dtype=dtype)
    ours = LayerNormLSTM(3, 4, dtype=dtype, layer_norm=False)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 2, 3).to(dtype)
    found, expected = ours(x)[0], theirs(x)[0]
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)


def test_layer_norm_without_bias_has_gains_only():
    lstm = LayerNormLSTM(3, 4, bias=False)
    assert {name.split("_l0")[0] for name, _ in lstm.named_parameters()} == {
        "weight_ih",
        "weight_hh",
        "gain_ih",
        "gain_hh",
        "gain_c",
    }
    full = LayerNormLSTM(3, 4)
    full.load_state_dict(lstm.state_dict(), strict=False)
    for name in ("bias_ih_l0", "bias_hh_l0", "bias_c_l0"):
        nn.init.zeros_(getattr(full, name))
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(lstm(x)[0], full(x)[0])


@pytest.mark.parametrize("proj_size", [-1, 4, 9])
def test_a_projection_that_is_not_smaller_is_refused(proj_size):
    with pytest.raises(ValueError, match="proj_size"):
        LayerNormLSTM(3, 4, proj_size=proj_size)


# What pytorch-crf's tests hold it to.


def crf_pair(seed: int, num_tags: int = 5, batch_first: bool = True) -> tuple[LinearChainCRF, torchcrf.CRF]:
    torch.manual_seed(seed)
    ours, theirs = LinearChainCRF(num_tags), torchcrf.CRF(num_tags, batch_first=batch_first)
    for parameter in ours.parameters():
        nn.init.uniform_(parameter, -1, 1)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def random_case(batch: int = 4, steps: int = 7, num_tags: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    lengths = torch.randint(1, steps + 1, (batch,))
    lengths[0] = steps
    mask = torch.arange(steps) < lengths[:, None]
    return 2 * torch.randn(batch, steps, num_tags), torch.randint(num_tags, (batch, steps)), mask


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "token_mean"])
@pytest.mark.parametrize("masked", ["none", "bool", "uint8"])
def test_likelihood_gradients_and_paths_equal_pytorch_crf(seed, reduction, masked):
    ours, theirs = crf_pair(seed)
    emissions, tags, mask = random_case()
    theirs_mask = None if masked == "none" else mask
    mask = {"none": None, "bool": mask, "uint8": mask.to(torch.uint8)}[masked]
    results = []
    for crf, loss in ((ours, ours.nll), (theirs, lambda *args, reduction: -theirs(*args, reduction=reduction))):
        leaf = emissions.clone().requires_grad_()
        value = loss(leaf, tags, mask if crf is ours else theirs_mask, reduction=reduction)
        parameters = [crf.start_transitions, crf.transitions, crf.end_transitions]
        results.append([value, *torch.autograd.grad(value.sum(), [leaf, *parameters])])
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)
    kept = torch.ones(tags.shape).bool() if mask is None else mask.bool()
    paths = [row[real].tolist() for row, real in zip(ours.viterbi(emissions, mask), kept, strict=True)]
    assert paths == theirs.decode(emissions, theirs_mask)


def test_time_first_emissions_of_pytorch_crf_are_ours_transposed():
    ours, theirs = crf_pair(3, batch_first=False)
    emissions, tags, mask = random_case()
    expected = -theirs(emissions.transpose(0, 1), tags.t(), mask.t(), reduction="sum")
    torch.testing.assert_close(ours.nll(emissions, tags, mask, "sum"), expected)


def test_a_batch_is_the_sum_of_its_sentences_and_a_full_mask_is_no_mask():
    ours, _ = crf_pair(1)
    emissions, tags, mask = random_case()
    alone = [
        ours.nll(emissions[b : b + 1, :n], tags[b : b + 1, :n], reduction="sum")
        for b, n in enumerate(mask.sum(1).tolist())
    ]
    torch.testing.assert_close(ours.nll(emissions, tags, mask, "sum"), torch.stack(alone).sum())
    full = torch.ones_like(mask)
    assert torch.equal(ours.nll(emissions, tags, full, "none"), ours.nll(emissions, tags, reduction="none"))


@pytest.mark.parametrize("seed", range(4))
def test_likelihood_and_path_equal_the_enumeration_that_pytorch_crf_is_tested_with(seed):
    ours, _ = crf_pair(seed, num_tags=3)
    emissions, tags, _ = random_case(batch=2, steps=4, num_tags=3)

    def score(b: int, path: tuple[int, ...]) -> float:
        total = ours.start_transitions[path[0]] + ours.end_transitions[path[-1]]
        total = total + sum(emissions[b, t, tag] for t, tag in enumerate(path))
        return float((total + sum(ours.transitions[i, j] for i, j in itertools.pairwise(path))).detach())

    losses = ours.nll(emissions, tags, reduction="none")
    for b in range(2):
        scores = {path: score(b, path) for path in itertools.product(range(3), repeat=4)}
        total = torch.tensor(list(scores.values())).logsumexp(0)
        torch.testing.assert_close(losses[b].detach(), total - scores[tuple(tags[b].tolist())], rtol=1e-4, atol=1e-4)
        assert tuple(ours.viterbi(emissions)[b].tolist()) == max(scores, key=scores.__getitem__)


@pytest.mark.parametrize(
    ("emissions", "tags", "message"),
    [
        (torch.zeros(2, 3, 4, dtype=torch.long), torch.zeros(2, 3).long(), "floating-point"),
        (torch.zeros(2, 3, 4, dtype=torch.complex64), torch.zeros(2, 3).long(), "floating-point"),
        (torch.zeros(2, 3, 4), torch.zeros(2, 3), "whole numbers"),
        (torch.zeros(2, 3, 4), torch.zeros(2, 3).bool(), "whole numbers"),
    ],
)
def test_types_that_would_be_rounded_in_silence_are_refused(emissions, tags, message):
    with pytest.raises(ValueError, match=message):
        LinearChainCRF(4).nll(emissions, tags)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_tags_of_any_whole_type_are_taken(dtype):
    crf = LinearChainCRF(4)
    emissions, tags = torch.randn(2, 3, 4), torch.randint(4, (2, 3))
    assert torch.equal(crf.nll(emissions, tags.to(dtype)), crf.nll(emissions, tags))
    torch.testing.assert_close(crf.double().nll(emissions.double(), tags.to(dtype)), crf.nll(emissions.double(), tags))
