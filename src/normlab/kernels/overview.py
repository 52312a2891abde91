"""Which implementation of each fast operation runs on this machine, and why: what `normlab doctor --kernels` shows."""

from __future__ import annotations

import torch

from normlab.kernels.augment import AUGMENT
from normlab.kernels.conv import CONV
from normlab.kernels.crf import LOSS, MARGINALS, VITERBI
from normlab.kernels.histogram import HISTOGRAM
from normlab.kernels.lstm import LSTM
from normlab.kernels.maps import HALVE, MEAN
from normlab.kernels.norm import NORM, TRACK
from normlab.kernels.pixels import PIXELS
from normlab.kernels.planes import PLANES
from normlab.kernels.runtime import contest, gpu
from normlab.kernels.runtime.kernel import Kernel
from normlab.kernels.squash import SQUASH

KERNELS: tuple[Kernel, ...] = (
    NORM,
    TRACK,
    PIXELS,
    PLANES,
    SQUASH,
    CONV,
    HALVE,
    MEAN,
    AUGMENT,
    HISTOGRAM,
    LSTM,
    LOSS,
    VITERBI,
    MARGINALS,
)


def overview() -> list[dict[str, str]]:
    """Return a row for each operation, columns as the command shows them; builds what is not built yet."""
    return [_row(kernel) for kernel in KERNELS]


def measured_choices() -> list[dict[str, str]]:
    """Return a row for each operation and kind of shape that was timed on this processor, columns as shown."""
    return [
        {
            "operation and shapes": key,
            "own / torch's time": "torch's alone takes it" if ratio == float("inf") else f"{ratio:.2f}",
            "runs": contest.TORCH if contest.is_clearly_slower(ratio) else contest.OWN,
        }
        for key, ratio in sorted(contest.choices().ratios().items())
    ]


def _row(kernel: Kernel) -> dict[str, str]:
    reason = _reason_against_example(kernel)
    return {
        "operation": kernel.name,
        "on a CPU": f"reference ({reason})" if reason else "C++",
        "on a GPU": f"reference ({kernel.reason_against_gpu()})" if kernel.reason_against_gpu() else "Triton",
        "measured": _measured(kernel),
    }


def _reason_against_example(kernel: Kernel) -> str:
    """Call the kernel on its example; return why it did not answer, empty if it did."""
    with torch.no_grad():
        call = kernel.call_own if isinstance(kernel, contest.ContestedKernel) else kernel.try_call
        answered = call(*kernel.example(), **kernel.example_options()) is not None
    return "" if answered else kernel.reason()


def _measured(kernel: Kernel) -> str:
    """Say by what the choice was made: seconds of the Triton kernel / seconds of its reference, by shapes."""
    if kernel.reason_against_gpu():
        return "-"
    prefix = f"{kernel.library} "
    ratios = {key: ratio for key, ratio in gpu.choices().ratios().items() if key.startswith(prefix)}
    if not ratios:
        return "not yet" if kernel is NORM else "no: always used on a GPU"
    return ", ".join(f"{key.removeprefix(prefix)}: {ratio:.2f}" for key, ratio in ratios.items())
