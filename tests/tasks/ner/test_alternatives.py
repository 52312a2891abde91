"""The k best taggings against all taggings there are."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from normlab.data.tagging.sentences import Sentence
from normlab.engine.api import Run, load_run
from normlab.tasks.ner.alternatives import best_taggings
from normlab.tasks.ner.encoding import Lexicon

WORDS = ("Jordan", "visited", "Paris")


@pytest.fixture(scope="module")
def tagger() -> Run:
    return load_run("gmb-tagger", device="cpu")


def emissions_of(run: Run) -> torch.Tensor:
    lexicon = Lexicon(run.folder.card(), lowercase=run.config.lowercase)
    encoded = lexicon.encode([Sentence(WORDS, None, WORDS, 1, 1)])
    with torch.inference_mode(), run.placement.autocast():
        return run.model(encoded.batch(torch.arange(1).numpy())).float()


def best(run: Run, *sentences: tuple[str, ...], k: int = 6) -> list:
    return best_taggings(run.model, sentences, run.config, run.folder.card(), run.placement, k=k)


def test_they_are_the_likeliest_of_all_taggings_under_the_crf(tagger: Run) -> None:
    emissions, crf, names = emissions_of(tagger), tagger.model.crf, tagger.folder.card()["classes"]
    paths = torch.tensor(list(product(range(len(names)), repeat=len(WORDS))))
    with torch.inference_mode():
        shares = crf.score(emissions.expand(len(paths), -1, -1), paths).double().softmax(0)
    order = shares.argsort(descending=True)[:6]
    [taggings] = best(tagger, WORDS)
    assert [tagging.tags for tagging in taggings] == [[names[tag] for tag in paths[row]] for row in order]
    assert [tagging.probability for tagging in taggings] == pytest.approx(shares[order].tolist(), rel=1e-3)


def test_without_a_crf_words_are_independent(tagger: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = emissions_of(tagger)[0].double().softmax(-1)
    monkeypatch.setitem(tagger.model._modules, "crf", None)
    paths = torch.tensor(list(product(range(words.shape[1]), repeat=len(WORDS))))
    shares = words[torch.arange(len(WORDS)), paths].prod(1)
    [taggings] = best(tagger, WORDS)
    assert [tagging.probability for tagging in taggings] == pytest.approx(
        shares.sort(descending=True).values[:6].tolist(), rel=1e-3
    )


def test_taggings_do_not_depend_on_the_other_sentences_and_stop_where_none_is_left(tagger: Run) -> None:
    alone = best(tagger, WORDS)[0]
    together = best(tagger, ("Monday",), WORDS, ("It", "rained", "all", "day", "in", "Oslo", "."), k=100)
    assert [tagging.tags for tagging in together[1][:6]] == [tagging.tags for tagging in alone]
    assert 2 <= len(together[0]) < 100
    assert sum(tagging.probability for tagging in together[0]) == pytest.approx(1, abs=1e-3)
