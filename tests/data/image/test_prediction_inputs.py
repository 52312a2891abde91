from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from normlab.data.image.prediction import read_images_for_prediction
from normlab.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)


def _csv(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows))
    return path


def _row(image: np.ndarray) -> str:
    return ",".join(map(str, image.ravel()))


def _read(path: Path, **options):
    return list(read_images_for_prediction(path, **{"size": 32, **options}))


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n  \n"])
def test_csv_rows_are_images_channel_first(tmp_path, end):
    path = tmp_path / "x.csv"
    path.write_bytes(("\r\n".join(map(_row, PIXELS)) + end).encode("utf-8-sig"))
    names, images = zip(*_read(path), strict=True)
    assert names == ("0", "1", "2")
    assert np.array_equal(np.stack(images), PIXELS)
    assert images[0].dtype == np.uint8


GOOD = _row(PIXELS[0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD.rpartition(",")[0], "3071 numbers, expected 3072"),
        (GOOD + ",1", "3073 numbers, expected 3072"),
        ("256" + GOOD[GOOD.index(",") :], "column 1 is '?256'?, expected an integer 0 to 255"),
        (GOOD[: GOOD.rindex(",")] + ",-1", "column 3072 is '?-1'?, expected an integer 0 to 255"),
        ("red" + GOOD[GOOD.index(",") :], "column 1 is 'red', expected an integer 0 to 255"),
        (GOOD[: GOOD.rindex(",")] + ",red", "column 3072 is 'red', expected an integer 0 to 255"),
        ("1.5" + GOOD[GOOD.index(",") :], "column 1 is '1.5', expected an integer 0 to 255"),
        ("9" * 40 + GOOD[GOOD.index(",") :], "column 1 is '?9{20}'?, expected an integer 0 to 255"),
        ("", "0 numbers, expected 3072"),
    ],
    ids=["short", "long", "256", "negative", "text", "late text", "fraction", "huge", "blank"],
)
def test_bad_row_is_named_by_file_and_row(tmp_path, bad, message):
    path = _csv(tmp_path / "x.csv", [GOOD, bad, GOOD])
    with pytest.raises(UserError, match=rf"x\.csv:2: {message}") as caught:
        _read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_empty_csv_is_refused(tmp_path, content):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=r"x\.csv: empty; expected one image a row, 3072 integers"):
        _read(path)


def test_csv_that_is_no_text_is_a_users_mistake(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"x\.csv:1: "):
        _read(path)


def test_csv_is_read_row_by_row(tmp_path):
    # The first image arrives although a later row is bad: nothing was read ahead.
    path = _csv(tmp_path / "x.csv", [GOOD, GOOD, "bad"])
    assert len(list(itertools.islice(read_images_for_prediction(path, size=32), 2))) == 2


def test_csv_is_resized_to_what_the_network_reads(tmp_path):
    flat = np.full((3, 32, 32), 77, dtype=np.uint8)
    ((_, image),) = _read(_csv(tmp_path / "x.csv", [_row(flat)]), size=20)
    assert image.shape == (3, 20, 20)
    assert np.all(image == 77)


def test_csv_of_grey_images_has_a_third_of_the_numbers(tmp_path):
    ((_, image),) = _read(_csv(tmp_path / "x.csv", [_row(PIXELS[0, :1])]), channels=1)
    assert np.array_equal(image, PIXELS[0, :1])


def _save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pytest.importorskip("PIL.Image").fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(path)
    return path


def test_one_image_file_is_one_image(tmp_path):
    ((name, image),) = _read(_save(tmp_path / "a.PNG", PIXELS[0]))
    assert name == "a.PNG"
    assert np.array_equal(image, PIXELS[0])


def test_folder_is_read_with_its_subfolders_in_sorted_order(tmp_path):
    for name, image in zip(["b/2.png", "a.png", "b/1.png"], PIXELS, strict=True):
        _save(tmp_path / "in" / name, image)
    names, images = zip(*_read(tmp_path / "in"), strict=True)
    assert names == ("a.png", "b/1.png", "b/2.png")
    assert np.array_equal(np.stack(images), PIXELS[[1, 2, 0]])


def test_images_of_a_folder_become_grey_on_request(tmp_path):
    _save(tmp_path / "in" / "a.png", PIXELS[0])
    ((_, image),) = _read(tmp_path / "in", channels=1)
    assert image.shape == (1, 32, 32)


def test_images_become_grey_or_another_size_on_request(tmp_path):
    ((_, image),) = _read(_save(tmp_path / "a.png", PIXELS[0]), channels=1, size=16)
    assert image.shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.csv", "no such file"), ("notes.doc", "neither a .csv"), ("empty", "no images in it")],
)
def test_other_paths_are_refused_at_the_call(tmp_path, name, message):
    (tmp_path / "notes.doc").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        read_images_for_prediction(tmp_path / name, size=32)
