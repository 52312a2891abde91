"""Sentences with their entities marked: those that the leading variant found hardest, gold above prediction."""

from __future__ import annotations

from typing import Any

from normlab.plurals import plural
from normlab.report.blocks import Block, Folded, MarkedLine, MarkedSentence, MarkedSentences, Section
from normlab.report.comparing import leading
from normlab.report.tagged import SPLIT_NAMES, entity_types, marked_pieces, measured_split, tables_of, type_colors
from normlab.report.view import StudyView

_OPEN = 6
_HELP = (
    "The wrongly tagged sentences with the largest loss per word: what the model was surest about and wrong, which "
    "also turns up odd annotations. The first line shows the gold entities, the second the predicted ones; each "
    "carries its type. A dashed frame marks a gold entity that was missed and a predicted one that is not in the gold."
)


def section(view: StudyView) -> Section | None:
    """Show the worst sentences of the leading variant's first finished seed."""
    split, best = measured_split(view), leading(view)
    tables = tables_of(best, split, "worst") if best else []
    if not tables or not tables[0] or best is None:
        return None
    colors = type_colors(entity_types(view, split))
    sentences = [_marked(entry, colors) for entry in tables[0]]
    blocks: list[Block] = [MarkedSentences("hardest", colors, sentences[:_OPEN])]
    if len(sentences) > _OPEN:
        rest = MarkedSentences("hard", colors, sentences[_OPEN:])
        blocks.append(Folded(f"{len(sentences) - _OPEN} more", [rest]))
    title = f"Hardest sentences of the {SPLIT_NAMES[split]}: {best.label}"
    return Section("examples", title, blocks, help=_HELP)


def _marked(entry: dict[str, Any], colors: dict[str, str]) -> MarkedSentence:
    words, gold, predicted = entry["words"], entry["gold"], entry["found"]
    wrong = sum(a != b for a, b in zip(gold, predicted, strict=True))
    number = f"Sentence {entry['sentence']}, " if "sentence" in entry else ""
    caption = (
        f"{number}{wrong} of {plural(len(words), 'word')} wrong, loss {entry['loss'] / len(words):.2f} nats per word"
    )
    lines = [
        MarkedLine("gold", marked_pieces(words, gold, predicted, colors)),
        MarkedLine("predicted", marked_pieces(words, predicted, gold, colors)),
    ]
    return MarkedSentence(caption[0].upper() + caption[1:], lines)
