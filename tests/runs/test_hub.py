"""`hf:OWNER/NAME`: fetched by huggingface_hub, of which a stub stands here; no test asks the network."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from normlab.engine.api import load_run
from normlab.errors import UserError
from normlab.runs.published import MODEL, find_model, published_models


class StubHub:
    """snapshot_download with one repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str | None, list[str]]] = []

    def snapshot_download(self, repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        self.asked.append((repo, revision, allow_patterns))
        if repo != "someone/tagger":
            raise ConnectionError("404: no such repository\nRequest ID: 17")
        return str(self.folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> StubHub:
    [tagger] = [model for model in published_models() if model.name == "gmb-tagger"]
    stub = StubHub(tagger.path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=stub.snapshot_download))  # type: ignore[arg-type]
    return stub


def test_a_name_of_the_hub_is_a_model(hub: StubHub) -> None:
    assert load_run("hf:someone/tagger").task.name == "ner"
    assert find_model(Path("hf:someone/tagger@v1.0")) == hub.folder / MODEL
    assert [(repo, revision) for repo, revision, _ in hub.asked] == [
        ("someone/tagger", None),
        ("someone/tagger", "v1.0"),
    ]
    assert "calibration.json" in hub.asked[0][2]


def test_a_path_wins_over_the_hub(hub: StubHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hf:someone").mkdir()
    Path("hf:someone/tagger").symlink_to(hub.folder)
    assert find_model("hf:someone/tagger") == Path("hf:someone/tagger") / MODEL
    assert not hub.asked


@pytest.mark.usefixtures("hub")
def test_what_cannot_be_fetched_is_one_line() -> None:
    with pytest.raises(UserError, match=r"hf:someone/else: cannot be fetched \(404: no such repository\): check"):
        load_run("hf:someone/else")


def test_a_repository_without_a_model_is_refused(hub: StubHub, tmp_path: Path) -> None:
    hub.folder = tmp_path
    with pytest.raises(UserError, match=rf"holds no {MODEL}"):
        load_run("hf:someone/tagger")


@pytest.mark.parametrize("name", ["hf:", "hf:tagger", "hf:a/b/c", "hf:a/b@", "hf:../x y"])
def test_what_is_no_name_of_the_hub_is_refused_before_it_is_asked(hub: StubHub, name: str) -> None:
    with pytest.raises(UserError, match="write hf:OWNER/NAME"):
        load_run(name)
    assert not hub.asked


def test_without_the_package_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    none: Any = None
    monkeypatch.setitem(sys.modules, "huggingface_hub", none)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        load_run("hf:someone/tagger")
