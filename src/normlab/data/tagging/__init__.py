"""Sentences with tags, from every format that they come in."""
