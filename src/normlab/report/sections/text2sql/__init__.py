"""Sections of text-to-SQL studies."""
