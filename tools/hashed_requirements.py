"""Write requirements-hashed.txt: every package of constraints.txt with the SHA-256 of the file that pip takes here.

    python tools/hashed_requirements.py                      ask pip, which downloads no more than it must
    python tools/hashed_requirements.py --report report.json from `pip install --dry-run --report`, made before
    python tools/hashed_requirements.py --check              exit 1 if it has other packages than constraints.txt

    pip install --require-hashes --no-deps -r requirements-hashed.txt

A file is chosen by system, processor and Python version, which stand at its head. On another one, write it anew.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS, HASHED = ROOT / "constraints.txt", ROOT / "requirements-hashed.txt"
HEAD = """\
# Written by tools/hashed_requirements.py from constraints.txt: {system}, {machine}, Python {python}.
# torch is the build for CPUs: add --extra-index-url https://download.pytorch.org/whl/cpu where no index has it.
"""
_LINE = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+)(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)")


def versions(text: str) -> dict[str, str]:
    """Return name -> version of lines `name==version`."""
    pairs = (line.split()[0].split("==") for line in text.splitlines() if line and not line.startswith("#"))
    return {str(canonicalize_name(name)): version for name, version in pairs}


def hashed(text: str) -> dict[str, str]:
    """Return name -> version of a hashed file; raise ValueError for a line without a hash."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"no version and hash: {line}")
            found[str(canonicalize_name(match["name"]))] = match["version"]
    return found


def lines(report: dict[str, Any], wanted: dict[str, str]) -> list[str]:
    """Return the hashed lines from pip's report; raise ValueError for a package or a hash that it lacks."""
    found = {}
    for entry in report["install"]:
        name = str(canonicalize_name(entry["metadata"]["name"]))
        digest = entry["download_info"]["archive_info"].get("hashes", {}).get("sha256")
        if digest is None:
            raise ValueError(f"{name}: pip reports no SHA-256 of {entry['download_info']['url']}")
        found[name] = digest
    if missing := wanted.keys() - found.keys():
        raise ValueError(f"not in pip's report: {', '.join(sorted(missing))}")
    return [f"{name}=={version} --hash=sha256:{found[name]}" for name, version in sorted(wanted.items())]


def ask_pip() -> dict[str, Any]:
    """Return what pip would install here."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]
        subprocess.run([*command, "--report", str(report), "-r", str(CONSTRAINTS)], check=True)
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return found


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    wanted = versions(CONSTRAINTS.read_text(encoding="utf-8"))
    if options.check:
        there = hashed(HASHED.read_text(encoding="utf-8"))
        different = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        if different:
            print(f"{HASHED.name}: {', '.join(different)}: run tools/hashed_requirements.py", file=sys.stderr)
        return int(bool(different))
    report = json.loads(options.report.read_text(encoding="utf-8")) if options.report else ask_pip()
    about = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
    text = HEAD.format(**about) + "\n".join(lines(report, wanted)) + "\n"
    HASHED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
