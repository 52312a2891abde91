"""The tagger: a sentence is computed as if it were alone, and a spelling as if every word were read by itself."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.data.tagging.scheme import first_illegal
from normlab.data.tagging.sentences import Sentence
from normlab.data.text.glove import WordVectors
from normlab.engine.rng import initialise
from normlab.tasks.base import Placement
from normlab.tasks.ner.config import SETTINGS, NerConfig
from normlab.tasks.ner.data import NerData, prepare, training_batches
from normlab.tasks.ner.encoding import Lexicon
from normlab.tasks.ner.model import Tagger, WordEmbedding
from normlab.tasks.ner.task import TASK

CPU = Placement(torch.device("cpu"))
SMALL = {"hidden": 6, "char_hidden": 3, "char_dim": 4, "embedding_dim": 5, "threads": 1}


@cache
def config(**changes: object) -> NerConfig:
    made = SETTINGS.make("smoke", {**SMALL, **changes}, "test")
    assert isinstance(made, NerConfig)
    return made


@cache
def data() -> NerData:
    return prepare(config())


@cache
def tagger(**changes: object) -> Tagger:
    model = TASK.build(config(**changes), data().card)
    initialise(model, 0)
    return model.double().eval()


def sentence_loss(model: Tagger, rows: list[int], which: int) -> torch.Tensor:
    batch = data().splits["train"].batch(np.array(rows), characters=model.characters is not None)
    assert batch.tags is not None
    return model.losses(model(batch), batch.tags, batch.mask)[which]


@pytest.mark.parametrize("crf", [True, False], ids=["crf", "linear"])
@pytest.mark.parametrize("layer_norm", ["none", "words", "characters", "both"])
@given(mates=st.lists(st.integers(1, 700), max_size=5), place=st.integers(0, 5))
@settings(max_examples=8, deadline=None)
def test_loss_gradient_and_prediction_do_not_depend_on_batch_mates(
    crf: bool, layer_norm: str, mates: list[int], place: int
) -> None:
    model = tagger(crf=crf, layer_norm=layer_norm)
    rows = list(mates)
    which = min(place, len(rows))
    rows.insert(which, 0)
    alone, together = sentence_loss(model, [0], 0), sentence_loss(model, rows, which)
    parameters = list(model.parameters())
    assert len(parameters) > 5
    gradients = [torch.autograd.grad(loss, parameters) for loss in (alone, together)]
    assert torch.allclose(alone, together, rtol=1e-10)
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-9)
    batches = [data().splits["train"].batch(np.array(chosen)) for chosen in ([0], rows)]
    tags = [model.decode(model(batch), batch.mask) for batch in batches]
    length = tags[0].shape[1]
    assert torch.equal(tags[0][0], tags[1][which, :length])


def test_output_dropout_silences_half_of_what_the_tags_read_and_in_evaluation_nothing() -> None:
    plain, dropped = tagger(dropout=0.0), tagger(dropout=0.0, output_dropout=0.5)
    batch = data().splits["train"].batch(np.arange(40))
    assert torch.equal(plain(batch), dropped(batch))
    seen: list[torch.Tensor] = []
    handle = dropped.linear.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    dropped.train()(batch)
    handle.remove()
    dropped.eval()
    assert float((seen[0][batch.mask] == 0).double().mean()) == pytest.approx(0.5, abs=0.05)


def test_without_output_dropout_nothing_is_drawn_for_it() -> None:
    model = tagger(dropout=0.0)
    before = torch.get_rng_state()
    model.train()(data().splits["train"].batch(np.arange(8)))
    model.eval()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_spelling_read_once_equals_every_word_read_by_itself() -> None:
    model = tagger(layer_norm="both")
    batch = data().splits["train"].batch(np.arange(40))
    assert batch.characters is not None
    assert batch.character_lengths is not None
    assert batch.spelling is not None
    assert len(batch.characters) < int(batch.mask.sum()) / 2
    per_word = batch.spelling[batch.mask]
    shared = model.characters(batch.characters, batch.character_lengths)[per_word]  # type: ignore[misc]
    for word in range(0, len(per_word), 25):
        length = batch.character_lengths[per_word[word]]
        alone = model.characters(batch.characters[per_word[word], :length][None], length[None])  # type: ignore[misc]
        assert torch.allclose(shared[word], alone[0], atol=1e-12)


def test_a_constrained_crf_never_predicts_an_illegal_sequence() -> None:
    batch = data().splits["train"].batch(np.arange(100))
    names = data().card["classes"]

    def illegal(model: Tagger) -> int:
        tags = model.decode(20 * model(batch), batch.mask).tolist()
        found = ([names[tag] for tag in row[:n]] for row, n in zip(tags, batch.lengths.tolist(), strict=True))
        return sum(first_illegal(sentence, "bio") is not None for sentence in found)

    assert illegal(tagger(constraints=True)) == 0
    assert illegal(tagger(constraints=False)) > 0


def test_probabilities_are_distributions_and_the_crfs_are_its_marginals() -> None:
    batch = data().splits["train"].batch(np.arange(10))
    for crf in (True, False):
        model = tagger(crf=crf)
        emissions = model(batch)
        shares = model.probabilities(emissions, batch.mask)[batch.mask]
        assert len(shares) == batch.lengths.sum() > 0
        assert torch.allclose(shares.sum(-1), torch.ones(len(shares), dtype=shares.dtype), atol=1e-6)
        if model.crf is not None:  # themselves held against enumeration in tests/nn/test_crf.py
            assert torch.allclose(shares, model.crf.marginals(emissions, batch.mask)[batch.mask])


@pytest.mark.parametrize("crf", [True, False], ids=["crf", "linear"])
def test_a_spans_probability_is_that_of_its_tags_and_of_its_end(crf: bool) -> None:
    """Against the sum over all tag sequences of a short sentence."""
    model, names = tagger(crf=crf), data().card["classes"]
    card, words = data().card, ("Anna", "Berg", "left")
    record = next(iter(TASK.predict(model, [words], config(crf=crf), card, CPU)))
    batch = Lexicon(card, lowercase=True).encode([Sentence(words, None, words, 1, 1)]).batch(np.array([0]))
    emissions = model(batch).detach().float()
    paths = torch.tensor(list(itertools.product(range(len(names)), repeat=3)))
    log_p = -model.losses(emissions.expand(len(paths), -1, -1), paths, torch.ones(len(paths), 3, dtype=torch.bool))
    assert record["spans"]
    for span in record["spans"]:
        agrees = torch.ones(len(paths), dtype=torch.bool)
        for place in range(span["start"], span["end"]):
            agrees &= paths[:, place] == names.index(record["tags"][place])
        if span["end"] < 3:
            agrees &= paths[:, span["end"]] != names.index(f"I-{span['type']}")
        assert span["probability"] == pytest.approx(log_p.detach()[agrees].exp().sum().item(), abs=1e-5)


def test_rows_that_training_never_meets_may_be_left_out_of_adam() -> None:
    """Fixed rows give the same numbers as a table in which every pretrained word is a parameter."""
    table = torch.randn(12, 3, generator=torch.Generator().manual_seed(1)).numpy()
    pretrained = WordVectors(table, np.ones(12, dtype=bool))

    def trained(rows: int) -> torch.Tensor:
        embedding = WordEmbedding(rows, 12 - rows, 3, lambda: pretrained)
        initialise(embedding, 0)
        optimizer = torch.optim.Adam(embedding.parameters(), 0.1)
        for step in range(4):
            optimizer.zero_grad()
            (embedding(torch.tensor([[2, 3, 4 + step % 3]])) ** 2).sum().backward()
            optimizer.step()
        return embedding(torch.arange(12)[None])[0].detach()

    assert torch.equal(trained(12), trained(7))


def test_a_trained_model_is_built_without_its_glove_file() -> None:
    made = config(glove="/nowhere/glove.txt")
    model = TASK.build(made, data().card)
    model.load_state_dict(tagger().float().state_dict())
    tagger().double()


def test_frozen_vectors_do_not_train_and_others_do() -> None:
    frozen = TASK.build(config(freeze_embeddings=True), data().card)
    assert not frozen.words.weight.requires_grad
    assert TASK.build(config(), data().card).words.weight.requires_grad


def test_each_part_is_there_only_if_asked_for() -> None:
    bare = TASK.build(config(characters=False, layer_norm="none", crf=False), data().card)
    assert bare.characters is None
    assert bare.crf is None
    assert not bare.lstm.layer_norm
    full = TASK.build(config(layer_norm="both"), data().card)
    assert full.lstm.layer_norm
    assert full.characters is not None
    assert full.characters.lstm.layer_norm


def test_an_epoch_of_steps_lowers_the_loss() -> None:
    made = config(lr=0.01, hidden=12)
    model = TASK.build(made, data().card)
    initialise(model, 0)
    optimizer = torch.optim.Adam(model.parameters(), made.lr)
    losses = []
    for batch in training_batches(made, data(), 0, CPU):
        output = TASK.loss(model, batch, made)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(output.loss.item())
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
