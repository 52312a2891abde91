"""The tasks: a folder each, behind one registry. Importing this imports no torch."""

from normlab.registry import Registry

TASKS = Registry(
    "task",
    {
        "image": "normlab.tasks.image:TASK",
    },
)

__all__ = ["TASKS"]
