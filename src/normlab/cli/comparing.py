"""Verbs for a question asked of results in a terminal: compare, power."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from normlab.cli.foreign import add_reading, asked_for, say_how_read
from normlab.cli.parser import add_verb
from normlab.errors import UserError, one_line
from normlab.plurals import plural


def _add_compare(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "compare", "compare two sets of runs in one line", _compare)
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="one or two: CSV, study, run, archive")
    parser.add_argument("--a", default="", metavar="NAME", help="the variant of the first side")
    parser.add_argument("--b", default="", metavar="NAME", help="the variant of the second side")
    parser.add_argument("--margin", type=float, help="the smallest difference that matters: adds P(equal)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    add_reading(parser)


def _compare(options: argparse.Namespace) -> int:
    from normlab.metrics import is_fraction
    from normlab.studies.between import compare_sides, metric_of, sentence, side_named, sides_of
    from normlab.studies.lengths import uneven_settings
    from normlab.studies.repeats import repeated_runs

    if len(options.paths) > 2:
        raise UserError(f"{options.paths[2]}: compare takes one or two paths: leave the others out")
    if options.margin is not None and not (options.margin >= 0 and math.isfinite(options.margin)):
        raise UserError(f"--margin {options.margin:g}: give a number of 0 or more, in the metric's unit")
    studies = [_one_study(path, options) for path in options.paths]
    say_how_read(studies)
    for study in studies:
        for line in repeated_runs(study) if study.task else ():  # of other programs it was said
            print(f"normlab: {line}", file=sys.stderr)
    metric = metric_of(studies, _named(options.metric))
    names = [path.stem for path in options.paths]
    names = names if len(set(names)) == len(names) else [str(path) for path in options.paths]
    for line in uneven_settings(dict(zip(names, studies, strict=True))):
        print(f"normlab: {one_line(line)}", file=sys.stderr)
    sides = [sides_of(study, metric, name) for study, name in zip(studies, names, strict=True)]
    first, second = (sides[0], sides[-1])
    if options.a or options.b:
        pairs = [
            (
                side_named(first, options.a or _only(first, "--a"), str(options.paths[0])),
                side_named(second, options.b or _only(second, "--b"), str(options.paths[-1])),
            )
        ]
    elif len(sides) == 1:
        if len(first) == 1:
            raise UserError(f"{options.paths[0]}: one variant, {first[0].label}: give a second file to compare it with")
        if len(first) != 2:
            labels = ", ".join(side.label for side in first)
            raise UserError(
                f"{options.paths[0]}: {plural(len(first), 'variant')}: name two with --a and --b ({labels})"
            )
        pairs = [(first[0], first[1])]
    elif len(first) == len(second) == 1 and first[0].label != second[0].label:
        pairs = [(first[0], second[0])]
    else:
        by_label = {side.label: side for side in second}
        pairs = [(side, by_label[side.label]) for side in first if side.label in by_label]
        if not pairs:
            here, there = (", ".join(side.label for side in of_side) for of_side in (first, second))
            known = f"name one of each, --a ({here}) and --b ({there})"
            raise UserError(f"{options.paths[1]}: no variant of {options.paths[0]}: {known}")
        pairs = [_told_apart(a, b, names) for a, b in pairs]
    if options.margin is not None and options.margin >= 1 and is_fraction(metric):
        raise UserError(
            f"--margin {options.margin:g}: {metric} is a fraction, whatever its column's unit: one point is 0.01"
        )
    found = compare_sides(pairs, metric, margin=options.margin, unpaired=options.unpaired)
    if options.json:
        print(json.dumps([asdict(each) for each in found]))
    else:
        print(*(one_line(sentence(each)) for each in found), sep="\n")
    return 0


def _one_study(path: Path, options: argparse.Namespace) -> Any:
    from normlab.cli.reports import warn_of_left_out
    from normlab.studies.sources import collect_studies

    studies = collect_studies([path], asked_for(options))
    warn_of_left_out(studies)
    if len(studies) != 1:
        raise UserError(f"{path}: holds runs of several tasks: give the folder of one")
    return studies[0]


def _named(metric: str) -> str:
    """Return a metric's name as normlab writes it, whatever its spelling."""
    from normlab.studies.foreign.names import metric_name

    return metric_name(metric) if metric else ""


def _only(sides: list[Any], flag: str) -> str:
    if len(sides) == 1:
        return str(sides[0].label)
    raise UserError(f"{flag} is missing: {plural(len(sides), 'variant')}: {', '.join(side.label for side in sides)}")


def _told_apart(a: Any, b: Any, names: list[str]) -> tuple[Any, Any]:
    from dataclasses import replace

    return replace(a, label=f"{a.label} ({names[0]})"), replace(b, label=f"{b.label} ({names[1]})")


def _add_power(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "power", "say how many paired seeds find a difference that matters", _power)
    parser.add_argument("study", type=Path, nargs="?", metavar="STUDY", help="takes the spread from its paired seeds")
    parser.add_argument("--margin", type=float, required=True, help="the difference to find, in the metric's unit")
    parser.add_argument("--sd", type=float, help="standard deviation of the paired differences, without STUDY")
    parser.add_argument("--alpha", type=float, default=0.05, help="chance of finding a difference that is none [0.05]")
    parser.add_argument("--power", type=float, default=0.8, help="chance of finding the margin [0.8]")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    add_reading(parser)


def _power(options: argparse.Namespace) -> int:
    from normlab.studies.statistics import CORRECTED, paired_power, seeds_for_margin

    for name in ("margin", "sd"):
        value = getattr(options, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UserError(f"--{name} {value:g}: give a number above 0")
    for name in ("alpha", "power"):
        if not 0 < getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name):g}: give a probability between 0 and 1")
    if (options.sd is None) == (options.study is None):
        raise UserError(
            "give one of both: --sd, the standard deviation of paired differences, or a STUDY to take it from"
        )
    sd, source, overlap = (options.sd, "", 0.0) if options.study is None else _spread_of(options)
    seeds = seeds_for_margin(options.margin, sd, alpha=options.alpha, power=options.power, overlap=overlap)
    if options.json:
        reached = None if seeds is None else paired_power(options.margin, sd, seeds, options.alpha, overlap=overlap)
        answer = {"seeds": seeds, "margin": options.margin, "sd": sd, "alpha": options.alpha, "power": reached}
        print(json.dumps(answer))
        return 0
    if overlap and seeds is None:
        raise UserError(
            f"{options.study}: no number of its folds finds {options.margin:g}, since their training sets overlap: "
            "divide the data into more folds, or ask for a larger --margin"
        )
    count = "more than 100,000" if seeds is None else str(seeds)
    test = f"paired t-test, {CORRECTED}," if overlap else "paired t-test"
    print(
        f"{count} paired {'folds' if overlap else 'seeds'}: with them the {test} at the {100 * options.alpha:g} % "
        f"level finds a true difference of {options.margin:g} with a probability of {100 * options.power:g} % or more, "
        f"if paired differences have a standard deviation of {sd:.4g}{source}."
    )
    return 0


def _spread_of(options: argparse.Namespace) -> tuple[float, str, float]:
    """Return the largest spread of paired differences in a study, where it is from, and the overlap of its folds."""
    from normlab.studies.between import metric_of, spreads

    study = _one_study(options.study, options)
    say_how_read([study])
    metric = metric_of([study], _named(options.metric))
    found = spreads(study, metric)
    if not found:
        raise UserError(f"{options.study}: no two variants share three finished seeds: give --sd instead of a study")
    (a, b), (sd, n) = max(found.items(), key=lambda each: each[1][0])
    largest = ", the largest of the study's pairs" if len(found) > 1 else ""
    return (
        sd,
        f" (of {metric} between {a} and {b} over {n} {'folds' if study.overlap else 'seeds'}{largest})",
        study.overlap,
    )


VERBS = (_add_compare, _add_power)
