"""Compare the norm kernels with torch's nearest built-in layers: forward and backward, in one process.

Each row times A (torch) and B (normlab) in turn, so that what else the machine does hits both; the ratio is
the median of the rounds' ratios A / B (above 1: the kernel is faster), with its quartiles.

    python benchmarks/norms.py --threads 2 --rounds 15 --json out.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.kernels.norm import available, fused_batch_instance, fused_norm

SHAPES = [(C, S, S) for C, S in ((16, 32), (32, 16), (64, 8))]
SCHEMES = ("batch", "instance", "layer", "group", "batch_instance")
Step = Callable[[], object]


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    rows = []
    for dtype, batch, shape, channels_last in itertools.product(options.types, options.batches, SHAPES, (False, True)):
        for scheme, fused in itertools.product(options.schemes, (False, True)):
            pair = steps(scheme, fused, (batch, *shape), getattr(torch, dtype), channels_last)
            row = {"scheme": scheme, "add_relu": fused, "shape": [batch, *shape], "type": dtype}
            row |= {"channels_last": channels_last, "threads": options.threads}
            rows.append(row | compare(*pair, options.rounds))
            print(text(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 128])
    parser.add_argument("--types", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES), choices=SCHEMES)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    return parser.parse_args()


def steps(
    scheme: str, fused: bool, shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool
) -> tuple[Step, Step]:
    """Return one forward and backward pass by torch and by normlab, with a residual sum and ReLU if fused."""
    C = shape[1]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, residual, grad = (torch.randn(shape).to(dtype).contiguous(memory_format=layout) for _ in range(3))
    weight, bias, gate = torch.ones(C), torch.zeros(C), torch.full((C,), 0.7)
    leaves = [x, weight, bias] + [residual] * fused + [gate] * (scheme == "batch_instance")
    for leaf in leaves:
        leaf.requires_grad_()
    assert available(x, residual)

    def by_torch() -> object:
        y = torch_norm(scheme, x, weight, bias, gate)
        y = torch.relu(y + residual) if fused else y
        return torch.autograd.grad(y, leaves, grad)

    def by_kernel() -> object:
        options: Any = {"residual": residual, "relu": True} if fused else {}
        if scheme == "batch_instance":
            y = fused_batch_instance(x, gate, weight, bias, **options)[0]
        else:
            y = fused_norm(x, weight, bias, index_set=scheme, groups=8, **options)[0]  # type: ignore[arg-type]
        return torch.autograd.grad(y, leaves, grad)

    return by_torch, by_kernel


def torch_norm(scheme: str, x: Tensor, weight: Tensor, bias: Tensor, gate: Tensor) -> Tensor:
    """What torch has that is nearest to the scheme."""
    C = x.shape[1]
    if scheme == "batch":
        return F.batch_norm(x, None, None, weight, bias, training=True)
    if scheme == "instance":
        return F.group_norm(x, C, weight, bias)  # F.instance_norm repeats the affine, which costs more
    if scheme == "layer":
        return F.group_norm(x, 1, weight, bias)
    if scheme == "group":
        return F.group_norm(x, 8, weight, bias)
    by_batch = F.batch_norm(x, None, None, gate * weight, bias, training=True)
    return by_batch + F.group_norm(x, C, (1 - gate) * weight, None)


def compare(first: Step, second: Step, rounds: int) -> dict[str, Any]:
    """Time both in turn; return the medians in microseconds and the ratio's quartiles."""
    repeat = max(1, int(2e-3 / max(seconds(first, 3), 1e-6)))
    seconds(second, 3)
    pairs = [(seconds(first, repeat), seconds(second, repeat)) for _ in range(rounds)]
    low, ratio, high = statistics.quantiles([a / b for a, b in pairs], n=4)
    a, b = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
    return {"torch_us": round(a, 1), "normlab_us": round(b, 1), "ratio": ratio, "low": low, "high": high}


def seconds(step: Step, repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        step()
    return (time.perf_counter() - start) / repeat


def text(row: dict[str, Any]) -> str:
    shape = "x".join(map(str, row["shape"]))
    name = row["scheme"] + ("+add+relu" if row["add_relu"] else "")
    layout = "channels_last" if row["channels_last"] else "nchw"
    return (
        f"{name:24} {shape:12} {row['type']:9} {layout:13} torch {row['torch_us']:8.1f} us  normlab "
        f"{row['normlab_us']:8.1f} us  ratio {row['ratio']:5.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    )


if __name__ == "__main__":
    main()
