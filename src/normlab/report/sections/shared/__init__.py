"""Sections for studies of any task."""
