"""A text through a tagger: its entities with probabilities, and the k best taggings of each sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from normlab.apps.serve import markup
from normlab.data.tagging.scheme import spans
from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.ner.alternatives import Tagging, best_taggings
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.model import Tagger

EXAMPLES = (
    "Barack Obama met Angela Merkel in Berlin on Monday. The German chancellor will visit New York in June.",
    "The United Nations sent observers to Baghdad after the Second World War memorial was damaged in 2006.",
    "Jordan said that Washington would join the talks in May.",
)
MEANINGS = {
    "per": "person",
    "geo": "place",
    "org": "organization",
    "gpe": "country or its people",
    "tim": "time",
    "art": "work or product",
    "eve": "event",
    "nat": "natural phenomenon",
}
"""What the types of the Groningen Meaning Bank stand for; types of other corpora are shown as they are."""
BEST = 5
SENTENCES = 5  # whose taggings are listed
_COLORS = 8  # of types, in page.css


def tag_text(run: Run, text: str, *, most: int) -> tuple[str, str]:
    """Return two pieces of HTML: the text with its entities marked, and the best taggings of its sentences.

    Args:
        most: characters.
    Raises: UserError for a text that is empty or too long.
    """
    if not text.strip():
        raise UserError("the text is empty: write a sentence, or choose one of the examples")
    if len(text) > most:
        raise UserError(f"the text has {len(text):,} characters, at most {most:,} are tagged: give a part of it")
    lines = text.splitlines()
    records = list(run.predict(lines))
    types = sorted({span["type"] for record in records for span in record["spans"]})
    marked = "<br>".join(
        _marked(line, [span for record in records if record["line"] == number for span in record["spans"]], types)
        for number, line in enumerate(lines, start=1)
    )
    found = f'<div class="nl-text">{marked}</div>' + (
        _legend(types) if types else markup.notes(["no entity was found"])
    )
    shown = [record["words"] for record in records[:SENTENCES]]
    card, config = run.folder.card(), cast(NerConfig, run.config)
    taggings = best_taggings(cast(Tagger, run.model), shown, config, card, run.placement, k=BEST)
    pieces = [_alternatives(words, ranked) for words, ranked in zip(shown, taggings, strict=True)]
    left = len(records) - len(shown)
    return found, "".join(pieces) + markup.notes(
        [f"{plural(left, 'more sentence is', 'more sentences are')} not listed"] if left else []
    )


def _marked(line: str, entities: Sequence[dict[str, Any]], types: Sequence[str]) -> str:
    """Return a line of text in which each entity stands in a mark, with its type and probability."""
    pieces, done = [], 0
    for entity in sorted(entities, key=lambda entity: entity["characters"][0]):
        start, end = entity["characters"]
        color = types.index(entity["type"]) % _COLORS
        label = f"{markup.escaped(entity['type'])} {markup.percent(entity['probability'])}"
        pieces += [markup.escaped(line[done:start]), f'<mark class="nl-type{color}">', markup.escaped(line[start:end])]
        pieces.append(f"<small>{label}</small></mark>")
        done = end
    return "".join([*pieces, markup.escaped(line[done:])])


def _legend(types: Sequence[str]) -> str:
    """Return what the abbreviations of the types mean, as far as they are known."""
    known = ", ".join(f"{name}: {MEANINGS[name]}" for name in types if name in MEANINGS)
    return f'<p class="nl-soft">{markup.escaped(known)}</p>' if known else ""


def _alternatives(words: Sequence[str], ranked: Sequence[Tagging]) -> str:
    rows = [(markup.percent(tagging.probability), _entities(words, tagging)) for tagging in ranked]
    return markup.table(("probability", "entities"), rows, caption=" ".join(words))


def _entities(words: Sequence[str], tagging: Tagging) -> str:
    named = [f"{' '.join(words[span.start : span.end])} ({span.type})" for span in spans(tagging.tags)]
    return markup.escaped(", ".join(named)) or '<span class="nl-soft">none</span>'
