"""Splits, vocabularies and batches of the tagging task."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from normlab.data.text.vocabulary import UNKNOWN
from normlab.errors import UserError
from normlab.tasks.base import Placement
from normlab.tasks.ner.config import SETTINGS, NerConfig
from normlab.tasks.ner.data import drawn_cases, prepare, steps_per_epoch, training_batches

CPU = Placement(torch.device("cpu"))
GLOVE = "the 1 2\nparis 3 4\nlima 5 6\nzebra 7 8\n"


def corpus(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        lines = ("".join(f"{pair.replace('/', ' ')}\n" for pair in line.split()) for line in text.strip().splitlines())
        (folder / f"{name}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    train = "Anna/B-per saw/O Paris/B-geo\nthe/O Lima/B-geo the/O\nOslo/B-geo\n"
    (tmp_path / "glove.2d.txt").write_text(GLOVE)
    return corpus(tmp_path, train=train * 5 + "Rio/B-geo", dev="Rome/B-geo the/O\nLima/B-geo\n")


def test_validation_is_the_dev_file_and_there_is_no_test_split_without_a_test_file(folder: Path) -> None:
    data = prepare(NerConfig(data=str(folder)))
    assert data.sizes == {"train": 16, "val": 2}
    corpus(folder, test="the/O")
    assert prepare(NerConfig(data=str(folder))).sizes == {"train": 16, "val": 2, "test": 1}


def test_without_a_dev_file_validation_is_cut_from_training_by_the_seed(folder: Path) -> None:
    first, again, other = (
        prepare(NerConfig(data=str(folder / "train.txt"), validation=0.25, seed=seed)) for seed in (0, 0, 1)
    )
    assert first.sizes == {"train": 12, "val": 4}
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_tag_may_stand_only_in_what_is_held_out(tmp_path: Path) -> None:
    rare = "".join(f"x{number}/B-t{number}\n" for number in range(8))  # half of them are held out
    corpus(tmp_path, train=rare)
    data = prepare(NerConfig(data=str(tmp_path / "train.txt"), validation=0.5))
    assert data.sizes == {"train": 4, "val": 4}
    assert len(data.card["classes"]) == 8


def test_o_is_tag_0_and_tags_of_a_type_stand_together(folder: Path) -> None:
    assert prepare(NerConfig(data=str(folder))).card["classes"] == ["O", "B-geo", "B-per"]


def test_words_of_the_glove_file_beyond_training_are_known_but_not_trained(folder: Path) -> None:
    data = prepare(NerConfig(data=str(folder), embeddings="glove"))
    words = data.card["words"]
    assert data.card["embedding_dim"] == 2
    assert words[-1] == "zebra"
    assert data.card["trained_words"] == 2 + len(words) - 1
    assert "zebra" not in prepare(NerConfig(data=str(folder), embeddings="glove", vocabulary="train")).card["words"]


def test_only_rare_words_are_shown_as_unknown_and_as_often_as_asked(folder: Path) -> None:
    data = prepare(NerConfig(data=str(folder)))
    assert [data.card["words"][row - 2] for row in np.flatnonzero(data.rare)] == ["rio"]
    shown = 0
    for epoch in range(200):
        for batch in training_batches(NerConfig(data=str(folder)), data, epoch, CPU):
            shown += int((batch.words == UNKNOWN).sum())
    assert 70 < shown < 130


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_every_sentence_is_seen_once_an_epoch(batch_size: int) -> None:
    config = NerConfig(data="generated", batch_size=batch_size, unknown_rate=0)
    data = prepare(config)
    batches = list(training_batches(config, data, 2, CPU))
    assert len(batches) == steps_per_epoch(config, data)
    assert sum(len(batch.lengths) for batch in batches) == data.sizes["train"]
    seen = torch.cat([batch.words[batch.mask] for batch in batches])
    assert torch.equal(seen.bincount(), torch.from_numpy(data.splits["train"].words).bincount())


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    config = NerConfig(data="generated")
    data = prepare(config)
    first, again, later = (next(training_batches(config, data, epoch, CPU)) for epoch in (3, 3, 4))
    assert torch.equal(first.words, again.words)
    assert first.words.shape != later.words.shape or not torch.equal(first.words, later.words)


def test_a_subset_is_drawn_by_seed_and_keeps_tags_and_validation() -> None:
    whole, small = (prepare(NerConfig(data="generated", limit_train=limit)) for limit in (None, 5))
    assert small.sizes["train"] == 5
    assert small.card["classes"] == whole.card["classes"]
    assert len(small.card["words"]) < len(whole.card["words"])


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"data": ""}, "no data named"),
        ({"data": "/nowhere"}, "/nowhere: no such file or folder"),
        ({"embeddings": "glove", "glove": "/nowhere.txt"}, "no such GloVe file"),
        ({"validation": 0.001}, "validation: 0.001 of 16 sentences is none"),
    ],
)
def test_a_mistake_is_named(folder: Path, changes: dict[str, str], hint: str) -> None:
    data = str(folder / "train.txt") if "validation" in changes else str(folder)
    with pytest.raises(UserError, match=hint):
        prepare(NerConfig(**{"data": data, **changes}))  # type: ignore[arg-type]


def test_a_tag_that_training_never_showed_is_told_and_counts_as_an_error(folder: Path) -> None:
    corpus(folder, dev="the/O\nLima/B-gep")
    config = NerConfig(data=str(folder))
    data = prepare(config)
    assert any(
        note.startswith("dev.txt: 1 word has a tag that training never shows (B-gep 1): each counts as an error")
        and note.endswith("is 'B-gep' a misspelt 'B-geo'?")
        for note in data.card["notes"]
    )
    assert data.card["classes"][-1] == "B-gep"
    tags = data.splits["train"].tags
    assert tags is not None
    assert data.card["classes"].index("B-gep") not in tags.tolist()


def test_sentences_are_shown_in_other_letters_as_often_as_asked_for(folder: Path) -> None:
    config = NerConfig(data=str(folder), case_augment=0.5, batch_size=4)
    data, plain = prepare(config), prepare(NerConfig(data=str(folder), batch_size=4))
    assert plain.cased is None
    assert data.cased is not None
    count = data.sizes["train"]
    assert len(data.cased) == 3 * count
    words = [data.cased.spellings[number] for number in data.cased.spelling]
    third = len(words) // 3
    assert words[third : 2 * third] == [word.lower() for word in words[:third]]
    assert words[2 * third :] == [word.upper() for word in words[:third]]
    drawn = np.concatenate([drawn_cases(1000, config, epoch) for epoch in range(20)])
    assert np.bincount(drawn) / len(drawn) == pytest.approx([0.5, 0.25, 0.25], abs=0.02)
    assert not np.array_equal(drawn[:1000], drawn[1000:2000])
    placement = Placement(torch.device("cpu"))
    batches = list(training_batches(config, data, 0, placement))
    assert sum(len(batch.lengths) for batch in batches) == count
    unchanged = list(training_batches(config.with_values("x", case_augment=0.0), plain, 0, placement))
    assert [batch.tags.tolist() for batch in batches] == [batch.tags.tolist() for batch in unchanged]


def test_several_glove_files_must_be_chosen_from(folder: Path) -> None:
    (folder / "glove.other.txt").write_text(GLOVE)
    with pytest.raises(UserError, match="holds 2 GloVe files"):
        prepare(NerConfig(data=str(folder), embeddings="glove"))


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UserError, match="no character LSTM to normalise"):
        NerConfig.parse({"characters": False, "layer_norm": "both"}, "test")
    with pytest.raises(UserError, match="no vector unless embeddings are glove"):
        NerConfig.parse({"vocabulary": "glove"}, "test")


@pytest.fixture
def skewed(tmp_path: Path) -> Path:
    """One entity of 121 is an `art`: below 1 %; two are `per`: above."""
    train = "Lima/B-geo is/O\n" * 118 + "Guernica/B-art in/O Oslo/B-geo\n" + "Anna/B-per\n" * 2
    return corpus(tmp_path, train=train, dev="Rome/B-geo the/O\n")


def shown_by_length(config: NerConfig, processes: int = 1) -> list[int]:
    """Return how many sentences of one, two and three words an epoch shows to all processes together."""
    data = prepare(config)
    places = (Placement(CPU.device, rank=rank, processes=processes) for rank in range(processes))
    batches = (batch for place in places for batch in training_batches(config, data, 0, place))
    counts = Counter(length for batch in batches for length in batch.lengths.tolist())
    return [counts[length] for length in (1, 2, 3)]


def test_a_sentence_with_a_rare_type_is_shown_as_often_as_asked_for(skewed: Path) -> None:
    config = NerConfig(data=str(skewed), batch_size=8, repeat_rare=5)
    assert shown_by_length(config) == [2, 118, 5]
    assert shown_by_length(config, processes=2) == [2, 118, 5]
    assert shown_by_length(config.with_values("test", repeat_rare=1)) == [2, 118, 1]
    batches = list(training_batches(config, prepare(config), 0, CPU))
    assert len(batches) == steps_per_epoch(config, prepare(config)) == 16


def test_repeats_that_leave_a_last_batch_too_small_to_share_are_refused(skewed: Path) -> None:
    config = NerConfig(data=str(skewed), batch_size=31, repeat_rare=5)  # 125 = 4 * 31 + 1
    with pytest.raises(UserError, match="125 sentences in batches of 31 leave a last batch smaller than the 2"):
        next(training_batches(config, prepare(config), 0, Placement(CPU.device, processes=2)))


def test_repeats_change_no_words_and_no_size(skewed: Path) -> None:
    once, often = (prepare(NerConfig(data=str(skewed), repeat_rare=times)) for times in (1, 5))
    assert once.card == often.card
    assert once.sizes == often.sizes
    assert once.fingerprint == often.fingerprint
    assert np.array_equal(once.rare, often.rare)


def test_the_best_preset_is_the_published_protocol_but_for_what_its_page_names() -> None:
    full, best = (SETTINGS.make(name, {}, "test").model_dump() for name in ("full", "best"))
    changed = {name for name in full if full[name] != best[name]}
    assert changed == {"hidden", "output_dropout", "average", "schedule", "lr", "epochs", "patience"}
