"""Start a Ray cluster of two raylets on this machine, print its address, and end it at the end of standard input."""

from __future__ import annotations

import os
import sys
from typing import Any

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


def main() -> None:
    """Run the cluster."""
    os.environ.update(RAY_worker_niceness="0")  # on a busy machine polite workers never come to an end
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        cluster.add_node(**NODE)
        cluster.wait_for_nodes(timeout=120)
        print(f"address {cluster.address}", flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
