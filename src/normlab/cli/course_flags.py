"""The flags of the course's commands that several of them share, spelled as its assignments publish them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from normlab.cli.parser import Parser


def as_published(parser: Parser) -> Any:
    """Return the group of an assignment's own flags."""
    return parser.add_argument_group("as published")


def add_path(group: Any, name: str, text: str, *, required: bool = False) -> None:
    """Add a flag that takes a file, or a folder where its name says so."""
    metavar = "DIR" if name in ("run_dir", "databases") else "FILE"
    group.add_argument(f"--{name}", type=Path, required=required, metavar=metavar, help=text)


def add_switches(group: Any, *, required: bool) -> None:
    """Add the parts of a tagger, each 0 or 1."""
    texts = {
        "char_embeddings": "read each word's characters too",
        "layer_normalization": "layer-normalise the LSTMs",
        "crf": "linear-chain CRF on top",
    }
    for name, text in texts.items():
        group.add_argument(f"--{name}", choices=["0", "1"], required=required, help=text)


def switches(options: argparse.Namespace) -> dict[str, Any]:
    """Return which parts a tagger is to have; None for one that was not given."""
    names = ("char_embeddings", "layer_normalization", "crf")
    values = {name: getattr(options, name) for name in names}
    return {name: None if value is None else value == "1" for name, value in values.items()}
