"""Readers and caches. Nothing here knows a task or the engine."""
