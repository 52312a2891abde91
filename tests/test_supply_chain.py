"""requirements-hashed.txt holds each package of constraints.txt with a hash, and says so when it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "hashed_requirements.py"
sys.path.insert(0, str(TOOL.parent))
try:
    import hashed_requirements
finally:
    sys.path.remove(str(TOOL.parent))


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "tools" / TOOL.name), "--check"], capture_output=True, text=True, check=False
    )


def copied(folder: Path, hashed: str) -> Path:
    (folder / "tools").mkdir()
    (folder / "tools" / TOOL.name).write_text(TOOL.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "constraints.txt").write_text((ROOT / "constraints.txt").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "requirements-hashed.txt").write_text(hashed, encoding="utf-8")
    return folder


def test_the_hashed_file_has_the_packages_and_versions_of_the_constraints() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("old", "new"), [("numpy==2", "numpy==1"), ("numpy==", "nunpy=="), ("--hash=sha256:", "--hash=md5:")]
)
def test_another_version_name_or_kind_of_hash_is_seen(tmp_path: Path, old: str, new: str) -> None:
    text = (ROOT / "requirements-hashed.txt").read_text(encoding="utf-8")
    assert old in text
    assert check(copied(tmp_path, text.replace(old, new, 1))).returncode != 0


def test_pips_report_without_a_package_or_a_hash_is_refused() -> None:
    entry = {
        "metadata": {"name": "NumPy"},
        "download_info": {"url": "here", "archive_info": {"hashes": {"sha256": "ab"}}},
    }
    assert hashed_requirements.lines({"install": [entry]}, {"numpy": "2"}) == ["numpy==2 --hash=sha256:ab"]
    with pytest.raises(ValueError, match="not in pip's report: scipy"):
        hashed_requirements.lines({"install": [entry]}, {"numpy": "2", "scipy": "1"})
    entry["download_info"] = {"url": "here", "archive_info": {}}
    with pytest.raises(ValueError, match="no SHA-256"):
        hashed_requirements.lines({"install": [entry]}, {"numpy": "2"})
