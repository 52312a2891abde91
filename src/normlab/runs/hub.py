"""Models of the Hugging Face Hub: `hf:OWNER/NAME`, a folder as `normlab publish` writes it.

Only this module knows huggingface_hub, which transformers and Gradio bring along. It is imported when such a name is
used; the Hub is asked by the user's own words only, and what was fetched stays in its cache.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from normlab.errors import UserError

PREFIX = "hf:"
_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def fetch_model(name: str, files: Sequence[str]) -> Path:
    """Return the model file of `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`, from the cache if it is there and current.

    Args:
        files: names of the files to fetch, the model's first; others of the repository are left alone.
    Raises: UserError if huggingface_hub is missing, the name is none, it cannot be fetched, or it holds no model.
    """
    match = _NAME.fullmatch(name.removeprefix(PREFIX))
    if match is None:
        raise UserError(f"{name}: not the name of a model on the Hub: write hf:OWNER/NAME, or hf:OWNER/NAME@REVISION")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"{name}: models of the Hub need huggingface_hub: pip install huggingface_hub") from None
    try:
        folder = snapshot_download(match["repo"], revision=match["revision"], allow_patterns=list(files))
    except Exception as error:  # requests', httpx's and the Hub's own errors have no common class
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{name}: cannot be fetched ({lines[0]}): check the name, the network and your access"
        ) from None
    path = Path(folder) / files[0]
    if not path.is_file():
        raise UserError(f"{name}: holds no {files[0]}: give a model that `normlab publish` made")
    return path
