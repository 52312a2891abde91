"""What starts on a machine of the cluster before the two versions of normlab are compared.

Both pieces stand inside functions: Ray sends such code by value, so it runs where normlab is missing or another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def entry() -> Callable[..., dict[str, Any]]:
    """Return the function that a cell's task calls on its machine."""

    def train_cell_here(
        version: str, order: dict[str, Any], begun: dict[str, bytes], mailbox: Any
    ) -> dict[str, Any]:  # pragma: no cover - runs in the cluster's processes
        import os
        import platform

        import ray

        threads = str(order["config"]["threads"])
        os.environ.update(OMP_NUM_THREADS=threads, OMP_WAIT_POLICY="PASSIVE")  # before torch is imported
        here = {"node": ray.get_runtime_context().get_node_id(), "host": platform.node()}
        unfit = {**here, "state": "unfit", "seconds": 0.0, "parcel": {}}
        try:
            import normlab
        except ImportError:
            return {**unfit, "line": f"normlab is not installed: install {version} there"}
        if normlab.__version__ != version:
            local = normlab.__version__
            return {
                **unfit,
                "line": f"has normlab {local}, but the study is run by {version}: install {version} there",
            }
        from normlab.studies.cluster.node import Order, train_order

        def send(parcel: dict[str, bytes]) -> None:
            mailbox.put.remote(order["cell"], parcel)

        return {**here, **train_order(Order(**order), begun, send)}

    return train_cell_here


def new_mailbox(ray: Any) -> Any:
    """Start an actor on our own machine that holds the last parcel of each cell until it is taken."""

    class Mailbox:
        def __init__(self) -> None:
            self.parcels: dict[str, dict[str, bytes]] = {}

        def put(self, cell: str, parcel: dict[str, bytes]) -> None:
            self.parcels[cell] = parcel

        def take(self) -> dict[str, dict[str, bytes]]:
            taken, self.parcels = self.parcels, {}
            return taken

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
