"""Flags that say how results of other programs are to be read, shared by the verbs that read them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the flags. What is not given is detected, and said in a line."""
    group = parser.add_argument_group("results of other programs", "what their names do not say")
    group.add_argument("--variant", type=_names, default=(), metavar="COLUMN,...", help="columns that make variants")
    group.add_argument("--seed", default="", metavar="COLUMN", help="the column of the seeds")
    group.add_argument("--step", default="", metavar="COLUMN", help="the column that curves run over: epoch, step")
    group.add_argument("--metrics", type=_names, default=(), metavar="COLUMN,...", help="the columns that are metrics")
    group.add_argument("--metric", default="", metavar="NAME", help="the metric that decides")
    group.add_argument(
        "--higher-is-better", type=_names, default=(), metavar="NAME,...", help="metrics that normlab does not know"
    )
    group.add_argument("--lower-is-better", type=_names, default=(), metavar="NAME,...", help="likewise")
    group.add_argument(
        "--percent", type=_names, default=(), metavar="NAME,...", help="metrics in percent, where small values hide it"
    )
    group.add_argument("--metric-column", default="", metavar="COLUMN", help="long form: the metrics' names")
    group.add_argument("--value-column", default="", metavar="COLUMN", help="long form: the values")
    group.add_argument("--claims", type=Path, metavar="FILE", help="a YAML file of claims, as in a study file")
    group.add_argument("--unpaired", action="store_true", help="there are no seeds: each row is a run of its own")


def asked_for(options: argparse.Namespace) -> Any:
    """Return what the flags say."""
    from normlab.studies.foreign import Asked

    return Asked(
        variant=options.variant,
        seed=options.seed,
        step=options.step,
        metrics=options.metrics,
        headline=options.metric,
        higher=options.higher_is_better,
        lower=options.lower_is_better,
        percent=options.percent,
        metric_column=options.metric_column,
        value_column=options.value_column,
        claims=options.claims,
        unpaired=options.unpaired,
    )


def say_how_read(studies: Sequence[Any]) -> None:
    """Print on stderr how results were read, and what is odd about them."""
    for study in studies:
        for note in study.notes:
            print(f"normlab: {note}", file=sys.stderr)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
