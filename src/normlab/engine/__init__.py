"""The one training loop and what it stands on. It knows a task only through `tasks/base.py`."""
