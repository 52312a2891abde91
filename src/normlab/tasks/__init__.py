"""The tasks: one folder each, found by its name. Importing this imports no torch.

A task's folder offers two names by convention: `config.SETTINGS` (its configuration class and presets, light to
import, enough to parse a command line or to plan a study) and `task.TASK` (the task itself).
"""

from normlab.registry import Registry
from normlab.train_config import TaskSettings

_NAMES = ("image", "ner", "text2sql")

TASKS = Registry("task", {name: f"normlab.tasks.{name}.task:TASK" for name in _NAMES})
_SETTINGS = Registry("task", {name: f"normlab.tasks.{name}.config:SETTINGS" for name in _NAMES})


def task_settings(name: str) -> TaskSettings:
    """Return a task's configuration class and presets, without importing torch."""
    settings: TaskSettings = _SETTINGS.get(name)
    return settings


__all__ = ["TASKS", "task_settings"]
