"""Running benchmarks one after the other into one record, which `tables` and the documentation read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from normlab.bench import BENCHES
from normlab.bench.limits import Limits
from normlab.bench.machine import describe_machine
from normlab.bench.timing import Settings
from normlab.engine.device import available_cores
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs.memory import keep_freed_memory

# The tagger's goals are per core; a scheme's and a network's are for the machine.
DEFAULT_THREADS = {"norms": None, "image": None, "ner": 1, "sql": 1}


def run_benches(
    names: Sequence[str],
    settings: Settings,
    *,
    threads: int | None,
    say: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Run benchmarks by name and return their record, plain JSON; `say` gets each row when it is measured.

    Args:
        threads: for all of them; None: each one's own default, one thread or all cores.
    Raises: UserError for an unknown name, too many threads, or a corpus that cannot be read.
    """
    cores = available_cores()
    if threads is not None and not 1 <= threads <= cores:
        raise UserError(f"--threads {threads}: this machine has {plural(cores, 'core')}: give 1 to {cores}")
    makers = {name: BENCHES.get(name) for name in names}
    record: dict[str, Any] = {"schema": 1, "benches": {}}
    before = torch.get_num_threads()
    try:
        for name, make in makers.items():
            chosen = replace(settings, threads=threads or DEFAULT_THREADS.get(name) or cores)
            record["benches"][name] = run_bench(make, chosen, say)
    finally:
        torch.set_num_threads(before)
    return record


def run_bench(make: Callable[..., Any], settings: Settings, say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run one benchmark; return machine, measured rates, rows and seconds."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    keep_freed_memory()  # as training does, and for both sides
    started = time.perf_counter()
    machine = describe_machine(settings)
    rows = []
    for row in make(settings):
        rows.append(row.as_values())
        say(rows[-1])
    limits = Limits(settings).measured()
    return {"machine": machine, "limits": limits, "rows": rows, "seconds": time.perf_counter() - started}
