"""Sections of tagging studies."""
