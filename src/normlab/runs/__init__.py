"""The run folder: what one training leaves behind, readable without torch."""

from normlab.runs.folder import RunFolder, list_runs

__all__ = ["RunFolder", "list_runs"]
