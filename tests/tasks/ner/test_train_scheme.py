"""A model that spells entities in another scheme than its files: what goes in comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.cli import main
from normlab.config import config_hash
from normlab.data.tagging.scheme import Span, all_tags, convert, first_illegal, is_well_formed, spell
from normlab.data.tagging.sentences import Sentence
from normlab.engine.api import load_run
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import prepare
from normlab.tasks.ner.encoding import Lexicon
from normlab.tasks.ner.evaluation import as_in_files
from normlab.tasks.ner.generated import generated_sentences

SCHEMES = ("bio", "iob1", "bioes")


@st.composite
def entities(draw: st.DrawFn) -> tuple[int, list[Span]]:
    """Draw a sentence's length and entities in it, some of them touching."""
    found: list[Span] = []
    place = 0
    for gap, size, kind in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from("ab")))):
        found.append(Span(place + gap, place + gap + size, kind))
        place += gap + size
    return place + draw(st.integers(0, 2)), found


@given(drawn=entities(), own=st.sampled_from(SCHEMES), files=st.sampled_from(SCHEMES))
@settings(max_examples=300, deadline=None)
def test_there_and_back_through_a_card_is_the_identity(drawn: tuple[int, list[Span]], own: str, files: str) -> None:
    length, found = drawn
    tags = spell(found, length, files)  # type: ignore[arg-type]
    card = {"words": [], "characters": [], "classes": all_tags("ab", own), "scheme": own}  # type: ignore[arg-type]
    card |= {"file_classes": all_tags("ab", files), "file_scheme": files}  # type: ignore[arg-type]
    trained = convert(tags, own)  # type: ignore[arg-type]
    assert first_illegal(trained, own) is None  # type: ignore[arg-type]
    assert Lexicon(card, lowercase=True).respell(trained) == tags
    numbers = np.array([card["classes"].index(tag) for tag in trained], dtype=np.int64)
    back = as_in_files(numbers, np.array([0, length]), card)
    assert [card["file_classes"][tag] for tag in back] == tags


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_tags_are_well_formed_and_distinct(scheme: str) -> None:
    tags = all_tags(["geo", "per"], scheme)  # type: ignore[arg-type]
    assert tags[0] == "O"
    assert len(set(tags)) == len(tags) == (9 if scheme == "bioes" else 5)
    assert all(is_well_formed(tag, scheme) for tag in tags)  # type: ignore[arg-type]


def corpus(folder: Path, scheme: str) -> Path:
    def lines(sentence: Sentence) -> str:
        tags = convert(sentence.tags or (), scheme)  # type: ignore[arg-type]
        return "".join(f"{word} {tag}\n" for word, tag in zip(sentence.words, tags, strict=True))

    for split, name in (("train", "train"), ("val", "dev")):
        chosen = list(generated_sentences(split))[:200]
        (folder / f"{name}.txt").write_text("\n".join(map(lines, chosen)))
    return folder


@pytest.mark.parametrize(("files", "own"), [("bio", "bioes"), ("bioes", "iob1"), ("iob1", "bio")])
def test_a_run_scores_and_predicts_as_its_files_spell(files: str, own: str, tmp_path: Path) -> None:
    data, out = corpus(tmp_path, files), tmp_path / "run"
    flags = ["--scheme", files, "--train-scheme", own, "--embeddings", "random", "--layer-norm", "none"]
    flags += ["--epochs", "3", "--hidden", "12", "--threads", "1", "--json"]
    assert main(["train", "ner", "--scale", "smoke", "--data", str(data), "--out", str(out), *flags]) == 0
    run = load_run(out)
    card, result = run.folder.card(), json.loads((out / "result.json").read_text())
    assert (card["scheme"], card["file_scheme"]) == (own, files)
    assert len(result["tables"]["val"]["confusion"]) == len(card["file_classes"])
    assert result["metrics"]["val/entity_f1"] == pytest.approx(result["metrics"]["val/strict_f1"])
    assert result["metrics"]["val/entity_f1"] > 0.2
    assert run.evaluate("val")["metrics"]["val/micro_f1"] == pytest.approx(result["metrics"]["val/micro_f1"])
    run.predict_to(data / "dev.txt", tmp_path / "out.txt")
    tags = [line.split()[-1] for line in (tmp_path / "out.txt").read_text().splitlines() if line.strip()]
    assert all(is_well_formed(tag, files) for tag in tags)  # type: ignore[arg-type]
    assert len(set(tags)) > 3


def test_the_preset_conll_learns_bioes_and_answers_as_the_files_spell(tmp_path: Path) -> None:
    data, out = corpus(tmp_path, "iob1"), tmp_path / "run"
    flags = ["--scheme", "iob1", "--embeddings", "random", "--epochs", "2", "--hidden", "12", "--threads", "1"]
    assert main(["train", "ner", "--preset", "conll", "--data", str(data), "--out", str(out), *flags]) == 0
    run = load_run(out)
    card = run.folder.card()
    assert (card["scheme"], card["file_scheme"]) == ("bioes", "iob1")
    assert (run.config.schedule, run.config.average, run.config.hidden) == ("cosine", "ema", 12)


def test_the_files_own_scheme_named_outright_changes_nothing_in_the_card() -> None:
    plain, named = (prepare(NerConfig(data="generated", train_scheme=scheme)) for scheme in ("file", "bio"))
    assert plain.card == named.card
    assert plain.fingerprint == prepare(NerConfig(data="generated", train_scheme="bioes")).fingerprint


def test_fields_that_came_later_leave_the_hash_of_older_runs_alone() -> None:
    plain = NerConfig()
    assert config_hash(plain) == config_hash(NerConfig(train_scheme="file", embedding_updates="dense"))
    others = {config_hash(c) for c in (NerConfig(train_scheme="bioes"), NerConfig(embedding_updates="lazy"), plain)}
    assert len(others) == 3
