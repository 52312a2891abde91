"""A whole training step as one CUDA graph: forward, backward, clipping, optimiser and sums in a single launch.

A step of a small network is a hundred kernels of a few microseconds, so the processor's time to start them is what
counts. A graph records them once, with the addresses of their tensors, and replays them. So everything that a step
touches must keep its address: inputs are copied into fixed tensors, the learning rate is a tensor on the device,
running statistics, sums and the step's number are updated in place. Batches of another shape, such as an epoch's
smaller last one, are computed without the graph, on the same parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from normlab.errors import UserError
from normlab.tasks.base import Placement
from normlab.train_config import TrainConfig

T = TypeVar("T")
Say = Callable[[str], None]
CAPTURABLE = ("sgd", "adam", "adamw")
WARM_UP = 3  # ordinary steps before one is recorded: they create optimiser state and work spaces, and choose kernels


class Recording(Protocol):
    """Work of a device that can be recorded and replayed."""

    def warm_up(self, work: Callable[[], T]) -> T:
        """Do the work in the ordinary way, where it will be recorded."""

    def record(self, work: Callable[[], T]) -> T:
        """Record the work without doing it."""

    def replay(self) -> None:
        """Do what was recorded."""


class CudaRecording:
    """A `torch.cuda.CUDAGraph` on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, work: Callable[[], T]) -> T:
        """Do the work on the side stream, which the recording is made on."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            done = work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return done

    def record(self, work: Callable[[], T]) -> T:
        """Record the kernels that the work starts."""
        # "thread_local": what another thread does meanwhile must not spoil the recording.
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            return work()

    def replay(self) -> None:
        """Start the recorded kernels on the current stream."""
        self._graph.replay()


class GraphedStep:
    """A training step that is recorded once and replayed for every further batch of that shape.

    Args:
        step: takes a batch (tensors in tuples, lists or dictionaries), does everything in place, and returns what
            depends on the batch's shapes alone; a replay returns that again.
        new_recording: makes an empty recording.
        say: called with one line if recording fails; then no step is recorded.
        warm_up: steps of a shape that run before it is recorded. They are training steps: none is repeated.
    """

    def __init__(
        self,
        step: Callable[[Any], T],
        new_recording: Callable[[], Recording],
        say: Say = lambda line: None,
        *,
        warm_up: int = WARM_UP,
    ) -> None:
        self._step, self._say, self._warm_up = step, say, warm_up
        self._recording = new_recording()
        self._seen: Counter[object] = Counter()
        self._shapes: object = None  # of the recorded step
        self._inputs: list[Tensor] = []
        self._result: Any = None
        self._failed = False

    def __call__(self, batch: Any) -> Any:
        """Make a step with this batch."""
        leaves, structure = tree_flatten(batch)
        shapes = (structure, tuple(_shape(leaf) for leaf in leaves))
        if self._failed or (self._shapes is not None and shapes != self._shapes):
            return self._step(batch)
        if self._shapes is None:
            if self._seen[shapes] < self._warm_up:
                self._seen[shapes] += 1
                return self._recording.warm_up(lambda: self._step(batch))
            if not self._record(leaves, structure):
                return self._step(batch)
            self._shapes = shapes
        for fixed, given in zip(self._inputs, (leaf for leaf in leaves if isinstance(leaf, Tensor)), strict=True):
            fixed.copy_(given, non_blocking=True)
        self._recording.replay()
        return self._result

    def _record(self, leaves: list[Any], structure: Any) -> bool:
        fixed = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self._inputs = [leaf for leaf in fixed if isinstance(leaf, Tensor)]
        try:
            self._result = self._recording.record(lambda: self._step(tree_unflatten(fixed, structure)))
        except RuntimeError as error:
            self._failed = True
            self._say(f"cuda_graphs: this step cannot be recorded ({str(error).splitlines()[0]}); continuing without")
        return not self._failed


def reason_against(config: TrainConfig, placement: Placement, *, fixed_shapes: bool) -> str:
    """Return in one line why steps are not recorded; empty if they are.

    Args:
        fixed_shapes: whether the task's batches have one shape but for the last; "auto" records only those.
    Raises: UserError if `cuda_graphs: on` is not possible.
    """
    if config.cuda_graphs == "off":
        return "cuda_graphs: off"
    reason = ""
    if placement.device.type != "cuda":
        reason = f"the device is {placement.device.type}"
    elif placement.processes > 1:
        reason = "several processes train together"
    elif config.optimizer not in CAPTURABLE:
        reason = f"the optimizer {config.optimizer} reads numbers on the processor"
    elif config.cuda_graphs == "auto" and not fixed_shapes:
        return "batches differ in shape"
    if reason and config.cuda_graphs == "on":
        raise UserError(f"cuda_graphs: on, but {reason}: use auto or off")
    return reason


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Move to the device what an optimiser reads at each step: the learning rate, and Adam's count of steps."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
        if "capturable" in group:
            group["capturable"] = True


def _shape(leaf: Any) -> object:
    return (leaf.shape, leaf.stride(), leaf.dtype) if isinstance(leaf, Tensor) else leaf
