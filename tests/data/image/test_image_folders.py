from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from normlab.data.image import pixels
from normlab.data.image.images import load_images
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
    assert load_images(flat).fingerprint == load_images(flat, seed=0).fingerprint
    assert load_images(flat, seed=1).fingerprint == load_images(flat, seed=1).fingerprint
    assert len({load_images(flat, seed=seed).fingerprint for seed in range(4)}) > 1


def test_any_size_and_mode_becomes_square_rgb(given):
    _save(given / "train" / "ant" / "1.png", 77, size=(50, 20), mode="L")
    dataset = load_images(given, size=24)
    assert dataset.images["train"].shape == (2, 3, 24, 24)
    assert np.all(dataset.images["train"][0] == 77)


def test_a_note_is_one_line_whatever_a_file_is_called(flat):
    (flat / "cat" / "a\nb.txt").touch()
    note = next(note for note in load_images(flat).notes if "left out" in note)
    assert note == r"left out 1 file: .txt 1 (cat/a\nb.txt)"


def test_hidden_files_and_other_files_are_skipped_and_counted(flat):
    before = load_images(flat).fingerprint
    (flat / "cat" / "notes.txt").write_text("not an image")
    (flat / "cat" / "._00.png").write_bytes(b"a Finder's shadow")
    (flat / ".thumbnails").mkdir()
    _save(flat / ".thumbnails" / "x.png", 1)
    dataset = load_images(flat)
    assert dataset.fingerprint == before
    assert "left out 3 files: hidden 2 (.thumbnails, cat/._00.png), .txt 1 (cat/notes.txt)" in dataset.notes


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


def test_plain_file_named_test_does_not_make_it_cifar(flat):
    before = load_images(flat).fingerprint
    (flat / "test").write_text("")
    assert load_images(flat).fingerprint == before


def test_class_absent_from_a_split_is_kept_and_told(given):
    _save(given / "test" / "yak" / "1.png", 1)
    _save(given / "train" / "bee" / "1.png", 2)
    dataset = load_images(given)
    assert dataset.classes == ("ant", "bee", "yak", "zebra")
    assert dataset.labels["train"].tolist() == [0, 1, 3]
    assert dataset.labels["test"].tolist() == [0, 2, 3]
    assert {"no train images of yak", "no test images of bee"} <= set(dataset.notes)


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev"])
def test_validation_folder_serves_as_validation(given, name):
    (given / "test").rename(given / name)
    dataset = load_images(given)
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {"train": 2, "val": 2}
    assert _colours(dataset, "val") == [10, 0]
    assert any(note.startswith(f"no test images: {name}/ is validation") for note in dataset.notes)
    assert (f"took {name}/ as val" in dataset.notes) == (name != "val")


def test_train_validation_and_test_folders_are_all_used(given):
    _save(given / "val" / "ant" / "1.png", 50)
    dataset = load_images(given)
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {"train": 2, "val": 1, "test": 2}
    assert _colours(dataset, "val") == [50]


def test_train_folder_alone_gives_a_sixth_for_testing(flat):
    moved = flat.parent / "alone"
    moved.mkdir()
    flat.rename(moved / "train")
    dataset = load_images(moved)
    assert np.bincount(dataset.labels["test"]).tolist() == [1, 2]
    assert any("a sixth of every class is drawn for testing" in note for note in dataset.notes)


def test_test_folder_without_train_says_what_is_missing(given):
    (given / "train").rename(given / "trian")
    with pytest.raises(UserError, match=r"zoo: holds test/<class>/ but no train/<class>/"):
        load_images(given)


def test_images_without_class_folders_are_refused_with_a_hint(tmp_path):
    for split in ("train", "test"):
        _save(tmp_path / "kaggle" / split / "0.png", 1)
    (tmp_path / "kaggle" / "trainLabels.csv").write_text("number,kind\n0,cat\n")  # no table of images
    with pytest.raises(UserError, match=r"no folder for each class.*trainLabels\.csv.*train/<class>/"):
        load_images(tmp_path / "kaggle")


def test_unlabelled_test_images_beside_labelled_ones_are_left_out_by_name(given):
    for file in sorted((given / "test").glob("*/*.png")):
        file.rename(given / "test" / f"{file.parent.name}.png")
    for colour in (20, 30):
        _save(given / "train" / "ant" / f"{colour}.png", colour)
        _save(given / "train" / "zebra" / f"{colour}.png", colour)
    dataset = load_images(given)
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {"train": 4, "test": 2}
    assert any("image in no class's folder 2 (test/ant.png, test/zebra.png)" in note for note in dataset.notes)


def test_lone_folder_of_an_unpacked_archive_is_named(flat, tmp_path):
    with pytest.raises(UserError, match=r"holds the one folder pets/ with the classes in it: give .*pets"):
        load_images(tmp_path)


def test_class_of_one_image_stays_in_training_and_is_told(flat):
    _save(flat / "owl" / "1.png", 1)
    dataset = load_images(flat)
    assert dataset.labels["train"].tolist().count(2) == 1
    assert "no test images of owl" in dataset.notes


def test_classes_of_one_image_each_cannot_be_split(tmp_path):
    for name in ("ant", "bee"):
        _save(tmp_path / "one" / name / "1.png", 1)
    with pytest.raises(UserError, match="one image in each class cannot be split"):
        load_images(tmp_path / "one")


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


def test_missing_extra_names_the_fix(flat, monkeypatch):
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


def test_all_unreadable_images_are_named_at_once(flat):
    (flat / "cat" / "03.png").write_bytes(b"")
    (flat / "ant" / "1.png").write_bytes(b"<!DOCTYPE html><html>404 not found</html>")
    with pytest.raises(UserError) as caught:
        load_images(flat)
    message = str(caught.value)
    assert message.startswith("2 images cannot be read: ")
    assert "ant/1.png: not a readable image (holds a web page (HTML))" in message
    assert "cat/03.png: not a readable image (holds nothing: it is empty)" in message
    assert "\n" not in message


def test_of_very_many_unreadable_images_the_first_are_named(flat):
    for number in range(25):
        (flat / "cat" / f"bad{number:02}.png").write_bytes(b"x")
    with pytest.raises(
        UserError,
        match=r"^25 images cannot be read: .*; and 5 more; replace or remove it, or leave it out with --skip-.*true$",
    ) as caught:
        load_images(flat)
    assert str(caught.value).count("not a readable image") == 20


def test_images_of_other_suffixes_are_found_by_content(flat):
    for name, form in (("photo", "JPEG"), ("IMG_1.HEIC", "JPEG"), ("x.jfif", "JPEG"), ("y.data", "PNG")):
        Image.new("RGB", (32, 32), (200, 0, 0)).save(flat / "cat" / name, form)
    dataset = load_images(flat)
    assert sum(len(labels) for labels in dataset.labels.values()) == 18 + 4


def test_images_that_cannot_be_decoded_here_are_left_out_by_name(flat):
    (flat / "cat" / "IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 600)
    dataset = load_images(flat)
    assert "left out 1 file: .heic 1 (cat/IMG_2.HEIC)" in dataset.notes


def test_links_pipes_and_folders_named_like_images_are_left_out_by_name(flat):
    (flat / "cat" / "gone.png").symlink_to(flat / "nowhere.png")
    (flat / "cat" / "empty.png").mkdir()
    os.mkfifo(flat / "cat" / "pipe.png")
    (flat / "bear").mkdir()
    (flat / "cat" / "more").symlink_to(flat / "ant")
    dataset = load_images(flat)
    assert dataset.classes == ("ant", "cat")
    (note,) = (note for note in dataset.notes if note.startswith("left out"))
    for part in (
        "dead link 1 (cat/gone.png)",
        "no regular file 1 (cat/pipe.png)",
        "folder without images 1 (bear)",
        "linked folder 1 (cat/more)",
    ):
        assert part in note


@pytest.mark.parametrize("name", ["cifar10", "CIFAR-10-small", "digits"])
def test_unidentified_folder_is_not_called_like_a_published_set(flat, name):
    dataset = load_images(flat.rename(flat.parent / name))
    assert dataset.name == f"{name} (unidentified)"


def test_notes_are_told_in_the_card(flat):
    from normlab.tasks.image.config import ImageConfig
    from normlab.tasks.image.data import prepare

    (flat / "cat" / "notes.txt").write_text("not an image")
    notes = prepare(ImageConfig(data=str(flat))).card["notes"]
    assert notes[0] == "pets: train 15, test 3 images; 2 classes, the folders' names"
    assert notes[-1] == "pets: left out 1 file: .txt 1 (cat/notes.txt)"


def test_given_validation_images_are_validated_on(given):
    from normlab.tasks.image.config import ImageConfig
    from normlab.tasks.image.data import prepare

    (given / "test").rename(given / "val")
    data = prepare(ImageConfig(data=str(given)))
    assert data.sizes == {"train": 2, "val": 2}
    assert data.rows["val"][0] == "val"
