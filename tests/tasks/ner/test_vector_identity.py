"""Which pretrained vectors a run saw: kept with it, and told apart by content and size, not by a file's name."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.data.text.glove import glove_fingerprint
from normlab.engine.api import load_run, train, train_folder
from normlab.engine.loop import Training
from normlab.errors import UserError
from normlab.report.build import render
from normlab.report.view import StudyView
from normlab.studies.study import Study
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.vectors import vector_fingerprints

GLOVE = "the 1 2\nParis 3 4\n"
SMALL = {"embeddings": "glove", "data": "generated", "layer_norm": "none", "hidden": 4, "epochs": 1, "threads": 1}


pytestmark = pytest.mark.usefixtures("own_cache")


def glove(folder: Path, name: str = "g.txt", text: str = GLOVE) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_packing_and_name_do_not_matter_but_content_and_dimension_do(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "other.gz", "wt") as file:
        file.write(GLOVE)
    with zipfile.ZipFile(tmp_path / "g.zip", "w") as archive:
        archive.writestr("glove.txt", GLOVE)
    files = [glove(tmp_path), str(tmp_path / "other.gz"), str(tmp_path / "g.zip")]
    same = {glove_fingerprint(path, cache_dir=tmp_path / "cache") for path in files}
    assert len(same) == 1
    assert same.pop().startswith("2d-")
    changed = [GLOVE.replace("4", "5"), GLOVE.replace("Paris", "paris"), "the 1 2 3\nParis 3 4 5\n"]
    found = {
        glove_fingerprint(glove(tmp_path, f"{number}.txt", text), cache_dir=tmp_path / "cache")
        for number, text in enumerate([GLOVE, *changed])
    }
    assert len(found) == 4


def test_random_vectors_have_no_fingerprint_and_made_up_ones_are_named() -> None:
    assert vector_fingerprints(NerConfig()) == {}
    assert vector_fingerprints(NerConfig(embeddings="glove", glove="generated")) == {"vectors": "50d-generated"}


def test_a_run_cannot_be_resumed_or_evaluated_with_other_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = glove(tmp_path)
    real = Training.train_steps

    def stopped(self: Training) -> object:
        if self.counters.epoch == 1:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Training, "train_steps", stopped)
    with pytest.raises(KeyboardInterrupt):
        train("ner", out=tmp_path / "run", glove=path, **{**SMALL, "epochs": 2})
    monkeypatch.undo()
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    glove(tmp_path, text=GLOVE.replace("4", "5"))
    run = load_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"trained on vectors 2d-.* but these are 2d-.*: give the same vectors"):
        train_folder(run.folder)
    with pytest.raises(UserError, match="trained on vectors"):
        run.evaluate("val", unfinished=True)
    glove(tmp_path)
    assert train_folder(run.folder)["fingerprints"]["vectors"].startswith("2d-")


def test_a_run_that_did_not_record_its_vectors_stays_usable(tmp_path: Path) -> None:
    run = train("ner", out=tmp_path / "run", glove=glove(tmp_path), **SMALL)
    card = run.folder.card()
    del card["fingerprints"]
    (run.path / "card.json").write_text(json.dumps(card))
    assert load_run(run.path).evaluate("val")["metrics"]


def test_a_study_of_mixed_vectors_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {key: value for key, value in SMALL.items() if key != "hidden"}
    (tmp_path / "small.yaml").write_text(
        "title: T\nquestion: Q?\ntask: ner\naxes: {hidden: [3, 4]}\n" + f"base: {json.dumps(settings)}\n"
    )
    command = ["study", "run", str(tmp_path / "small.yaml"), "--scale", "smoke", "--out", str(tmp_path / "study")]
    path = glove(tmp_path)
    assert main([*command, "--workers", "1", "--glove", path]) == 0
    assert "different vectors" not in capsys.readouterr().err
    (tmp_path / "study/cells/hidden-4_seed-0/result.json").unlink()
    for name in ("card.json", "metrics.jsonl", "checkpoints/last.safetensors"):
        (tmp_path / "study/cells/hidden-4_seed-0" / name).unlink()
    glove(tmp_path, text="the 7 8\n")
    assert main([*command, "--workers", "1", "--glove", path]) == 0
    assert "cells were trained with different vectors: 2d-" in capsys.readouterr().err
    assert "different vectors" in render([StudyView.read(Study.open(tmp_path / "study"))])
