"""The CRF kernels as torch operators: what torch.compile calls, what runs on GPUs, and what marginals are made of.

On a CPU the library (crf.cpp) is called directly, through ctypes; on a GPU `triton.py` is.

Dimensions: B sentences, T positions, K tags, G groups of 16 sentences.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import build, derivatives, gpu, guards

_LANES = 16  # kCrfLanes in crf.h
_POINTERS = ["emissions", "tags", "mask", "start", "transitions", "end", "legal_start", "legal_transitions"]
_POINTERS += ["legal_end", "loss", "tape", "grad_loss"]
_POINTERS += ["grad_emissions", "grad_start", "grad_transitions", "grad_end", "path"]


class _Call(ctypes.Structure):
    """CrfCall in crf.h, field by field."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in ("B", "T", "K", "threads", "grad_stride")),
        ("grad_scale", ctypes.c_float),
    ]


def takes(emissions: Tensor, scores: Sequence[Tensor]) -> bool:
    """Return whether the operators take these tensors here; builds the library at the first call."""
    if emissions.dtype != torch.float32 or scores[1].dtype != torch.float32:
        return False
    if not guards.allows_kernel(emissions, *scores):
        return False
    if emissions.is_cuda:
        # The reference starts several kernels at every position, so there is nothing to measure.
        fits = emissions.numel() > 0 and not gpu.reason_against()
        return fits and emissions.shape[2] <= gpu.triton_module("crf").MOST_TAGS
    return emissions.device.type == "cpu" and available()


@guards.constant_when_compiled
def available() -> bool:
    """Return whether the library is available here; builds it at the first call."""
    return build.load("crf") is not None


@torch.library.custom_op("normlab::crf_loss", mutates_args=(), device_types=("cpu", "cuda"))
def crf_loss(
    emissions: Tensor, tags: Tensor | None, mask: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """Return -log p(tags) of each sentence, or log Z if tags is None, (B,), and the tape for the backward pass.

    Raises: ValueError if a real tag is outside 0..K-1.
    """
    return loss(emissions, tags, mask, (start, transitions, end))


@crf_loss.register_fake
def _(emissions: Tensor, *_rest: Any) -> tuple[Tensor, Tensor]:
    return _loss_outputs(emissions)


@torch.library.custom_op("normlab::crf_loss_backward", mutates_args=(), device_types=("cpu", "cuda"))
def crf_loss_backward(
    grad: Tensor,
    tags: Tensor | None,
    mask: Tensor,
    start: Tensor,
    transitions: Tensor,
    end: Tensor,
    tape: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of emissions, start, transitions and end."""
    return loss_backward(grad, tags, mask, (start, transitions, end), tape)


@crf_loss_backward.register_fake
def _(
    _grad: Tensor, _tags: Tensor | None, mask: Tensor, start: Tensor, transitions: Tensor, end: Tensor, _tape: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _gradients(mask, (start, transitions, end))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])


def _backward(ctx: Any, grad: Tensor, _of_tape: Tensor) -> tuple[Tensor | None, ...]:
    inputs, tags, mask, *scores, _ = ctx.saved_tensors
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        tensors = (inputs, *scores, tags, mask, None, None, None)
        emissions, start, transitions, end, *_ = derivatives.gradients("crf_loss", tensors, [grad], -1.0)
        return emissions, None, None, start, transitions, end
    emissions, start, transitions, end = crf_loss_backward(grad, *ctx.saved_tensors[1:])
    return emissions, None, None, start, transitions, end


crf_loss.register_autograd(_backward, setup_context=_setup_context)


@torch.library.custom_op("normlab::crf_viterbi", mutates_args=(), device_types=("cpu", "cuda"))
def crf_viterbi(emissions: Tensor, mask: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """Return the best tag sequences, (B, T) int64, 0 where the mask is False."""
    return _best_path(emissions, mask, (start, transitions, end))


@crf_viterbi.register_fake
def _(emissions: Tensor, *_rest: Tensor) -> Tensor:
    return emissions.new_empty(emissions.shape[:2], dtype=torch.int64)


def _best_path(emissions: Tensor, mask: Tensor, scores: tuple[Tensor, ...]) -> Tensor:
    if emissions.is_cuda:
        return gpu.triton_module("crf").best_path(emissions, mask, scores)
    path = torch.zeros(emissions.shape[:2], dtype=torch.int64)
    _run("crf_viterbi", mask, scores, {"emissions": emissions, "path": path})
    return path


def loss(emissions: Tensor, tags: Tensor | None, mask: Tensor, scores: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """`crf_loss` as a plain function. The first call of the operator imports torch's compiler, which takes seconds."""
    if emissions.is_cuda:
        return gpu.triton_module("crf").loss(emissions, tags, mask, scores)
    losses, tape = _loss_outputs(emissions)
    tensors = {"emissions": emissions, "tags": tags, "loss": losses, "tape": tape}
    wrong = _run("crf_loss", mask, scores, tensors)
    if wrong >= 0:
        raise ValueError(f"tags must lie in 0..{emissions.shape[2] - 1}; row {wrong} of the batch has another")
    return losses, tape


def loss_backward(
    grad: Tensor, tags: Tensor | None, mask: Tensor, scores: tuple[Tensor, ...], tape: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`crf_loss_backward` as a plain function."""
    if tape.is_cuda:
        return gpu.triton_module("crf").loss_backward(grad, tags, mask, scores, tape)
    gradients = _gradients(mask, scores)
    gradients[0].zero_()
    names = ["grad_emissions", "grad_start", "grad_transitions", "grad_end"]
    tensors = {"tags": tags, "grad_loss": grad, "tape": tape} | dict(zip(names, gradients, strict=True))
    _run("crf_loss_backward", mask, scores, tensors)
    return gradients


def _loss_outputs(emissions: Tensor) -> tuple[Tensor, Tensor]:
    B, T, K = emissions.shape
    if emissions.is_cuda:
        return emissions.new_empty(B), emissions.new_empty(2, B, T, K)
    return emissions.new_empty(B), emissions.new_empty((B + _LANES - 1) // _LANES, T, 3, K, _LANES)


def _gradients(mask: Tensor, scores: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    start, transitions, end = scores
    emitted = start.new_empty(*mask.shape, len(start))
    return emitted, torch.empty_like(start), transitions.new_empty(transitions.shape), torch.empty_like(end)


def _run(function: str, mask: Tensor, scores: tuple[Tensor, ...], tensors: dict[str, Tensor | None]) -> int:
    given = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    given |= zip(("start", "transitions", "end"), (score.contiguous() for score in scores), strict=True)
    given["mask"] = mask.to(torch.bool).contiguous()
    if "tags" in given:
        given["tags"] = given["tags"].to(torch.int64)
    library = build.load("crf")
    assert library is not None
    run = getattr(library, function)
    run.restype = ctypes.c_int64 if function == "crf_loss" else None
    sizes: dict[str, float] = {
        "B": mask.shape[0],
        "T": mask.shape[1],
        "K": len(scores[0]),
        "threads": torch.get_num_threads(),
    }
    sizes |= {"grad_stride": 1, "grad_scale": 1.0}
    return run(ctypes.byref(_Call(**sizes, **{name: tensor.data_ptr() for name, tensor in given.items()})))
