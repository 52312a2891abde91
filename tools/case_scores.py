"""`python tools/case_scores.py FILE [MODEL]`: entity F1 of a tagged file in capitals, in small letters, as headlines.

Each is read as written and in restored spelling (`normlab.data.tagging.letter_case`). Prints the table of docs/ner.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from normlab.data.tagging.case_table import capitalised
from normlab.data.tagging.corpus import open_sentences
from normlab.data.tagging.scheme import spans
from normlab.data.tagging.sentences import Sentence
from normlab.engine.api import load_run

WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "IN CAPITALS": str.upper,
    "in small letters": str.lower,
    "A Capital on Every Word": capitalised,
}


def main(words: list[str]) -> int:
    """Print a row per way of writing."""
    if len(words) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    path, model = words[0], words[1] if len(words) == 2 else "gmb-tagger"
    layout = ",".join(load_run(model).folder.card()["columns"])
    sentences = list(open_sentences(path, columns=layout))
    print("| text | read as written | read in restored spelling |")
    print("|---|---:|---:|")
    for name, write in WRITTEN.items():
        text = [[write(word) for word in sentence.words] for sentence in sentences]
        scores = [f"{100 * entity_f1(sentences, text, model, how):.2f} %" for how in ("written", "restored")]
        print(f"| {name} | {' | '.join(scores)} |", flush=True)
    return 0


def entity_f1(sentences: Sequence[Sentence], text: Sequence[Sequence[str]], model: str, how: str) -> float:
    """Return F1 over whole entities of the sentences, read as `text`."""
    right = proposed = found = 0
    for sentence, record in zip(sentences, load_run(model, input_case=how).predict(text), strict=True):
        gold = {(span.type, span.start, span.end) for span in spans(sentence.tags or ())}
        answer = {(span["type"], span["start"], span["end"]) for span in record["spans"]}
        right, proposed, found = right + len(gold & answer), proposed + len(answer), found + len(gold)
    return 2 * right / (proposed + found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
