"""Cells on a Ray cluster: one task per cell, with a share of processors and GPUs.

`dispatch.py` sends cells out and takes them back, `connection.py` finds the cluster, `pieces.py` holds what starts on a
machine before its version of normlab is known, and `node.py` is what that machine does with a cell.
"""

from __future__ import annotations

from normlab.studies.cluster.dispatch import ClusterOptions, run_on_ray

__all__ = ["ClusterOptions", "run_on_ray"]
