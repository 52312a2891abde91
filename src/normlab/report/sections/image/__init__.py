"""Sections of image studies."""
