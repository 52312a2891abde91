"""`python tools/tag_examples.py`: write into docs/ner.md what the shipped tagger says of twenty sentences.

The sentences are of the kinds that people hand to a tagger and that its training corpus, edited news, does not hold.
The table stands between two comments; a test compares it with what the program prints.
"""

from __future__ import annotations

import sys
from pathlib import Path

from normlab.apps.tag.formats import FORMATS
from normlab.apps.tag.passages import tagged
from normlab.apps.tag.sources import Line
from normlab.engine.api import load_run

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ner.md"
BEGIN, END = "<!-- tag examples: begin (tools/tag_examples.py) -->\n", "<!-- tag examples: end -->\n"
SENTENCES = (
    "BARACK OBAMA VISITED PARIS ON MONDAY.",
    "THE U.N. SECURITY COUNCIL MET IN NEW YORK TO DISCUSS NORTH KOREA",
    "angela merkel met vladimir putin in moscow last friday.",
    "i moved from london to the u.s. in may 2009 and may go back",
    "Obama Visits Germany to Meet Chancellor Merkel",
    "Oil Prices Rise as OPEC Meets in Vienna",
    "BREAKING NEWS FROM IRAQ: Two soldiers were killed near Baghdad.",
    "He NEVER said that Microsoft would leave China!",
    "@BarackObama just landed in Berlin 🎉 #Germany http://t.co/abc123",
    "RT @BBCNews: earthquake hits northern japan, 3 dead :-(",
    "omg can't believe john kerry is in kabul 😂😂",
    "Mail jane.doe@example.org or see https://www.un.org/en/ before Friday.",
    "Write to Mr. O'Neill, c/o Acme Inc., 12 Main St., Boston.",
    "Toyota sold 1,234,567 cars for $3.5 billion, up 4.5% from 2008.",
    "They don't think Iran's president won't come; he'll be in Geneva.",
    "“We aren’t leaving Afghanistan,” said Gen. David Petraeus.",
    "Côte d'Ivoire beat Cameroon 2-1 in the Africa Cup of Nations.",
    "The court decided Roe v. Wade on Jan. 22, 1973.",
    "The U.S.-led force left Kandahar at 10:30 a.m. on Sept. 11.",
    "AT&amp;T and the European Union’s regulators met in Brussels…",
)


def table() -> str:
    """Return the table: a row per sentence, entities in brackets with their type."""
    lines = [Line(number, 0, sentence) for number, sentence in enumerate(SENTENCES, start=1)]
    rows = FORMATS["text"](tagged(load_run("gmb-tagger"), lines), "")
    shown = [row.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|") for row in rows]
    return "\n".join(
        ["| | what `normlab tag` prints |", "|---:|---|"] + [f"| {n} | {r} |" for n, r in enumerate(shown, 1)]
    )


def main() -> int:
    """Replace the table in the page."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE}: the comments around the table are missing", file=sys.stderr)
        return 1
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
