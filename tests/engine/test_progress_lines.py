"""The line that an epoch prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.engine.progress import Progress
from normlab.runs import RunFolder


@pytest.mark.parametrize("headline", ["val/accuracy", "val/micro_f1", "val/exact_match"])
def test_an_epoch_fits_eighty_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str], headline: str) -> None:
    folder = RunFolder(tmp_path)
    record = {"epoch": 99, "lr": 0.00012345, "train/online_loss": 12.34567, headline: 0.98765, "seconds": 123.44}
    Progress(folder).epoch(record, 100, headline, best=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"epoch  99/100  lr 0.000123  loss 12.3457  {headline} 0.9877  123.4 s  *"
    assert len(line) <= 80
    assert "99/100" in (folder.path / "log.txt").read_text(encoding="utf-8")
