"""What a wheel holds: all of src/normlab. Hatchling leaves out what .gitignore matches, without a word."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "normlab"


def _files() -> list[Path]:
    return [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_the_wheel_is_made_of_the_whole_package() -> None:
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert target == {"packages": ["src/normlab"]}, "a pattern here may leave data out of the wheel"


def test_no_file_of_the_package_is_one_that_git_ignores() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a checkout of git")
    names = "\n".join(path.relative_to(ROOT).as_posix() for path in _files())
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    ignored = subprocess.run(command, cwd=ROOT, input=names, capture_output=True, text=True, check=False)
    assert ignored.returncode == 1, f"these would be missing in the wheel: {ignored.stdout.splitlines()}"


@pytest.mark.parametrize(
    "data",
    [
        "py.typed",
        "shipped_models/gmb-tagger/model.safetensors",
        "shipped_models/spider-sql/calibration.json",
        "studies/shipped/seven_norms.yaml",
        "studies/published_data/image.csv",
        "report/templates/page.css",
        "report/templates/page.js",
        "apps/serve/page.css",
        "apps/serve/sample_study.zip",
        "kernels/runtime/glue.cpp",
    ],
)
def test_data_that_the_package_reads_lie_inside_it(data: str) -> None:
    assert (PACKAGE / data).is_file()
