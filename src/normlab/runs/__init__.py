"""The run folder: what one training leaves behind, readable without torch."""

from normlab.runs.folder import RunFolder, list_runs
from normlab.runs.layers import flat_layers

__all__ = ["RunFolder", "flat_layers", "list_runs"]
