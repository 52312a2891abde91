"""Stand-in until the shared rule lands."""

import os
from pathlib import Path


def cache_root() -> Path:
    """Return where caches are kept."""
    root = os.environ.get("NORMLAB_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "normlab"
