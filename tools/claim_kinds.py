"""Write the table of claim kinds in docs/studies.md from the registry of kinds.

python tools/claim_kinds.py            write it
python tools/claim_kinds.py --check    fail if it is out of date (a test does this)
"""

from __future__ import annotations

import sys
from pathlib import Path

from normlab.studies.claims import KINDS, ClaimKind

PAGE = Path(__file__).resolve().parent.parent / "docs" / "studies.md"
BEGIN, END = "<!-- claim kinds -->", "<!-- end of claim kinds -->"


def table() -> str:
    """Return a row per kind as Markdown."""
    lines = ["| kind | needs | true if |", "|---|---|---|", *(_line(kind) for kind in KINDS.values())]
    return "\n".join(lines)


def _line(kind: ClaimKind) -> str:
    needs = [f"`{name}`" for name in kind.needs]
    if kind.margin_above is not None:
        needs.append(f"`margin` above {kind.margin_above:g}")
    return f"| `{kind.name}` | {', '.join(needs)} | {kind.states.replace('|', chr(92) + '|')} |"


def page(text: str) -> str:
    """Return the page with the table between its two marks brought up to date."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write the table, or compare it with `--check`."""
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" in sys.argv[1:]:
        if new != old:
            print(f"{PAGE}: out of date: run `python tools/claim_kinds.py`", file=sys.stderr)
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
