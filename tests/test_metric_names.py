"""One place knows which way a metric points: everybody who sorts or judges asks it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from normlab import metrics
from normlab.errors import UserError
from normlab.metrics import Metric
from normlab.report.numbers import is_fraction as is_fraction_in_reports
from normlab.studies.tables import higher_is_better, is_fraction
from normlab.tasks import TASKS, task_settings
from normlab.tasks.base import lower_is_better

SOURCE = Path(metrics.__file__).parent
LOWER = ("test/loss", "val/precise_loss", "test/ece", "test/error", "train/online_loss", "seconds", "peak_memory_mib")
HIGHER = ("test/accuracy", "val/micro_f1", "test/entity_macro", "test/execution_sound", "test/novel_exact_match")
HIGHER += ("speed/test_tokens_per_second", "examples_per_second", "train/online_accuracy", "test/valid")


@pytest.mark.parametrize("name", [*LOWER, *HIGHER])
def test_every_module_gives_the_same_answer(name: str) -> None:
    assert higher_is_better(name) is (name in HIGHER)
    assert lower_is_better(name) is (name in LOWER)
    assert is_fraction(name) is is_fraction_in_reports(name)


@pytest.mark.parametrize("name", ["test/ece", "test/execution", "test/entity_macro", "test/valid", "val/macro_f1"])
def test_fractions_are_read_in_percent(name: str) -> None:
    assert metrics.is_fraction(name)


def test_an_unknown_metric_is_named_and_not_guessed() -> None:
    with pytest.raises(UserError, match=r"unknown metric 'test/acuracy': did you mean 'test/accuracy'"):
        metrics.higher_is_better("test/acuracy")
    with pytest.raises(UserError, match="unknown metric 'test/rouge_loss'"):
        metrics.lower_is_better("test/rouge_loss")
    assert not metrics.has_direction("test/rouge_loss")


@pytest.mark.parametrize(
    "name", ["features/p99", "val/penultimate_spread", "layers/stages.0.0.conv1/weight_norm", "lr"]
)
def test_a_metric_that_only_describes_has_no_better_side(name: str) -> None:
    with pytest.raises(UserError, match="no better side"):
        metrics.higher_is_better(name)


def test_a_plug_in_declares_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_KNOWN", dict(metrics._KNOWN))
    metrics.declare(Metric("word_errors", "word errors", "lower", "count"))
    assert metrics.lower_is_better("test/word_errors")
    with pytest.raises(ValueError, match="declared already"):
        metrics.declare(Metric("accuracy", "accuracy", "lower"))


def test_titles_are_words_for_people() -> None:
    assert metrics.title_of("test/micro_f1") == "test micro F1"
    assert metrics.heading("test/micro_f1") == "Test micro F1 %"
    assert metrics.heading("test/strict_f1", short=True) == "Strict F1 %"
    assert metrics.heading("val/loss", short=True) == "Loss"
    assert metrics.title_of("test/rouge_loss") == "test rouge loss"


@pytest.mark.parametrize("task", list(TASKS))
def test_a_task_lists_what_it_measures_and_leads_with_one_that_points_up(task: str) -> None:
    measured = task_settings(task).metrics
    chosen = (TASKS.get(task).headline, TASKS.get(task).monitor)
    assert {name.partition("/")[2] for name in chosen} <= set(measured)
    assert all(metrics.higher_is_better(name) for name in chosen)


def test_no_module_guesses_from_a_name() -> None:
    """`metric.endswith("loss")` and its like stand nowhere."""
    words = {"loss", "ece", "/ece", "error", "accuracy", "f1", "seconds", "perplexity"}
    guesses = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "endswith"
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and constant.value in words
    ]
    assert not guesses
