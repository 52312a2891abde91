"""What every metric is called, which way it points, and in what unit it is written: the only place that knows.

Results name a metric `split/name` ("test/accuracy"), an epoch's means while the weights moved `train/online_name`.
Direction and unit belong to the bare name. A name that nobody declared has neither: `known` refuses it by name,
and nothing is guessed from how it is spelled. A task of your own declares its metrics with `declare`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from normlab.errors import UserError

Unit = Literal["fraction", "loss", "seconds", "count", "per_second", "mib", "value"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: bare, without the split: "accuracy".
        title: for people, in the middle of a sentence: "micro F1".
        better: which values are better; None for what describes without judging, such as a percentile.
        unit: fractions are kept between 0 and 1 in files and shown in percent.
        short: the title below a heading that says the rest ("F1" under "Entities"); empty: `title`.
    """

    name: str
    title: str
    better: Literal["higher", "lower"] | None = "higher"
    unit: Unit = "fraction"
    short: str = ""


_KNOWN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # of every task
        Metric("loss", "loss", "lower", "loss"),
        Metric("error", "error", "lower"),
        Metric("perplexity", "perplexity", "lower", "value"),
        Metric("seconds", "time", "lower", "seconds"),
        Metric("seconds_per_epoch", "time per epoch", "lower", "seconds"),
        Metric("train_seconds", "training time per epoch", "lower", "seconds"),
        Metric("examples_per_second", "examples per second", "higher", "per_second"),
        Metric("peak_memory_mib", "peak memory", "lower", "mib"),
        Metric("parameters", "parameters", "lower", "count"),
        Metric("epochs", "epochs", None, "count"),
        Metric("epoch", "epoch", None, "count"),
        Metric("best_epoch", "best epoch", None, "count"),
        Metric("steps", "steps", None, "count"),
        Metric("step", "step", None, "count"),
        Metric("threads", "threads", None, "count"),
        Metric("processes", "processes", None, "count"),
        Metric("lr", "learning rate", None, "value"),
        # image; word level of ner
        Metric("accuracy", "accuracy"),
        Metric("accuracy_precise", "accuracy with precise statistics"),
        Metric("precise_loss", "loss with precise statistics", "lower", "loss"),
        Metric("micro_f1", "micro F1"),
        Metric("macro_f1", "macro F1"),
        Metric("dead_channels", "dead channels", "lower"),
        Metric("penultimate_spread", "spread of the last features", None, "value"),
        # ner
        Metric("token_accuracy", "accuracy of all words", short="all words right"),
        Metric("entity_f1", "entity F1", short="F1"),
        Metric("strict_f1", "strict entity F1", short="strict F1"),
        Metric("entity_macro", "macro entity F1", short="macro F1"),
        Metric("course_f1", "entity F1 on entity words only", short="F1"),  # flattering: see docs/ner.md
        Metric("course_macro", "macro entity F1 on entity words only", short="macro F1"),
        Metric("precision", "precision"),
        Metric("recall", "recall"),
        Metric("f1", "F1"),
        Metric("ece", "calibration error", "lower"),
        Metric("tokens_per_second", "words per second", "higher", "per_second"),
        # text2sql
        Metric("exact_match", "exact match"),
        Metric("execution", "official execution accuracy", short="official execution"),
        Metric("execution_sound", "order-insensitive execution accuracy", short="order-insensitive execution"),
        Metric("test_suite", "test-suite execution accuracy", short="test suite"),
        Metric("test_suite_keep_distinct", "test-suite execution accuracy, DISTINCT kept", short="DISTINCT kept"),
        Metric("test_suite_lost", "share of answers right on one database that are wrong on a copy", "lower"),
        Metric("valid", "share that the official parser accepts", short="parses officially"),
        Metric("questions_per_second", "questions per second", "higher", "per_second"),
    )
}

TOLD: set[str] = set()  # names of which a user said the direction: another file may say otherwise

# What a declared name may carry in front: the same quantity, measured otherwise or on other rows.
_QUALIFIERS = {
    "online_": "{} while training",
    "novel_": "novel {}",  # on rows whose SQL training does not hold
    "nearest_": "nearest question's {}",  # of the copying baseline
}
# Names that describe a network's insides: values without a better side.
_INSIDES = re.compile(r"features/p\d\d|layers/.+/\w+")
_SPEED = re.compile(rf"speed/({'|'.join(SPLITS)})_(\w+)")


def declare(metric: Metric) -> Metric:
    """Make a metric known. Raises: ValueError if the name is taken by another one."""
    if _KNOWN.setdefault(metric.name, metric) != metric:
        raise ValueError(f"metric '{metric.name}' is declared already, as {_KNOWN[metric.name]}")
    return metric


def tell(name: str, better: Literal["higher", "lower"]) -> None:
    """Take a user's word for which way an unknown metric points, under its bare name; what is declared stays."""
    bare = _without_split(name)
    if find(bare) is None or bare in TOLD:
        TOLD.add(bare)
        _KNOWN[bare] = Metric(bare, bare.replace("_", " "), better, "value")


def names(*bare: str) -> tuple[str, ...]:
    """Return metrics' bare names after looking each up: how a task lists what it measures."""
    for name in bare:
        known(name)
    return bare


def find(name: str) -> Metric | None:
    """Return the metric behind `split/name` or a bare name; None if nobody declared it."""
    if _INSIDES.fullmatch(name):
        return Metric(name, name.replace("/", " ").replace("_", " "), None, "value")
    speed = _SPEED.fullmatch(name)
    bare = speed[2] if speed else _without_split(name)
    if bare in _KNOWN:
        return _KNOWN[bare]
    for prefix, title in _QUALIFIERS.items():
        inner = _KNOWN.get(bare.removeprefix(prefix)) if bare.startswith(prefix) else None
        if inner is not None:
            return Metric(bare, title.format(inner.title), inner.better, inner.unit)
    return None


def known(name: str) -> Metric:
    """Return a declared metric. Raises: UserError that names an unknown one, with the nearest known name."""
    metric = find(name)
    if metric is None:
        raise UserError(f"unknown metric '{name}': {_hint(name)}")
    return metric


def has_direction(name: str) -> bool:
    """Say whether values of the metric can be better or worse than others, as far as is known."""
    metric = find(name)
    return metric is not None and metric.better is not None


def higher_is_better(name: str) -> bool:
    """Say which way a metric points. Raises: UserError if it is unknown, or has no better side."""
    metric = known(name)
    if metric.better is None:
        raise UserError(f"metric '{name}' describes and has no better side: choose one that can be better or worse")
    return metric.better == "higher"


def lower_is_better(name: str) -> bool:
    """Say the opposite of `higher_is_better`, with the same errors."""
    return not higher_is_better(name)


def sign(name: str) -> float:
    """Return 1.0 or -1.0, which turns the metric's values so that more is better; errors as `higher_is_better`."""
    return 1.0 if higher_is_better(name) else -1.0


def refuse_as_monitor(name: str) -> None:
    """Raise `UserError` if a metric cannot judge epochs: unknown, without a better side, or of the test split."""
    split = name.partition("/")[0]
    if find(name) is None:
        raise UserError(f"monitor: '{name}' is not measured after each epoch: {_hint(name)}")
    if split == "test":
        raise UserError(
            f"monitor: '{name}' is not measured after each epoch: the test split is read once, after training: "
            f"give val{name.removeprefix('test')}"
        )
    higher_is_better(name)


def is_fraction(name: str) -> bool:
    """Say whether a person reads the metric in percent; an unknown one is shown as it is."""
    metric = find(name)
    return metric is not None and metric.unit == "fraction"


def title_of(name: str) -> str:
    """Return a metric for people, its split included: "test micro F1"; an unknown one by its own words."""
    metric = find(name)
    if metric is None or _INSIDES.fullmatch(name):
        return name.replace("/", " ").replace("_", " ")
    split = name.partition("/")[0]
    return f"{split} {metric.title}" if "/" in name and split in SPLITS else metric.title


def heading(name: str, *, short: bool = False) -> str:
    """Return a column's or a figure's title: capitalised, with " %" where it is shown in percent.

    Args:
        short: without split, for a column below a heading that says it and the metric's group.
    """
    bare = _without_split(name)
    metric = find(bare)
    text = (metric.short or metric.title) if short and metric is not None else title_of(bare if short else name)
    return f"{text[0].upper()}{text[1:]}{' %' if is_fraction(name) else ''}"


def split_of(name: str) -> str:
    """Return the split that a metric's name begins with; "" if it names none."""
    split, slash, _ = name.partition("/")
    return split if slash and split in SPLITS else ""


def _without_split(name: str) -> str:
    split, slash, bare = name.partition("/")
    return bare if slash and split in SPLITS else name


def _hint(name: str) -> str:
    """Return the nearest known name, or what follows from there being none."""
    bare = _without_split(name)
    near = difflib.get_close_matches(bare, _KNOWN, n=1)
    if near:
        return f"did you mean '{name.removesuffix(bare)}{near[0]}'?"
    return "it is not known which way it points, so nothing can be judged by it"
