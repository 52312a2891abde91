"""One run by several processes: each takes its share of every batch, the first one measures and writes.

`torchrun --nproc-per-node 2 -m normlab train image ...` starts the processes. The batches are those of one process;
each process takes every W-th example of a batch. Gradients are averaged over the examples of the whole batch, also
where the shares are not equal. The first process alone decides whether another epoch is due, evaluates, and writes
the run folder; the others follow its word. What they need of a begun run comes from the first, so they need not see
its disk.
"""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from normlab.config import TrainConfig
from normlab.errors import UserError
from normlab.tasks.base import Placement

if dist.is_available():
    # A default argument of that module is the process group of the moment it is imported in. DDP imports it with the
    # first model: then the group outlives `destroy_process_group`, and one of its threads that still holds a tensor
    # while Python shuts down aborts the process.
    import torch.distributed.nn

T = TypeVar("T")
_PATIENCE = timedelta(hours=2)  # how long the others wait while the first evaluates


@dataclass
class Crew:
    """The processes of a run. A crew of one answers every question at once.

    Attributes:
        rank: the number of this process, from 0.
        size: how many there are.
        local_rank, local_size: the same among those of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    dismissed: bool = False

    @property
    def first(self) -> bool:
        """True for the process that measures and writes."""
        return self.rank == 0

    def place(self, config: TrainConfig) -> TrainConfig:
        """Return the configuration with this process's own GPU or its share of the cores.

        Raises: UserError if there are more processes than GPUs, or the run cannot be shared.
        """
        if self.size == 1:
            return config
        if config.compile:
            raise UserError("compile: not with several processes: leave --compile out, or start without torchrun")
        if config.batch_size < self.size:
            raise UserError(
                f"batch_size: {config.batch_size} is less than one example for each of {self.size} processes"
            )
        if config.device in ("auto", "cuda") and torch.cuda.is_available():
            if self.local_rank >= torch.cuda.device_count():
                raise UserError(
                    f"{self.local_size} processes on this machine but {torch.cuda.device_count()} GPUs: "
                    "give torchrun as many processes as there are GPUs, or --device cpu"
                )
            torch.cuda.set_device(self.local_rank)
            return config.with_values("torchrun", device=f"cuda:{self.local_rank}")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return config.with_values("torchrun", threads=config.threads or max(1, cores // self.local_size))

    def shares(self, placement: Placement) -> Placement:
        """Return the placement whose batches are this process's share."""
        return replace(placement, rank=self.rank, processes=self.size)

    def refuse_small_batches(self, config: TrainConfig, examples: int) -> None:
        """Raise `UserError` if an epoch's last batch has too few examples to share."""
        if 0 < examples % config.batch_size < self.size:
            raise UserError(
                f"batch_size: {examples} examples in batches of {config.batch_size} leave a last batch smaller than "
                f"the {self.size} processes: choose another --batch-size or --limit-train"
            )

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model as it is stepped: its gradients become the mean over all processes."""
        if self.size == 1:
            return model
        # Buffers are not copied around: evaluation uses the first process's, training uses none. The names differ
        # between versions of torch; this attribute is read before each step in all of them.
        wrapped = nn.parallel.DistributedDataParallel(model)
        wrapped.broadcast_buffers = False
        return wrapped

    def whole_batch(self, loss: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return (loss to differentiate, mean loss of the whole batch without gradient).

        DDP takes the plain mean of the processes' gradients. A share of n of the batch's N examples has to weigh
        n / N, so its loss is multiplied by n W / N.
        """
        if self.size == 1:
            return loss, loss.detach()
        sums = torch.stack([loss.detach().float() * count, loss.new_tensor(count, dtype=torch.float32)])
        dist.all_reduce(sums)
        return loss * (count * self.size / sums[1]), sums[0] / sums[1]

    def total(self, count: int, sums: dict[str, Tensor]) -> tuple[int, dict[str, Tensor]]:
        """Add up an epoch's count and sums over all processes."""
        if self.size == 1 or not sums:
            return count, sums
        values = torch.stack([torch.as_tensor(value).double() for value in sums.values()])
        table = torch.cat([values, values.new_tensor([count])])
        dist.all_reduce(table)
        return int(table[-1]), dict(zip(sums, table[:-1], strict=True))

    def agree(self, decision: bool) -> bool:
        """Return the first process's decision, whatever the others say. A "no" is the last word."""
        if self.size == 1:
            return decision
        decided: bool = self.tell(decision)
        self.dismissed = not decided
        return decided

    def dismiss(self) -> None:
        """Let the others go home, if they have not been told to."""
        if self.size > 1 and not self.dismissed:
            self.agree(False)

    def tell(self, value: Any = None) -> Any:
        """Return what the first process says."""
        if self.size == 1:
            return value
        box = [value]
        try:
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        except RuntimeError:
            if self.first:
                raise
            raise UserError(f"process {self.rank}: the first process has ended; it says why") from None
        return box[0]

    def all_or_none(self, act: Callable[[], T], key: Callable[[T], object]) -> T:
        """Let every process do something; if one cannot, or what they have differs in `key`, none goes on.

        Raises: UserError with the mistake of the first process that made one, and where.
        """
        if self.size == 1:
            return act()
        try:
            done: Any = act()
            mine: tuple[str, object] = ("", key(done))
        except UserError as error:
            mine = (str(error), None)
        everyone: list[Any] = [None] * self.size
        dist.all_gather_object(everyone, (platform.node(), *mine))
        for rank, (host, mistake, _) in enumerate(everyone):
            if mistake:
                raise UserError(f"process {rank} on {host}: {mistake}")
        for rank, (host, _, value) in enumerate(everyone):
            if value != everyone[0][2]:
                raise UserError(f"process {rank} on {host} has other data than process 0 on {everyone[0][0]}")
        return done


@contextmanager
def joined() -> Iterator[Crew]:
    """Yield the crew that `torchrun` has started, or a crew of one.

    A program that has made torch's process group itself keeps it afterwards.
    """
    size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    if size == 1 and not (dist.is_available() and dist.is_initialized()):
        yield Crew()
        return
    ours = not dist.is_initialized()
    if ours:
        # "cpu:gloo": what the processes tell each other is no tensor of a GPU
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
    local_rank, local_size = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    try:
        yield Crew(dist.get_rank(), dist.get_world_size(), local_rank, max(1, local_size))
    finally:
        gc.collect()  # DDP's wrapper is part of a cycle and holds the group
        if ours:
            dist.destroy_process_group()


def is_first() -> bool:
    """Say whether this process is the one that measures and writes."""
    return int(os.environ.get("RANK", "0")) == 0
