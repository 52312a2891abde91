from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from normlab.data import pixels
from normlab.data.images import load_images
from normlab.errors import UserError

Image = pytest.importorskip("PIL.Image")


def _save(path: Path, colour: int, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (colour, 0, 255) if mode == "RGB" else colour).save(path)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """<class>/*: 12 cats with colours 0 to 11, 6 ants with colours 100 to 105."""
    for number in range(12):
        _save(tmp_path / "pets" / "cat" / f"{number:02}.png", number)
    for number in range(6):
        _save(tmp_path / "pets" / "ant" / f"{number}.png", 100 + number)
    return tmp_path / "pets"


@pytest.fixture
def given(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for colour, name in enumerate(("zebra", "ant")):
            _save(tmp_path / "zoo" / split / name / "1.png", colour * 10)
    return tmp_path / "zoo"


def _colours(dataset, split: str) -> list[int]:
    return dataset.images[split][:, 0, 0, 0].tolist()


def test_train_and_test_folders_are_taken_as_they_are(given):
    dataset = load_images(given)
    assert dataset.name == "zoo"
    assert dataset.classes == ("ant", "zebra")
    for split in ("train", "test"):
        assert dataset.labels[split].tolist() == [0, 1]
        assert _colours(dataset, split) == [10, 0]
    assert dataset.images["train"].shape == (2, 3, 32, 32)


def test_without_test_folder_a_sixth_of_every_class_is_drawn(flat):
    dataset = load_images(flat)
    assert dataset.classes == ("ant", "cat")
    assert np.bincount(dataset.labels["test"]).tolist() == [1, 2]
    assert np.bincount(dataset.labels["train"]).tolist() == [5, 10]
    assert sorted(_colours(dataset, "train") + _colours(dataset, "test")) == [*range(12), *range(100, 106)]
    for split in ("train", "test"):
        assert [colour < 100 for colour in _colours(dataset, split)] == dataset.labels[split].astype(bool).tolist()


def test_drawn_split_is_a_function_of_the_seed(flat):
    assert load_images(flat, seed=1).fingerprint == load_images(flat, seed=1).fingerprint
    assert len({load_images(flat, seed=seed).fingerprint for seed in range(4)}) > 1


def test_any_size_and_mode_becomes_square_rgb(given):
    _save(given / "train" / "ant" / "1.png", 77, size=(50, 20), mode="L")
    dataset = load_images(given, size=24)
    assert dataset.images["train"].shape == (2, 3, 24, 24)
    assert np.all(dataset.images["train"][0] == 77)


def test_hidden_files_and_other_files_are_skipped(flat):
    before = load_images(flat).fingerprint
    (flat / "cat" / "notes.txt").write_text("not an image")
    (flat / "cat" / "._00.png").write_bytes(b"a Finder's shadow")
    (flat / ".thumbnails").mkdir()
    _save(flat / ".thumbnails" / "x.png", 1)
    assert load_images(flat).fingerprint == before


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff"])
def test_unreadable_image_is_named(flat, content):
    (flat / "cat" / "03.png").write_bytes(content)
    with pytest.raises(UserError, match=r"cat/03\.png: not a readable image"):
        load_images(flat)


def test_truncated_image_is_named(given):
    file = given / "test" / "ant" / "1.png"
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"test/ant/1\.png: not a readable image"):
        load_images(given)


def test_class_in_one_split_only_is_named(given):
    _save(given / "test" / "yak" / "1.png", 1)
    with pytest.raises(UserError, match="class 'yak' is in test/ only"):
        load_images(given)


def test_train_without_test_says_what_is_missing(given):
    (given / "test").rename(given / "val")
    with pytest.raises(UserError, match=r"no test/<class>/ with images"):
        load_images(given)


def test_class_of_one_image_cannot_be_split(flat):
    _save(flat / "owl" / "1.png", 1)
    with pytest.raises(UserError, match="owl: one image cannot be split"):
        load_images(flat)


def test_path_that_holds_nothing_lists_what_was_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"looked for cifar-10-batches-py.*parquet.*train/<class>"):
        load_images(tmp_path)


def test_missing_path_and_unknown_name_are_users_mistakes():
    with pytest.raises(UserError, match="cifar11: no such file or folder; give a path, or one of digits, cifar10"):
        load_images("cifar11")


def test_csv_for_training_says_what_it_is_for(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n")
    with pytest.raises(UserError, match="a CSV holds images without labels"):
        load_images(tmp_path / "x.csv")


def test_named_set_that_is_not_there_says_how_to_get_it():
    with pytest.raises(UserError, match=r"normlab data get cifar100"):
        load_images("cifar100")


def test_missing_extra_names_the_mend(flat, monkeypatch):
    def absent(name: str):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(pixels.importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"needs pillow, not installed: pip install 'normlab\[parquet\]'"):
        load_images(flat)


def test_every_message_is_one_line(flat):
    (flat / "cat" / "03.png").write_bytes(b"\x89PNG\nrubbish")
    with pytest.raises(UserError) as caught:
        load_images(flat)
    assert "\n" not in str(caught.value)
