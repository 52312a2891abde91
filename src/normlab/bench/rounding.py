"""Whether training with the compiled kernels differs from training without them by rounding only.

Two trainings drift apart from the first different last digit on, so their weights are no measure. What can be compared
is the gradient at the same weights on the same batch: with the kernels, without them, and in float64. If both float32
gradients lie equally near to the float64 one, the kernels compute the same thing in another order and nothing more.

Whether kernels are used is decided once for a process, so each side is a process of its own:
`python -m normlab.bench.rounding image out.safetensors --settings '{"norm": "group"}'`, with and without
NORMLAB_KERNELS=off. `tools/kernel_rounding.py` runs all sides.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from normlab.engine.optim import build_optimizer, learning_rate, set_learning_rate
from normlab.engine.rng import initialise, seed_stream
from normlab.tasks import TASKS, task_settings
from normlab.tasks.base import Placement

Tensors = dict[str, Tensor]
_NO_DROPOUT = {"ner": {"dropout": 0.0, "output_dropout": 0.0}}  # a mask drawn in float64 is another one


def steps_of(
    task: str,
    settings: Mapping[str, Any],
    *,
    steps: int,
    given: Sequence[Tensors] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[Tensors, Tensors]]:
    """Yield (state before the step, gradients by parameter) for the first steps of a run, on the CPU.

    Args:
        settings: changes to the task's preset `smoke`.
        given: states to take each step from, as another call yielded them; without, the run moves by its own gradients.
        dtype: in which everything is computed.
    """
    config = task_settings(task).make("smoke", {**_NO_DROPOUT.get(task, {}), **settings}, "rounding")
    task_object = TASKS.get(task)
    data = task_object.prepare(config)
    seed_stream(config.seed, "build")
    model: nn.Module = task_object.build(config, data.card)
    initialise(model, config.seed)
    model.to(dtype).train()
    optimizer = build_optimizer(model, config)
    placement = Placement(torch.device("cpu"))
    batches = (batch for epoch in count() for batch in task_object.train_batches(config, data, epoch, placement))
    for step, batch in enumerate(islice(batches, steps)):
        if given is not None:
            model.load_state_dict(given[step])  # converts to the model's type
        state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        optimizer.zero_grad(set_to_none=True)
        _loss(task, model, batch, step, dtype).backward()
        yield state, {name: _dense(p.grad) for name, p in model.named_parameters() if p.grad is not None}
        set_learning_rate(optimizer, learning_rate(config, step, task_object.steps_per_epoch(config, data)))
        optimizer.step()


def relative_difference(a: Tensors, b: Tensors) -> float:
    """Return |a - b| / |b| over all entries of all tensors together, in float64."""
    assert a.keys() == b.keys()
    difference = sum(float((a[name].double() - b[name].double()).square().sum()) for name in b)
    return float((difference / sum(float(value.double().square().sum()) for value in b.values())) ** 0.5)


def save_steps(path: Path, steps: Iterator[tuple[Tensors, Tensors]]) -> None:
    """Write what `steps_of` yields."""
    content: Tensors = {}
    for number, parts in enumerate(steps):
        for kind, tensors in zip(("state", "gradient"), parts, strict=True):
            content |= {f"{number}/{kind}/{name}": value.contiguous() for name, value in tensors.items()}
    save_file(content, path)


def load_steps(path: Path) -> list[tuple[Tensors, Tensors]]:
    """Read what `save_steps` wrote."""
    steps: list[tuple[Tensors, Tensors]] = []
    content = load_file(path)
    for number in range(1 + max(int(key.partition("/")[0]) for key in content)):
        parts = []
        for kind in ("state", "gradient"):
            prefix = f"{number}/{kind}/"
            parts.append({key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)})
        steps.append((parts[0], parts[1]))
    return steps


def _loss(task: str, model: nn.Module, batch: Any, step: int, dtype: torch.dtype) -> Tensor:
    """The task's own loss, without its cast to float32.

    Images get a little noise. On a digit's flat background thousands of units stand at the same value, and where that
    is nearly 0 a last digit decides for all of them at once which side of the ReLU they are on.
    """
    if task == "image":
        noise = torch.randn(batch.images.shape, generator=torch.Generator().manual_seed(step))
        return F.cross_entropy(model((batch.images.float() + 0.1 * noise).to(dtype)), batch.labels)
    tagger = cast(Any, model)
    losses: Tensor = tagger.losses(model(batch), batch.tags, batch.mask)
    return losses.mean()


def _dense(gradient: Tensor) -> Tensor:
    return (gradient.to_dense() if gradient.is_sparse else gradient).detach().clone()


def main(argv: Sequence[str] | None = None) -> None:
    """Write the steps of one side to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["image", "ner"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: changes to the preset smoke")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--given", type=Path, help="file of another side: take each step from its states")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    given = None if options.given is None else [state for state, _ in load_steps(options.given)]
    dtype = getattr(torch, options.dtype)
    save_steps(options.out, steps_of(options.task, options.settings, steps=options.steps, given=given, dtype=dtype))


if __name__ == "__main__":
    main()
