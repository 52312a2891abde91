"""What `test_distributed.py` runs in two processes: the runs below, a stop and a resume, and norms by themselves."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import normlab
from normlab.engine.api import train_folder
from normlab.engine.loop import Training
from normlab.norms import NORMS
from normlab.runs import RunFolder

# 43 images in batches of 32: the last batch is 11, shared as 6 and 5. Few steps: batch norm multiplies a rounding error
# by ten and more at each, and then no tolerance tells it from a mistake; small ones keep it small.
BASE: dict[str, Any] = {
    "data": "digits",
    "n": 1,
    "epochs": 1,
    "limit_train": 43,
    "validation": 100,
    "batch_size": 32,
    "lr": 0.002,
    "schedule": "constant",
    "precision": "float32",
    "threads": 1,
    "train_metrics": "end",
    "flip": True,
}
IMAGE_RUNS: dict[str, dict[str, Any]] = {
    "group": {"norm": "group"},
    "synced": {"norm": "batch", "bn_sync": True, "average": "ema"},
    "synced_mixed": {"norm": "batch_instance", "bn_sync": True, "bn_statistics": "precise", "limit_train": 31},
    "apart": {"norm": "batch"},
    "diverging": {"norm": "none", "lr": 1e12, "epochs": 2},
}
NER = {"data": "generated", "epochs": 1, "limit_train": 75, "batch_size": 16, "dropout": 0.0, "precision": "float32"}
NER |= {"threads": 1, "hidden": 16, "average": "ema"}


def main(out: Path) -> None:
    dist.init_process_group("gloo")
    for name, changes in IMAGE_RUNS.items():
        normlab.train("image", out=out / name, **{**BASE, **changes})
    normlab.train("ner", out=out / "ner", **NER)
    stop_and_resume(out)
    errors = compare_one_norm()
    if dist.get_rank() == 0:
        (out / "norm.json").write_text(json.dumps(errors))
    dist.barrier()
    rank = dist.get_rank()
    dist.destroy_process_group()
    (out / f"left_{rank}.json").write_text(json.dumps(threads_of_the_group()))


def stop_and_resume(out: Path) -> None:
    config = {**BASE, **IMAGE_RUNS["synced"], "epochs": 2}
    normlab.train("image", out=out / "straight", **config)
    train_steps = Training.train_steps

    def stop_in_the_second(self: Training) -> dict[str, float]:
        if self.counters.epoch == 1:
            raise InterruptedError
        return train_steps(self)

    Training.train_steps = stop_in_the_second  # type: ignore[method-assign]
    with suppress(InterruptedError):
        normlab.train("image", out=out / "resumed", **config)
    Training.train_steps = train_steps  # type: ignore[method-assign]
    train_folder(RunFolder(out / "resumed"))


def threads_of_the_group() -> list[str]:
    """Return the names of the threads in which torch's process group still works (on Linux)."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


def compare_one_norm() -> dict[str, float]:
    """Return by how much each process's part of output and gradients is off what one process has for the whole."""
    torch.manual_seed(0)
    x = 3 + torch.randn(5, 4, 3, 3, dtype=torch.float64)
    slope = torch.randn_like(x)
    part = slice(dist.get_rank(), None, 2)
    errors: dict[str, float] = {}
    for name in ("batch", "batch_instance"):
        whole, shared = (NORMS.create(name, 4, sync=sync).double() for sync in (False, True))
        with torch.no_grad():
            for layer in (whole, shared):
                for parameter in layer.parameters():
                    parameter.fill_(0.7)
        inputs = x.clone().requires_grad_(), x[part].clone().requires_grad_()
        outputs = whole(inputs[0]), shared(inputs[1])
        for y, weight in zip(outputs, (slope, slope[part]), strict=True):
            (y.square() * weight).sum().backward()
        for parameter in shared.parameters():
            dist.all_reduce(parameter.grad)
        pairs = {
            "output": (outputs[0][part], outputs[1]),
            "input": (inputs[0].grad[part], inputs[1].grad),  # type: ignore[index]
            "running_mean": (whole.running_mean, shared.running_mean),
            "running_var": (whole.running_var, shared.running_var),
        }
        for key, parameter in whole.named_parameters():
            pairs[key] = (parameter.grad, shared.get_parameter(key).grad)
        for key, (one, other) in pairs.items():
            errors[f"{name}/{key}"] = float((one - other).detach().abs().max())
    return errors


if __name__ == "__main__":
    main(Path(sys.argv[1]))
