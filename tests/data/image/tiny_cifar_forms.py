"""A tiny CIFAR in every published form, with the same pixels and labels in each."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = [*(("train", f"data_batch_{number}") for number in range(1, 6)), ("test", "test_batch")]


class TinyCifar:
    """Four images a batch; `pixels[batch]` is uint8 (4, 3072), `labels[batch]` a list."""

    def __init__(self, root: Path) -> None:
        self.root = root
        draw = np.random.default_rng(0)
        self.pixels = {name: draw.integers(0, 256, (4, 3072), dtype=np.uint8) for _, name in BATCHES}
        self.labels = {name: draw.integers(0, 10, 4).tolist() for _, name in BATCHES}

    def images(self, split: str) -> np.ndarray:
        return np.concatenate([self.pixels[name] for s, name in BATCHES if s == split]).reshape(-1, 3, 32, 32)

    def all_labels(self, split: str) -> list[int]:
        return [label for s, name in BATCHES if s == split for label in self.labels[name]]

    def python_folder(self) -> Path:
        folder = self.root / "python" / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        for _, name in BATCHES:
            (folder / name).write_bytes(python2_pickle(self.pixels[name], self.labels[name]))
        return folder

    def binary_folder(self) -> Path:
        folder = self.root / "binary" / "cifar-10-batches-bin"
        folder.mkdir(parents=True)
        for _, name in BATCHES:
            labels = np.array(self.labels[name], dtype=np.uint8)[:, None]
            (folder / f"{name}.bin").write_bytes(np.hstack([labels, self.pixels[name]]).tobytes())
        return folder

    def archive(self, folder: Path, name: str) -> Path:
        path = self.root / name
        with tarfile.open(path, "w:gz") as tar:
            for file in sorted(folder.iterdir(), reverse=True):  # the order in an archive must not matter
                tar.add(file, f"{folder.name}/{file.name}")
        return path

    def parquet_folder(self, image_format: str, *, label: str = "label", names: Sequence[str] | None = CLASSES) -> Path:
        """As a hub repository stores them: class names, if any, stand in the schema's metadata."""
        image_module = pytest.importorskip("PIL.Image")
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        folder = self.root / f"parquet-{image_format}" / "plain_text"
        folder.mkdir(parents=True)

        def encode(pixels: np.ndarray) -> dict[str, object]:
            buffer = io.BytesIO()
            image = image_module.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
            image.save(buffer, image_format, lossless=True)
            return {"bytes": buffer.getvalue(), "path": None}

        for split in ("train", "test"):
            cells = [encode(image) for image in self.images(split)]
            table = arrow.table({"img": cells, label: self.all_labels(split)})
            if names is not None:
                features = {label: {"names": list(names), "_type": "ClassLabel"}}
                table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
            parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
        return folder


def python2_pickle(data: np.ndarray, labels: list[int], key: bytes = b"labels") -> bytes:
    """The opcodes that Python 2's cPickle wrote for {'data': uint8 array, key: labels}: strings, not unicode."""

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    shape = b"".join(b"J" + struct.pack("<i", length) for length in data.shape) + b"\x86"
    dtype = b"cnumpy\ndtype\n" + short(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + short(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    raw = b"T" + struct.pack("<i", data.nbytes) + data.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short(b"b") + b"\x87R"
    array += b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    content = b"\x80\x02}" + short(b"data") + array + b"s" + short(key) + numbers + b"s."
    assert np.array_equal(pickle.loads(content, encoding="bytes")[b"data"], data)
    return content
