"""Write docs/licences.md: the licence of every package that normlab needs, from the packages' own metadata.

python tools/licences.py            write the page from the packages that are installed here
python tools/licences.py --check    exit 1 if a dependency that is installed here is missing there

A dependency is what pyproject.toml names, and what that needs in turn. Versions are in constraints.txt. Packages whose
metadata name no licence are listed as such: look at their sources.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
NOT_SAID = "not in its metadata"
HEAD = """# Licences of the dependencies

normlab itself is under the [Apache License 2.0](../LICENSE). Installing it installs other packages, each under its
own licence; none of their code is copied into this repository. The table is what their metadata say, written by
`python tools/licences.py`. "Needed for" is `core` or the extra that brings the package, directly or through another
one. What is not installed where the page was written (packages of other systems, torch's CUDA libraries) is not in it.

| package | licence | needed for |
|---|---|---|
"""


def licences() -> dict[str, tuple[str, str]]:
    """Return package -> (licence, what it is needed for), for the dependencies that are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {"core": project["dependencies"], **project["optional-dependencies"]}
    needed: dict[str, list[str]] = {}
    for purpose, requirements in wanted.items():
        for name in _closure([Requirement(text) for text in requirements]):
            needed.setdefault(name, []).append(purpose)
    table = {}
    for name, purposes in sorted(needed.items()):
        shown = "core" if "core" in purposes else ", ".join(sorted(set(purposes) - {"dev"}) or ["dev"])
        table[name] = (licence_of(name), shown)
    return table


def licence_of(name: str) -> str:
    """Return a package's licence: its SPDX expression, else its classifiers, else the short text of its field."""
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [text.split(" :: ")[-1] for text in about.get_all("Classifier") or [] if text.startswith("License ::")]
    if named := [text for text in classified if text != "OSI Approved"]:
        return ", ".join(named)
    text = " ".join(str(about.get("License") or "").split())
    return text if 0 < len(text) <= 60 else _first_words(text) or NOT_SAID


def _first_words(text: str) -> str:
    """Return the name that a licence's whole text begins with."""
    match = re.match(r"(MIT License|Apache License|BSD \d-Clause License|Mozilla Public License)", text)
    return match[1] if match else ""


def _closure(requirements: list[Requirement]) -> set[str]:
    """Return the installed packages among the requirements, and those that they need in turn."""
    found: set[str] = set()
    waiting = list(requirements)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name != "normlab":
            found.add(name)
            waiting += _applicable(needs, requirement.extras)
    return found


def _applicable(needs: list[str], extras: set[str]) -> Iterator[Requirement]:
    for text in needs:
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield requirement


def page(table: dict[str, tuple[str, str]]) -> str:
    """Return the page."""
    return HEAD + "".join(f"| {name} | {licence} | {purpose} |\n" for name, (licence, purpose) in table.items())


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    table = licences()
    if not options.check:
        PAGE.write_text(page(table), encoding="utf-8")
        return 0
    written = set(PAGE.read_text(encoding="utf-8").splitlines())
    named = {line.split(" | ")[0].removeprefix("| ") for line in written if line.startswith("| ")}
    for missing in sorted(set(table) - named):
        print(f"{PAGE.name}: {missing} ({table[missing][0]}) is missing: run tools/licences.py", file=sys.stderr)
    return int(bool(set(table) - named))


if __name__ == "__main__":
    sys.exit(main())
