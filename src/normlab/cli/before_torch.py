"""What is said of a mistyped name before torch is imported, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from normlab.runs import RunFolder
from normlab.runs.published import PREFIX, find_model


def refuse_missing_model(name: Path | str) -> None:
    """Raise `UserError` as `load_run` would if there is no run folder, model file or published model of that name."""
    if str(name).startswith(PREFIX):  # it is fetched later
        return
    path = find_model(name)
    if not path.is_file():
        RunFolder.open(path)
