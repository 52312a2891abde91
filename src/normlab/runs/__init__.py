"""The run folder: what one training leaves behind, readable without torch."""

from normlab.runs.folder import RunFolder, list_runs
from normlab.runs.layers import flat_layers
from normlab.runs.states import RunState

__all__ = ["RunFolder", "RunState", "flat_layers", "list_runs"]
