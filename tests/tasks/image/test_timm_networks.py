"""`--model timm:NAME`: timm is imported where its torchvision is missing or does not load; nothing is left behind."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.errors import UserError
from normlab.tasks.image.timm_networks import import_timm, timm_factory

TIMM = """
import torchvision
from torchvision.transforms import InterpolationMode, Compose
from torchvision.transforms import functional as F
from torchvision.ops.misc import FrozenBatchNorm2d

class Resize(Compose):
    how = InterpolationMode.BICUBIC

def is_model(name): return name == "tiny"
def list_models(pattern): return []
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages, without what other tests have imported."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("timm", "torchvision")}
    for name in kept:
        del sys.modules[name]
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("timm", "torchvision")]:
        del sys.modules[name]
    sys.modules.update(kept)


def package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)


def test_a_torchvision_of_another_build_of_torch_does_not_stand_in_the_way(packages: Path) -> None:
    package(packages, "timm", TIMM)
    package(packages, "torchvision", "raise RuntimeError('operator torchvision::nms does not exist')")
    assert import_timm().is_model("tiny")
    assert import_timm().Resize.how == 3
    assert "torchvision" not in sys.modules
    with pytest.raises(RuntimeError, match="nms does not exist"):
        import torchvision  # noqa: F401


def test_what_timm_lacks_is_named(packages: Path) -> None:
    package(packages, "timm", "import no_such_dependency")
    with pytest.raises(UserError, match=r"timm needs no_such_dependency: pip install --no-deps no_such_dependency"):
        timm_factory("timm:tiny")


def test_a_broken_timm_is_named(packages: Path) -> None:
    package(packages, "timm", "raise ValueError('of another torch')")
    with pytest.raises(UserError, match=r"timm cannot be imported \(ValueError: of another torch\): install it anew"):
        timm_factory("timm:tiny")


def test_a_network_of_timm_trains_predicts_and_is_reported(tmp_path: Path) -> None:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed: `pip install --no-deps timm`")
    run, page = tmp_path / "run", tmp_path / "report.html"
    small = ["--scale", "smoke", "--limit-train", "40", "--epochs", "1", "--threads", "1", "--norm", "group"]
    assert main(["train", "image", *small, "--model", "timm:resnet18", "--out", str(run)]) == 0
    assert json.loads((run / "result.json").read_text())["state"] == "finished"
    assert main(["evaluate", str(run), "--split", "val", "--json"]) == 0
    assert main(["report", str(run), "--out", str(page)]) == 0
    assert "timm:resnet18" in page.read_text(encoding="utf-8")
