"""Whatever stands in a file, a reader of images answers with a result or with one line that names the file."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_cifar_forms import TinyCifar

from normlab.data.image.cache import cached
from normlab.data.image.images import load_images
from normlab.data.image.pixels import decode_image
from normlab.data.image.prediction import read_unlabelled
from normlab.data.image.source import Chunk, ImageSource
from normlab.errors import UserError
from normlab.file_kind import kind_of

Image = pytest.importorskip("PIL.Image")
_SETTINGS = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

Damage = Callable[[bytes], bytes]


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Cut a file, change some of its bytes, or replace a stretch of it."""
    cut = draw(st.floats(0, 1))
    flips = draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8))
    stretch = draw(st.tuples(st.floats(0, 1), st.binary(max_size=40)))
    kind = draw(st.sampled_from(["cut", "flip", "stretch"]))

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        if kind == "cut":
            return bytes(changed[: int(cut * len(changed))])
        if kind == "flip":
            for place, value in flips:
                if changed:
                    changed[int(place * len(changed))] = value
            return bytes(changed)
        start = int(stretch[0] * len(changed))
        changed[start : start + len(stretch[1])] = stretch[1]
        return bytes(changed)

    return damage


def _answers(read: Callable[[], object], name: str) -> None:
    """Read; a mistake must be one line that names the file."""
    message = _mistake(read)
    assert "\n" not in message
    assert message == "" or name in message
    assert len(message) < 2000


def _mistake(read: Callable[[], object]) -> str:
    try:
        read()
    except UserError as error:
        return str(error)
    return ""


def _encoded(form: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if form in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    Image.fromarray(noise).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO"])
def test_any_damage_to_an_image_is_one_line(form: str) -> None:
    content = _encoded(form)

    @_SETTINGS
    @given(damages())
    def check(damage: Damage) -> None:
        _answers(lambda: decode_image(damage(content), "set/x.img", size=16), "set/x.img")

    check()


@_SETTINGS
@given(st.binary(max_size=2000))
def test_any_bytes_given_as_an_image_are_one_line(content: bytes) -> None:
    kind_of(content)
    _answers(lambda: decode_image(content, "set/x.img", size=16), "set/x.img")


@_SETTINGS
@given(damages())
def test_any_damage_to_a_parquet_file_is_one_line(tmp_path_factory: pytest.TempPathFactory, damage: Damage) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    test = TinyCifar(folder).parquet_folder("PNG") / "test-00000-of-00001.parquet"
    test.write_bytes(damage(test.read_bytes()))
    _answers(lambda: load_images(test.parent), "plain_text/t")


@_SETTINGS
@given(damages())
def test_any_damage_to_a_pickled_batch_is_one_line(tmp_path_factory: pytest.TempPathFactory, damage: Damage) -> None:
    folder = TinyCifar(tmp_path_factory.mktemp("damaged")).python_folder()
    batch = folder / "test_batch"
    batch.write_bytes(damage(batch.read_bytes()))
    _answers(lambda: load_images(folder, sums={}), "test_batch")


@_SETTINGS
@given(damages())
def test_any_damage_to_a_binary_batch_is_one_line(tmp_path_factory: pytest.TempPathFactory, damage: Damage) -> None:
    folder = TinyCifar(tmp_path_factory.mktemp("damaged")).binary_folder()
    batch = folder / "test_batch.bin"
    batch.write_bytes(damage(batch.read_bytes()))
    _answers(lambda: load_images(folder, sums={}), "test_batch.bin")


@_SETTINGS
@given(damages(), st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]))
def test_any_damage_to_an_archive_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, damage: Damage, mode: str
) -> None:
    cifar = TinyCifar(tmp_path_factory.mktemp("damaged"))
    folder = cifar.binary_folder()
    path = cifar.root / "archive.tar.gz"
    with tarfile.open(path, mode) as archive:
        archive.add(folder, folder.name)
    path.write_bytes(damage(path.read_bytes()))
    _answers(lambda: load_images(path, sums={}), "archive.tar.gz")


@_SETTINGS
@given(damages())
def test_any_damage_to_a_folder_of_images_is_one_line(tmp_path_factory: pytest.TempPathFactory, damage: Damage) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    for name in ("ant", "bee"):
        (folder / name).mkdir()
        for number in range(2):
            (folder / name / f"{number}.jpg").write_bytes(_encoded("JPEG"))
    broken = folder / "bee" / "1.jpg"
    broken.write_bytes(damage(broken.read_bytes()))
    _answers(lambda: load_images(folder), "bee/1.jpg")


@_SETTINGS
@given(damages())
def test_any_damage_to_a_csv_of_pixels_is_one_line(tmp_path_factory: pytest.TempPathFactory, damage: Damage) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.csv"
    path.write_bytes(damage("\n".join([",".join(["17"] * 3072)] * 2).encode()))
    _answers(lambda: list(read_unlabelled(path, size=32)), "x.csv")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@_SETTINGS
@given(meta=_VALUES | st.fixed_dictionaries({"bytes": _VALUES, "counts": _VALUES, "fingerprint": _VALUES}))
def test_any_content_of_the_caches_own_file_leads_to_a_rebuild(
    tmp_path_factory: pytest.TempPathFactory, meta: object
) -> None:
    def chunks() -> Iterator[Chunk]:
        yield Chunk("train", np.zeros((2, 3, 4, 4), np.uint8), np.array([0, 1]))

    source = ImageSource("test", "tiny", ("a", "b"), {}, chunks)
    root = tmp_path_factory.mktemp("cache")
    expected = cached(source, root).fingerprint
    (entry,) = (root / "images").iterdir()
    (entry / "meta.json").write_text(json.dumps(meta))
    again = cached(source, root)
    assert again.fingerprint == expected
    assert again.labels["train"].tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3072), (4, 3071), (2, 2, 768)])
def test_pickled_array_of_any_shape_is_one_line(tiny_cifar: TinyCifar, shape: tuple[int, ...]) -> None:
    folder = tiny_cifar.python_folder()
    pixels = np.zeros(shape, np.uint8)
    batch = {b"data": pixels, b"labels": [0] * (shape[0] if shape else 1)}
    (folder / "test_batch").write_bytes(pickle.dumps(batch, protocol=4))
    _answers(lambda: load_images(folder, sums={}), "test_batch")


def test_metadata_of_any_kind_is_survived(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    odd = ["", "[", "[]", "null", '{"info": 3}', '{"info": {"features": {"label": {"names": "cat"}}}}', "[" * 100_000]
    odd.append('{"info": {"features": {"label": {"names": ["a", "a"]}}}}')
    for number, text in enumerate(odd):
        folder = tmp_path / str(number)
        folder.mkdir()
        for split in ("train", "test"):
            table = arrow.table({"img": [_encoded("PNG")] * 2, "label": [0, 1]})
            parquet.write_table(table.replace_schema_metadata({"huggingface": text}), folder / f"{split}.parquet")
        assert load_images(folder).classes == ("0", "1"), text[:20]
    assert len(list(tmp_path.glob("*/train.parquet"))) == 8
