"""Sections of a search for settings."""
