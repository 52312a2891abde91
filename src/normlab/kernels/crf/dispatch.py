"""The compiled twin of the CRF's loss, marginals and decoding (crf.cpp).

It takes float32 on the CPU and any mask; `applies` says whether it can be used, else the caller runs the
reference. `reduced_loss` and `legal_best_path` are the short way, through `glue_crf.h`, with the reduction and
the legal transitions in the kernel; they answer None where that cannot be had. Under torch.compile the other
functions are torch operators; without glue the library is called directly, since the dispatcher would cost
more than the arithmetic.

Letters: B sentences, T positions, K tags, G groups of 16 sentences.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import build, derivatives, glue, gpu, guards

REDUCTIONS = ("none", "sum", "mean", "token_mean")  # as in glue_crf.h
_LANES = 16  # kCrfLanes in crf.h
_POINTERS = ["emissions", "tags", "mask", "start", "transitions", "end", "legal_start", "legal_transitions"]
_POINTERS += ["legal_end", "loss", "tape", "grad_loss"]
_POINTERS += ["grad_emissions", "grad_start", "grad_transitions", "grad_end", "path"]

Scores = tuple[Tensor, Tensor, Tensor]
Legal = tuple[Tensor | None, Tensor | None, Tensor | None]


class _Call(ctypes.Structure):
    """CrfCall in crf.h, field by field."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in ("B", "T", "K", "threads", "grad_stride")),
        ("grad_scale", ctypes.c_float),
    ]


def applies(emissions: Tensor, transitions: Tensor) -> bool:
    """Return whether the kernel takes these tensors here; builds it at the first call."""
    if not guards.allows_kernel(emissions, transitions):
        return False
    if emissions.is_cuda:
        return gpu.takes_crf(emissions, transitions)
    if emissions.device.type != "cpu" or emissions.dtype != torch.float32 or transitions.dtype != torch.float32:
        return False
    return available()


@guards.constant_when_compiled
def available() -> bool:
    """Return whether the kernel is available here; builds it at the first call."""
    return build.load("crf") is not None


def reduced_loss(
    emissions: Tensor, tags: Tensor | None, mask: Tensor | None, scores: Scores, legal: Legal, reduction: str
) -> Tensor | None:
    """Return the loss as `loss` does, reduced over the batch, or None where the short way cannot be taken.

    Args:
        mask: None if all positions are real.
        scores: as they are learned.
        legal: booleans of the scores' shapes; the others count as impossible and get no gradient. None: all.
        reduction: one of REDUCTIONS.
    Raises: ValueError if a real tag is outside 0..K-1.
    """
    module = _glue_for(emissions, tags, mask, *scores)
    if module is None or reduction not in REDUCTIONS:
        return None
    return module.crf(emissions, mask, *scores, *legal, tags, REDUCTIONS.index(reduction))


def legal_best_path(emissions: Tensor, mask: Tensor | None, scores: Scores, legal: Legal) -> Tensor | None:
    """Return what `best_path` does, or None; the arguments are those of `reduced_loss`."""
    module = _glue_for(emissions, mask, *scores)
    return None if module is None else module.viterbi(emissions, mask, *scores, *legal)


def _glue_for(*tensors: Tensor | None) -> Any:
    return None if torch.compiler.is_compiling() or not guards.allows_kernel(*tensors) else _glue()


@functools.cache
def _glue() -> Any:
    module = glue.glue("crf", "crf_loss", "crf_loss_backward", "crf_viterbi")
    if module is not None:
        module.reference("crf", functools.partial(derivatives.gradients, "crf_loss"))
    return module


def loss(emissions: Tensor, tags: Tensor | None, mask: Tensor, scores: Scores) -> Tensor:
    """Return -log p(tags) of each sentence, or log Z if tags is None, (B,).

    Args:
        emissions: (B, T, K).
        tags: (B, T) in 0..K-1 where the mask is True.
        mask: (B, T), boolean.
        scores: start (K,), transitions (K, K), end (K,), finite.
    Raises: ValueError if a real tag is outside 0..K-1.
    """
    if torch.compiler.is_compiling():
        return crf_loss(emissions, tags, mask, *scores)[0]
    if torch.is_grad_enabled():
        return _Loss.apply(emissions, tags, mask, *scores)
    return _loss(emissions, tags, mask, scores)[0]


def token_marginals(emissions: Tensor, mask: Tensor, scores: Scores) -> Tensor:
    """Return p(y_t = k), (B, T, K), 0 where the mask is False; not differentiable."""
    losses, tape = _loss(emissions, None, mask, scores)
    return _loss_backward(torch.ones_like(losses), None, mask, scores, tape)[0]


def best_path(emissions: Tensor, mask: Tensor, scores: Scores) -> Tensor:
    """Return the best tag sequences, (B, T) int64, 0 where the mask is False."""
    if torch.compiler.is_compiling():
        return crf_viterbi(emissions, mask, *scores)
    return _best_path(emissions, mask, scores)


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, emissions: Tensor, tags: Tensor | None, mask: Tensor, *scores: Tensor) -> Tensor:
        losses, tape = _loss(emissions, tags, mask, scores)
        ctx.save_for_backward(emissions, tags, mask, *scores, tape)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, tags, mask, *scores, tape = ctx.saved_tensors
        if torch.is_grad_enabled() or not guards.allows_kernel(grad):
            tensors = (inputs, *scores, tags, mask, None, None, None)
            emissions, start, transitions, end, *_ = derivatives.gradients("crf_loss", tensors, [grad], -1.0)
            return emissions, None, None, start, transitions, end
        emissions, start, transitions, end = _loss_backward(grad, tags, mask, scores, tape)
        return emissions, None, None, start, transitions, end


@torch.library.custom_op("normlab::crf_loss", mutates_args=(), device_types=("cpu", "cuda"))
def crf_loss(
    emissions: Tensor, tags: Tensor | None, mask: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the losses (B,) and the tape for the backward pass."""
    return _loss(emissions, tags, mask, (start, transitions, end))


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
    return _loss_backward(grad, tags, mask, (start, transitions, end), tape)


@crf_loss_backward.register_fake
def _(
    _grad: Tensor, _tags: Tensor | None, mask: Tensor, start: Tensor, transitions: Tensor, end: Tensor, _tape: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _gradients(mask, (start, transitions, end))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[1:], output[1])


def _backward(ctx: Any, grad: Tensor, _of_tape: Tensor) -> tuple[Tensor | None, ...]:
    emissions, start, transitions, end = crf_loss_backward(grad, *ctx.saved_tensors)
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
        return gpu.twin("crf").best_path(emissions, mask, scores)
    path = torch.zeros(emissions.shape[:2], dtype=torch.int64)
    _run("crf_viterbi", mask, scores, {"emissions": emissions, "path": path})
    return path


def _loss(emissions: Tensor, tags: Tensor | None, mask: Tensor, scores: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    if emissions.is_cuda:
        return gpu.twin("crf").loss(emissions, tags, mask, scores)
    losses, tape = _loss_outputs(emissions)
    tensors = {"emissions": emissions, "tags": tags, "loss": losses, "tape": tape}
    wrong = _run("crf_loss", mask, scores, tensors)
    if wrong >= 0:
        raise ValueError(f"tags must lie in 0..{emissions.shape[2] - 1}; row {wrong} of the batch has another")
    return losses, tape


def _loss_backward(
    grad: Tensor, tags: Tensor | None, mask: Tensor, scores: tuple[Tensor, ...], tape: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if tape.is_cuda:
        return gpu.twin("crf").loss_backward(grad, tags, mask, scores, tape)
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
    held = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    held |= zip(("start", "transitions", "end"), (score.contiguous() for score in scores), strict=True)
    held["mask"] = mask.to(torch.bool).contiguous()
    if "tags" in held:
        held["tags"] = held["tags"].to(torch.int64)
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
    return run(ctypes.byref(_Call(**sizes, **{name: tensor.data_ptr() for name, tensor in held.items()})))
