"""What is exported of a tagger: the emission scores of words and spellings, for any number and length of sentences.

The recurrence is torch's `scan` in the program (`nn/recurrence.py`), ONNX's `Scan` in the file. The CRF's decoding is a
second step outside: its scores stand in the metadata, illegal transitions at -1e30, and so do the words and characters
by which inputs are numbered. docs/export.md has both steps in plain Python.

Dimensions: B sentences, T words, U distinct spellings, L characters, K tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normlab.apps.export.program import Exportable, Inputs
from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.base import Placement
from normlab.tasks.ner.data import NerData, evaluation_batches
from normlab.tasks.ner.encoding import LONGEST_SPELLING, Batch
from normlab.tasks.ner.model import Tagger

_COMPARED, _GENERATED = 16, 4  # batches
_LONGEST = 5000  # words of a sentence


class TaggerProgram(nn.Module):
    """Numbers of words (B, T) and sentence lengths (B,), with characters (U, L) too -> emissions (B, T, K), float32."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger

    def forward(
        self,
        words: Tensor,
        lengths: Tensor,
        characters: Tensor | None = None,
        character_lengths: Tensor | None = None,
        spelling: Tensor | None = None,
    ) -> Tensor:
        """Return the emissions; those of padding mean nothing."""
        emissions: Tensor = self.tagger(Batch(words, lengths, characters, character_lengths, spelling, None))
        return emissions


def tagger_export(run: Run) -> Exportable:
    """Return a run's tagger as a program."""
    tagger: Any = run.model.cpu().float()
    dim = torch.export.Dim
    sentences, words = dim("sentences", min=1), dim("words", min=1, max=_LONGEST)
    dynamic: tuple[dict[int, Any], ...] = ({0: sentences, 1: words}, {0: sentences})
    names: tuple[str, ...] = ("words", "lengths")
    if tagger.characters is not None:
        spellings, letters = dim("spellings", min=1), dim("characters", min=1, max=LONGEST_SPELLING)
        dynamic += ({0: spellings, 1: letters}, {0: spellings}, {0: sentences, 1: words})
        names += ("characters", "character_lengths", "spelling")
    batches, described = _batches(run, len(names))
    example = tuple(map(torch.from_numpy, _generated(run, 3, 7, len(names))))
    about = _about(run, tagger)
    return Exportable(TaggerProgram(tagger).eval(), names, "emissions", example, dynamic, batches, described, about)


def _about(run: Run, tagger: Tagger) -> dict[str, Any]:
    card = run.folder.card()
    config: Any = run.config
    scores = None
    if tagger.crf is not None:
        start, transitions, end = (part.detach().tolist() for part in tagger.crf.constrained_scores())
        scores = {"start": start, "transitions": transitions, "end": end}
    return {
        "labels": card["classes"],
        "scheme": card["scheme"],
        "inputs": (
            "words: int64 (sentences, words), numbers in `words` from 2 on, 0 padding, 1 unknown; lengths: int64 "
            "(sentences,)"
            + (
                "; characters: int64 (spellings, characters), numbered likewise; character_lengths: int64 "
                "(spellings,); spelling: int64 (sentences, words), rows of characters"
                if tagger.characters
                else ""
            )
        ),
        "lowercase": config.lowercase,
        "words": card["words"],
        "characters": card["characters"],
        "longest_spelling": LONGEST_SPELLING,
        "crf": scores,
    }


def _batches(run: Run, count: int) -> tuple[list[Inputs], str]:
    """Return batches of the validation split, or generated ones where it is not at hand."""
    try:
        data: NerData = run.task.prepare(run.config)
        why = "" if data.fingerprint == run.folder.card().get("fingerprint") else "have changed since training"
    except UserError as error:
        why = f"are not at hand: {error}"
    if why:
        batches = [_generated(run, 1 + 8 * n, 1 + 11 * n, count, seed=n) for n in range(_GENERATED)]
        return batches, f"{plural(sum(len(b[0]) for b in batches), 'generated sentence')} (the data {why})"
    placement: Placement = run.placement
    config: Any = run.config
    batches = list(_validation(data, config, placement, count))
    return batches, f"{plural(sum(len(b[0]) for b in batches), 'sentence')} of the validation split"


def _validation(data: NerData, config: Any, placement: Placement, count: int) -> Iterator[Inputs]:
    """The longest sentences and the shortest: batches are in the order of length."""
    total = -(-len(data.splits["val"]) // config.eval_batch_size)
    step = max(1, total // _COMPARED)
    for _, _, batch in islice(evaluation_batches(data.splits["val"], config, placement), 0, None, step):
        yield tuple(part.cpu().numpy() for part in batch[:count] if part is not None)


def _generated(run: Run, sentences: int, words: int, count: int, seed: int = 0) -> Inputs:
    """Sentences of random words, one of them of full length, in random spellings."""
    card = run.folder.card()
    draw = np.random.default_rng(seed).integers
    spellings, longest = 2 * words, 9
    lengths, letters = draw(1, words + 1, sentences), draw(1, longest + 1, spellings)
    lengths[0], letters[0] = words, longest
    return (
        draw(1, len(card["words"]) + 2, (sentences, words)),
        lengths,
        draw(1, len(card["characters"]) + 2, (spellings, longest)),
        letters,
        draw(0, spellings, (sentences, words)),
    )[:count]
