"""Moved to `normlab.data.text.glove`; this name stays for programs written before `data` had folders."""

from normlab.data.text.glove import load_glove

__all__ = ["load_glove"]
