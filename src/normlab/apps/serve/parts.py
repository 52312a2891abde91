"""What every tab is given: the open models, the limits, a folder for its files, and how its events are queued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normlab.apps.serve.limits import Limits
from normlab.apps.serve.models import Models


@dataclass
class Parts:
    """What tabs share.

    Attributes:
        folder: a temporary one, of this server.
        resources: closed when the server ends.
        loads: (function, outputs) of what is computed when a page is opened.
    """

    models: Models
    limits: Limits
    folder: Path
    resources: ExitStack
    loads: list[tuple[Callable[[], Any], Sequence[Any]]] = field(default_factory=list)

    # One request computes at a time: models use all cores, and a second one would only make both wait.
    computing: dict[str, Any] = field(
        default_factory=lambda: {
            "concurrency_id": "computing",
            "concurrency_limit": 1,
            "show_progress": "minimal",
            "api_visibility": "private",
        }
    )
    quick: dict[str, Any] = field(default_factory=lambda: {"show_progress": "hidden", "api_visibility": "private"})

    def folder_for(self, name: str) -> Path:
        """Return a new folder for a tab's files."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    def on_load(self, function: Callable[[], Any], outputs: Sequence[Any]) -> None:
        """Compute outputs when a page is opened."""
        self.loads.append((function, outputs))
