"""One run trained by several processes: each takes its share of every batch, rank 0 measures and writes.

`torchrun --nproc-per-node 2 -m normlab train image ...` starts the processes. The batches are those of one process;
each process takes every W-th example of a batch. Gradients are averaged over the examples of the whole batch, also
where the shares are not equal. Rank 0 alone decides whether another epoch is due, evaluates, and writes the run folder.
It broadcasts its decisions, and the checkpoint of a run that is resumed, so the others need not see its disk.
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

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.base import Placement
from normlab.train_config import TrainConfig

if dist.is_available():
    # A default argument of that module is the process group that exists when it is imported. DDP imports it with the
    # first model: then the group outlives `destroy_process_group`, and one of its threads that still holds a tensor
    # while Python shuts down aborts the process. Importing it here, before there is a group, avoids that.
    import torch.distributed.nn

T = TypeVar("T")
_TIMEOUT = timedelta(hours=2)  # how long the other processes wait while rank 0 evaluates


@dataclass
class ProcessGroup:
    """The processes that train one run. In a group of one process no method communicates.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
        local_rank, local_size: the same among the processes of this machine.
        stopped: whether rank 0 has broadcast that training is over.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    stopped: bool = False

    @property
    def is_rank0(self) -> bool:
        """Whether this is the process that measures and writes."""
        return self.rank == 0

    def assign_device(self, config: TrainConfig) -> TrainConfig:
        """Return the configuration with this process's GPU, or its share of the CPU cores.

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

    def with_rank(self, placement: Placement) -> Placement:
        """Return the placement with this process's rank: `share` then cuts its part of a batch."""
        return replace(placement, rank=self.rank, processes=self.size)

    def refuse_small_batches(self, config: TrainConfig, examples: int) -> None:
        """Raise `UserError` if an epoch's last batch has too few examples to share."""
        if 0 < examples % config.batch_size < self.size:
            raise UserError(
                f"batch_size: {plural(examples, 'example')} in batches of {config.batch_size} leave a last batch "
                f"smaller than the {self.size} processes: choose another --batch-size or --limit-train"
            )

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model in DistributedDataParallel: its gradients become the mean over all processes."""
        if self.size == 1:
            return model
        # Buffers are not broadcast: evaluation uses those of rank 0, and training uses none. The constructor's argument
        # differs between versions of torch; all of them read this attribute before each step.
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

    def all_reduce(self, count: int, sums: dict[str, Tensor]) -> tuple[int, dict[str, Tensor]]:
        """Add up an epoch's count and sums over all processes."""
        if self.size == 1 or not sums:
            return count, sums
        values = torch.stack([torch.as_tensor(value).double() for value in sums.values()])
        table = torch.cat([values, values.new_tensor([count])])
        dist.all_reduce(table)
        return int(table[-1]), dict(zip(sums, table[:-1], strict=True))

    def broadcast_continue(self, go_on: bool) -> bool:
        """Return whether rank 0 goes on; the other processes' argument is ignored. After False the group is stopped."""
        if self.size == 1:
            return go_on
        continues: bool = self.broadcast(go_on)
        self.stopped = not continues
        return continues

    def stop(self) -> None:
        """End training in the other processes, if rank 0 has not done so already."""
        if self.size > 1 and not self.stopped:
            self.broadcast_continue(False)

    def broadcast(self, value: Any = None) -> Any:
        """Return rank 0's value in every process.

        Raises: UserError in the others if rank 0 has ended.
        """
        if self.size == 1:
            return value
        box = [value]
        try:
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        except RuntimeError:
            if self.is_rank0:
                raise
            raise UserError(f"process {self.rank}: rank 0 has ended; its message says why") from None
        return box[0]

    def all_or_none(self, act: Callable[[], T], key: Callable[[T], object]) -> T:
        """Call `act` in every process; if it fails in one, or the results differ in `key`, fail in all.

        Raises: UserError with the message of the lowest rank that failed, its number and its machine.
        """
        if self.size == 1:
            return act()
        try:
            result: Any = act()
            mine: tuple[str, object] = ("", key(result))
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
        return result


@contextmanager
def join_process_group() -> Iterator[ProcessGroup]:
    """Yield the group of processes that `torchrun` has started, or a group of one process.

    A process group that the program has made itself stays open afterwards.
    """
    size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    if size == 1 and not (dist.is_available() and dist.is_initialized()):
        yield ProcessGroup()
        return
    opened_here = not dist.is_initialized()
    if opened_here:
        # "cpu:gloo": Python objects are broadcast as CPU tensors
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, timeout=_TIMEOUT)
    local_rank, local_size = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size(), local_rank, max(1, local_size))
    finally:
        gc.collect()  # DDP's wrapper is part of a cycle and holds the group
        if opened_here:
            dist.destroy_process_group()


def is_rank0() -> bool:
    """Return whether this process is the one that measures and writes."""
    return int(os.environ.get("RANK", "0")) == 0
