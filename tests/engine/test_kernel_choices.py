"""A run's card records the kernels of this run alone, whatever else its process has trained."""

from __future__ import annotations

from pathlib import Path

import pytest

import normlab
from normlab.kernels.norm import NORM
from normlab.kernels.runtime import contest


def recorded(out: Path, norm: str) -> dict[str, str]:
    run = normlab.train("image", out=out, preset="smoke", norm=norm, epochs=1, limit_train=64, threads=1)
    choices: dict[str, str] = run.folder.card().get("kernels", {})
    return choices


def test_a_card_has_no_choices_of_another_run_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if NORM.reason_against_cpu():
        pytest.skip(NORM.reason_against_cpu())
    monkeypatch.setattr(contest, "policy", lambda: "torch")
    first = recorded(tmp_path / "first", "batch")
    assert set(first.values()) == {"torch"}
    assert any(name.startswith("norm ") for name in first)
    assert not any(name.startswith("norm ") for name in recorded(tmp_path / "none", "none"))
    assert recorded(tmp_path / "again", "batch") == first
