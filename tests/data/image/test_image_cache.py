from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from normlab.data.image.cache import cached
from normlab.data.image.images import load_images
from normlab.data.image.source import Chunk, ImageSource
from normlab.errors import UserError


class _Counting:
    """A source of two small splits in three chunks, which counts how often it is decoded."""

    def __init__(self, key: int = 0, fail: bool = False) -> None:
        self.decoded = 0
        self.fail = fail
        self.source = ImageSource("test", "tiny", ("a", "b"), {"key": key}, self._chunks)

    def _chunks(self):
        self.decoded += 1
        images = np.arange(6 * 3 * 4 * 4, dtype=np.uint32).astype(np.uint8).reshape(6, 3, 4, 4)
        labels = np.array([0, 1, 0, 1, 0, 1], dtype=np.int64)
        yield Chunk("train", images[:3], labels[:3])
        yield Chunk("train", images[3:5], labels[3:5])
        if self.fail:
            raise UserError("broken in the middle")
        yield Chunk("test", images[5:], labels[5:])


def _entry(folder: Path) -> Path:
    (entry,) = (folder / "images").iterdir()
    return entry


def test_second_opening_does_not_decode_and_gives_the_same(own_cache):
    counting = _Counting()
    first, second = cached(counting.source), cached(counting.source)
    assert counting.decoded == 1
    assert first.fingerprint == second.fingerprint
    assert second.images["train"].shape == (5, 3, 4, 4)
    assert second.labels["test"].tolist() == [1]
    assert isinstance(second.images["train"], np.memmap)


def test_writing_to_the_arrays_does_not_reach_the_file(own_cache):
    counting = _Counting()
    before = cached(counting.source)
    before.images["train"][:] = 7
    assert cached(counting.source).images["train"][0, 0, 0, 1] == 1


@pytest.mark.parametrize("name", ["train_images.npy", "test_labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["truncate", "delete", "empty"])
def test_damaged_cache_is_noticed_and_rebuilt(own_cache, name, damage):
    counting = _Counting()
    whole = cached(counting.source)
    expected = np.array(whole.images["train"]), whole.fingerprint
    file = _entry(own_cache) / name
    if damage == "delete":
        file.unlink()
    else:
        os.truncate(file, 0 if damage == "empty" else file.stat().st_size - 3)
    again = cached(counting.source)
    assert counting.decoded == 2
    assert np.array_equal(again.images["train"], expected[0])
    assert again.fingerprint == expected[1]


def test_pickled_array_in_the_cache_is_not_loaded(own_cache):
    counting = _Counting()
    cached(counting.source)
    file = _entry(own_cache) / "test_labels.npy"
    np.save(file, np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    assert cached(counting.source).labels["test"].tolist() == [1]
    assert counting.decoded == 2


def test_failed_build_leaves_nothing(own_cache):
    with pytest.raises(UserError, match="broken in the middle"):
        cached(_Counting(fail=True).source)
    assert list((own_cache / "images").iterdir()) == []


def test_other_identity_is_another_entry(own_cache):
    one, two = _Counting(key=1), _Counting(key=2)
    cached(one.source)
    cached(two.source)
    assert two.decoded == 1
    assert len(list((own_cache / "images").iterdir())) == 2


def test_changed_source_file_is_decoded_again(tiny_cifar):
    folder = tiny_cifar.binary_folder()
    before = load_images(folder, sums={}).fingerprint
    batch = folder / "test_batch.bin"
    content = bytearray(batch.read_bytes())
    content[1] ^= 1
    batch.write_bytes(content)
    os.utime(batch, ns=(0, 1))
    assert load_images(folder, sums={}).fingerprint != before


def _build_in_step(barrier, results) -> None:
    counting = _Counting()

    def chunks():
        with contextlib.suppress(threading.BrokenBarrierError):  # a process that comes too late goes on alone
            barrier.wait(2)  # both processes have found no cache and are building
        yield from counting._chunks()

    source = ImageSource("test", "tiny", ("a", "b"), {"key": 0}, chunks)
    results.put(cached(source).fingerprint)


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.parametrize("damaged", [False, True])
def test_two_processes_at_once_both_succeed(own_cache, damaged):
    if damaged:
        cached(_Counting().source)
        (_entry(own_cache) / "meta.json").unlink()
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_build_in_step, args=(barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = {results.get(timeout=30) for _ in processes}
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert found == {cached(_Counting(key=9).source).fingerprint}
    assert len([entry for entry in (own_cache / "images").iterdir() if entry.name.startswith(".")]) == 0


def test_source_without_training_images_is_refused(own_cache):
    def chunks():
        yield Chunk("test", np.zeros((1, 3, 4, 4), np.uint8), np.zeros(1, np.int64))

    with pytest.raises(UserError, match="holds no training images"):
        cached(ImageSource("test", "tiny", ("a",), {}, chunks))


def test_wrong_sum_is_found_before_anything_is_decoded(own_cache):
    counting = _Counting()

    def verify():
        raise UserError("wrong sum")

    source = ImageSource("test", "tiny", ("a", "b"), {}, counting._chunks, verify)
    with pytest.raises(UserError, match="wrong sum"):
        cached(source)
    assert counting.decoded == 0


def test_a_cache_named_by_the_caller_that_cannot_be_written_is_an_error_with_its_place(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match=rf"{blocked}.*NORMLAB_CACHE"):
        cached(_Counting().source, blocked)


@pytest.mark.parametrize("name", ["train_images.npy", "test_labels.npy"])
def test_changed_byte_in_the_cache_is_noticed_and_rebuilt(own_cache, name):
    counting = _Counting()
    expected = cached(counting.source).fingerprint
    file = _entry(own_cache) / name
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)
    again = cached(counting.source)
    assert counting.decoded == 2
    assert again.fingerprint == expected
    assert again.labels["test"].tolist() == [1]


def test_other_content_of_the_same_size_and_time_is_decoded_again(tiny_cifar):
    batch = tiny_cifar.binary_folder() / "test_batch.bin"
    before = load_images(batch.parent, sums={}).fingerprint
    times = batch.stat()
    content = bytearray(batch.read_bytes())
    content[1] ^= 1
    batch.write_bytes(content)
    os.utime(batch, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert load_images(batch.parent, sums={}).fingerprint != before


def test_full_disk_names_the_cache(own_cache, monkeypatch):
    def full(self, rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("normlab.data.image.cache._NpyWriter.append", full)
    with pytest.raises(
        UserError, match=r"cannot fill the cache .*images/tiny-.* \(No space left on device\): make room"
    ):
        cached(_Counting().source)
    assert list((own_cache / "images").iterdir()) == []


def test_error_of_a_reader_does_not_blame_the_cache(own_cache):
    def chunks():
        raise OSError(5, "Input/output error")
        yield

    with pytest.raises(UserError, match=r"^tiny \(test\): cannot be read \(.*Input/output error\)"):
        cached(ImageSource("test", "tiny", ("a",), {}, chunks))


def test_long_or_strange_name_of_a_data_set_is_cached(own_cache):
    source = _Counting().source
    strange = ImageSource("test", "\u732b / " * 100, source.classes, source.identity, source.chunks)
    assert cached(strange).fingerprint == cached(source).fingerprint


def test_validation_split_is_cached_and_part_of_the_fingerprint(own_cache):
    def chunks():
        yield Chunk("train", np.zeros((2, 3, 4, 4), np.uint8), np.zeros(2, np.int64))
        yield Chunk("val", np.ones((1, 3, 4, 4), np.uint8), np.ones(1, np.int64))

    source = ImageSource("test", "tiny", ("a", "b"), {}, chunks)
    first, again = cached(source), cached(source)
    assert list(again.images) == ["train", "val"]
    assert again.labels["val"].tolist() == [1]
    assert again.fingerprint == first.fingerprint
