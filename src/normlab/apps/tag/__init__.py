"""People's own text with its entities marked, in the formats that other programs read: `normlab tag`.

Read `passages.py` first (lines of text to entities with their places), then `formats.py`. `wrapped_lines.py` joins
lines that were broken at a width.
"""
