"""normlab: a laboratory for normalization in deep learning.

The public names below are imported on first use, so that `import normlab` costs milliseconds and a person who
wants one norm layer does not pay for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from normlab.version import __version__

_PUBLIC = {
    "NORMS": "normlab.norms:NORMS",
    "TASKS": "normlab.tasks:TASKS",
    "swap_norms": "normlab.norms.swap:swap_norms",
    "train": "normlab.engine.api:train",
    "load_run": "normlab.engine.api:load_run",
    "study": "normlab.studies.sources:open_study",
    "run_study": "normlab.studies:run_study",
    "run_search": "normlab.studies.search.runner:run_search",
    "ask": "normlab.apps.ask.database:ask",
    "UserError": "normlab.errors:UserError",
    "nn": "normlab.nn",
    "tasks": "normlab.tasks",
}

__all__ = [*sorted(_PUBLIC), "__version__"]

if TYPE_CHECKING:  # for type checkers and editors only
    from normlab import nn, tasks
    from normlab.apps.ask.database import ask
    from normlab.engine.api import load_run, train
    from normlab.errors import UserError
    from normlab.norms import NORMS
    from normlab.norms.swap import swap_norms
    from normlab.studies import run_study
    from normlab.studies.search.runner import run_search
    from normlab.studies.sources import open_study as study
    from normlab.tasks import TASKS


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'normlab' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = importlib.import_module(module)
    return getattr(value, attribute) if attribute else value


def __dir__() -> list[str]:
    return __all__
