"""The verbs `models` and `publish`: models to use at once, and making one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from normlab.cli.parser import add_verb
from normlab.cli.tables import print_table
from normlab.errors import UserError


def _add_models(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "models", "list the trained models that can be used by name", _models)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def _models(options: argparse.Namespace) -> int:
    from normlab.runs.published import published_models

    rows = []
    for model in published_models():
        try:
            rows.append(model.about())
        except UserError as error:  # the others can be used all the same
            print(f"normlab: not listed: {error}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows))
        return 0
    print_table(
        [
            {
                "name": row["name"],
                "task": row["task"],
                "size": f"{row['megabytes']:.1f} MB",
                "measured": _score(row["metric"], row["value"]),
                "where": row["where"],
            }
            for row in rows
        ]
    )
    return 0


def _score(metric: str, value: float | None) -> str:
    from normlab.metrics import is_fraction, title_of

    if value is None:
        return ""
    return f"{title_of(metric)} {f'{100 * value:.1f} %' if is_fraction(metric) else f'{value:.4g}'}"


def _add_publish(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "publish", "make a small folder of a trained model, for others to use", _publish)
    parser.add_argument("run_folder", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new folder, named as the model")
    parser.add_argument("--notes", type=Path, metavar="FILE", help="Markdown to stand in the card: licence, limits")


def _publish(options: argparse.Namespace) -> int:
    from normlab.reading import read_text
    from normlab.runs import RunFolder
    from normlab.runs.published import publish_model

    _refuse_published(options.run_folder)
    notes = "" if options.notes is None else read_text(options.notes)
    publish_model(RunFolder.open(options.run_folder), options.out, notes=notes)
    size = sum(path.stat().st_size for path in options.out.iterdir()) / 1e6
    print(f"{options.out}: {size:.1f} MB")
    print(f"use it by its path, or set NORMLAB_MODELS={options.out.parent} and use its name")
    return 0


def _refuse_published(run: Path) -> None:
    """Raise `UserError` for a name or a file of a model: what is published is a run folder."""
    from normlab.runs.published import find_model

    file = find_model(run)
    if not file.is_file():
        return
    if os.path.lexists(run):
        raise UserError(f"{run}: is a model file already: give it to others as it is, or publish the run it came from")
    raise UserError(
        f"{run}: is a published model already: use it by its name, copy its folder {file.parent}, or publish a run "
        "folder that `normlab train --out` made"
    )


VERBS = (_add_models, _add_publish)
