"""The corpus: what strangers' files may hold against whoever opens them, each with its reader and what it must say.

`CASES` is the table. A case makes its file in an empty folder and names one of `READERS`; `said` is a part of the error
that it must end in, "" if the file must be read in spite of what it holds. Files that only are damaged are in the tests
of each reader; here are those that aim at the memory, the time, other files or the code of the reader's machine.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

HARM = "HARMED"
_BLOCK = 64 << 20


class Case(NamedTuple):
    reader: str
    make: Callable[[Path], Path]
    said: str


def warm_up() -> None:
    """Import what readers import, so that the bounds are on reading alone."""
    import torch  # noqa: F401

    import normlab.apps.ask.files
    import normlab.apps.tag
    import normlab.data.image.images
    import normlab.engine.api
    import normlab.studies.sources
    import normlab.studies.tables
    import normlab.tasks.text2sql.evaluation  # noqa: F401


# Readers


def read_config(path: Path) -> None:
    from normlab.tasks.image.config import ImageConfig

    ImageConfig.from_yaml(path)


def read_study_file(path: Path) -> None:
    from normlab.studies.plan import make_plan

    make_plan(path, scale="smoke")


def read_study(path: Path) -> None:
    from normlab.studies.sources import open_study

    open_study(path).table()


def serve_study(path: Path) -> None:
    from normlab.apps.serve.limits import Limits
    from normlab.apps.serve.reports import Reports

    def write(study: Path, out: Path) -> list[str]:
        read_study(study)
        return []

    Reports(write, path.parent, Limits()).report(path)


def unpack_archive(path: Path) -> None:
    from normlab.runs.archive import unpack_study

    unpack_study(path, path.parent / "unpacked")


def read_run(path: Path) -> None:
    from normlab.runs import RunFolder

    folder = RunFolder.open(path)
    for part in (folder.metrics, folder.layers, folder.card, folder.config, folder.status, folder.environment):
        part()
    folder.result()


def load_model(path: Path) -> None:
    from normlab.engine.api import load_run

    _ = load_run(path).model


def load_weights(path: Path) -> None:
    from torch import nn

    from normlab.engine import checkpoint

    checkpoint.load_weights(path, nn.Linear(2, 2))


def load_images(path: Path) -> None:
    from normlab.data.image.images import load_images

    load_images(path, cache_dir="cache", sums={})


def read_picture(path: Path) -> None:
    from normlab.data.image.prediction import read_images_for_prediction

    list(read_images_for_prediction(path, size=32))


def read_vectors(path: Path) -> None:
    from normlab.data.text.glove import load_glove

    load_glove(path, ["the"], cache_dir=path.parent / "cache")


def read_sentences(path: Path) -> None:
    from normlab.data.tagging.corpus import open_sentences

    list(open_sentences(path))


def read_running_text(path: Path) -> None:
    from normlab.apps.tag.sources import source_of
    from normlab.data.tagging.plain_text import sentences_of

    for line in source_of(str(path)).lines():
        list(sentences_of(line.text, line.number, 0))


def read_tables(path: Path) -> None:
    from normlab.data.sql.schema import read_tables

    read_tables(path)


def read_database(path: Path) -> None:
    """What `ask` does before a model is asked: a schema, an index of the cells; then a query to each table."""
    from normlab.data.sql import cells
    from normlab.data.sql.schema import Schema, quote
    from normlab.data.sql.sqlite import run_query

    schema = Schema.from_sqlite(path)
    cells._MAX_LOOKS = 400  # of 20,000, which are about ten seconds for a column
    cells.index_cells(path, schema, path.parent / "cache")
    for table in schema.tables:
        run_query(path, f"SELECT * FROM {quote(table.name)}", seconds=1.0, max_cell=100)


def take_in_table(path: Path) -> None:
    from normlab.apps.ask.files import as_database

    with ExitStack() as resources:
        as_database(path, resources)


def read_results(path: Path) -> None:
    from normlab.studies.foreign import open_results

    open_results(path).table()


def score_queries(path: Path) -> None:
    from normlab.tasks.text2sql.evaluation import evaluate_files

    evaluate_files(path / "gold.sql", path / "predicted.sql", tables=path / "tables.json")


def end_never(path: Path) -> None:
    while True:
        pass


def take_all_memory(path: Path) -> None:
    bytearray(8 << 30)


def have_a_defect(path: Path) -> None:
    raise KeyError("a defect")


READERS: dict[str, Callable[[Path], None]] = {
    "config": read_config,
    "study file": read_study_file,
    "study": read_study,
    "served study": serve_study,
    "unpacked study": unpack_archive,
    "run": read_run,
    "model": load_model,
    "weights": load_weights,
    "images": load_images,
    "picture": read_picture,
    "vectors": read_vectors,
    "sentences": read_sentences,
    "running text": read_running_text,
    "tables": read_tables,
    "database": read_database,
    "table": take_in_table,
    "results": read_results,
    "queries": score_queries,
    "endless": end_never,
    "greedy": take_all_memory,
    "defective": have_a_defect,
}


# Files


Make = Callable[[Path], Path]


def of(name: str, content: bytes | str | Callable[[], bytes]) -> Make:
    """A file of that name and content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content() if callable(content) else content
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return make


def holes(name: str, size: int = 8 << 30, head: bytes = b"") -> Make:
    """A file of so many bytes, zeros after the head, that take no place on the disk."""

    def make(folder: Path) -> Path:
        path = of(name, head)(folder)
        os.truncate(path, size)
        return path

    return make


def within(make: Make, *others: Make, inner: str = "") -> Make:
    """The folder that the files are made in, or one inside of it."""

    def make_folder(folder: Path) -> Path:
        for each in (make, *others):
            each(folder)
        return folder / inner if inner else folder

    return make_folder


def pipe(name: str) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        return path

    return make


def link(name: str, target: str) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return path

    return make


class Reduced:
    """Pickles to a call."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {HARM}",)


def harmful_pickle() -> bytes:
    return pickle.dumps({b"data": Reduced(), b"labels": [0]}, protocol=2)


def large_array_pickle() -> bytes:
    """A pickle of a few bytes that asks for an array of 16 GB: its shape is in the pickle, its content is not."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J"
        + struct.pack("<i", 2**31 - 1)
        + b"\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R\x89U\x00tb."
    )


def cifar(batch: Callable[[], bytes] | bytes) -> Make:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return within(*(of(f"cifar-10-batches-py/{name}", batch) for name in names))


def sparse_cifar() -> Make:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return within(*(holes(f"cifar-10-batches-bin/{name}.bin") for name in names))


def tar_of(members: Iterable[tarfile.TarInfo], *, packed: bool = True) -> Callable[[], bytes]:
    def content() -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz" if packed else "w") as archive:
            for member in members:
                archive.addfile(member, io.BytesIO(bytes(member.size)))
        return buffer.getvalue()

    return content


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info


def zeros_packed(blocks: int) -> bytes:
    """Gzip of so many times 64 MB of zeros; the parts of a .gz may stand one after another."""
    return gzip.compress(bytes(_BLOCK), 1) * blocks


def tar_with_long(kind: bytes) -> Callable[[], bytes]:
    """A .tar.gz whose first member is a header of 2 GB, which tarfile reads whole before it names a member."""

    def content() -> bytes:
        header = member("pax", 2 << 30, kind).tobuf(tarfile.USTAR_FORMAT)
        return gzip.compress(header) + zeros_packed(33)

    return content


def zip_of(entries: Iterable[tuple[str, bytes]]) -> Callable[[], bytes]:
    def content() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries:
                archive.writestr(name, data)
        return buffer.getvalue()

    return content


def zip_bomb(names: Iterable[str], *, overlapping: bool = False) -> Callable[[], bytes]:
    """A zip in which each name stands for 64 MB of zeros; overlapping ones share their bytes (Fifield 2019)."""

    def content() -> bytes:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = deflate.compress(bytes(_BLOCK)) + deflate.flush()
        sizes = struct.pack("<III", zlib.crc32(bytes(_BLOCK)), len(packed), _BLOCK)
        body, directory = b"", b""
        for name in names:
            about = struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", len(name), 0)
            start = 0 if overlapping else len(body)
            if not body or not overlapping:
                body += b"PK\3\4" + about + name.encode() + packed
            directory += b"PK\1\2" + struct.pack("<H", 20) + about + struct.pack("<HHHII", 0, 0, 0, 0, start)
            directory += name.encode()
        count = directory.count(b"PK\1\2")
        return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)

    return content


def array_header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """NumPy's own header of 128 bytes, whatever follows it."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\1\0" + struct.pack("<H", 118) + text.ljust(117).encode() + b"\n"


def plan(**changes: Any) -> str:
    cell = {"name": "a", "values": {"norm": "batch"}, "seed": 0}
    base = {"name": "s", "title": "t", "question": "q", "task": "image", "scale": "smoke", "axes": {"norm": ["batch"]}}
    return json.dumps({**base, "cells": [cell], **changes})


def cell_named(name: str) -> str:
    return plan(cells=[{"name": name, "values": {"norm": "batch"}, "seed": 0}])


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(extra)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + chunk(b"IEND", b"")
    )


def png_with_text_bomb() -> bytes:
    return png(32, 32, chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(_BLOCK), 9)))


def safetensors(header: Any, numbers: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def tensor(shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def damaged_database(folder: Path) -> Path:
    """A byte that begins no character, in the text that made the table, which the message cites."""
    path = folder / "a.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a TEXT)")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"t (a TEXT)", b"t \xe0a TEXT "))
    return path


def database(*statements: str, schema: Iterable[tuple[str, str, str]] = ()) -> Make:
    """An SQLite file; `schema` are rows of its schema table that no statement would write."""

    def make(folder: Path) -> Path:
        path = folder / "a.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
            if schema:
                connection.execute("PRAGMA writable_schema=ON")
                rows = [(kind, name, name, 0, sql) for kind, name, sql in schema]
                connection.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", rows)
        return path

    return make


_TABLE = "CREATE TABLE t (a INTEGER, b TEXT)"
_ROW = "INSERT INTO t VALUES (1, 'x')"
_ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) AS n FROM r"


def nested_views(count: int = 40) -> list[str]:
    """Views of which each joins the one before with itself: SQLite expands them before it runs anything."""
    return [
        f"CREATE VIEW v{number} AS SELECT x.a FROM {below} x, {below} y"
        for number in range(count)
        for below in [f"v{number - 1}" if number else "t"]
    ]


def events(*tensors: tuple[list[int], bytes], scalars: Iterable[float] = ()) -> Callable[[], bytes]:
    """TensorBoard's event file, with tensors of a declared shape and one value."""

    def content() -> bytes:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        buffer = io.BytesIO()
        buffer.close = lambda: None  # type: ignore[method-assign]
        writer = RecordWriter(buffer)
        writer.write(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
        for shape, value in tensors:
            event = Event(wall_time=1.0, step=1)
            entry = event.summary.value.add(tag="accuracy")
            entry.tensor.dtype = 1
            for size in shape:
                entry.tensor.tensor_shape.dim.add(size=size)
            entry.tensor.tensor_content = value
            if not value:
                entry.tensor.float_val.append(0.5)
            entry.metadata.plugin_data.plugin_name = "scalars"
            writer.write(event.SerializeToString())
        for step, number in enumerate(scalars):
            event = Event(wall_time=1.0, step=step)
            event.summary.value.add(tag="accuracy", simple_value=number)
            writer.write(event.SerializeToString())
        return buffer.getvalue()

    return content


def mlflow(metric: str, meta: str = "run_name: batch-seed0\nstatus: 3\n") -> Make:
    return within(of("0/r/meta.yaml", meta), of("0/r/metrics/accuracy", metric))


def parquet_of(columns: Callable[[], dict[str, Any]], name: str = "train-00000-of-00001.parquet") -> Make:
    def make(folder: Path) -> Path:
        import pyarrow
        import pyarrow.parquet

        path = folder / name
        pyarrow.parquet.write_table(pyarrow.table(columns()), path, compression="zstd")
        return path

    return make


def pictures_in_parquet(picture: bytes) -> Make:
    def columns() -> dict[str, Any]:
        return {"image": [picture, picture], "label": [0, 1]}

    return within(*(parquet_of(columns, f"{split}-00000-of-00001.parquet") for split in ("train", "test")))


def wide_csv(columns: int) -> str:
    names = ",".join(f"c{number}" for number in range(columns))
    return f"{names}\n{','.join('1' for _ in range(columns))}\n"


def questions(tables: bytes | str, gold: str = "SELECT a FROM t\td\n", predicted: str = "SELECT a FROM t\n") -> Make:
    return within(of("tables.json", tables), of("gold.sql", gold), of("predicted.sql", predicted))


_SCHEMA = json.dumps(
    [
        {
            "db_id": "d",
            "table_names_original": ["t"],
            "table_names": ["t"],
            "column_names_original": [[-1, "*"], [0, "a"]],
            "column_names": [[-1, "*"], [0, "a"]],
            "column_types": ["text", "number"],
            "primary_keys": [],
            "foreign_keys": [],
        }
    ]
)
_ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
_RESULTS = "norm,seed,accuracy\nbatch,0,0.5\nbatch,1,0.6\ngroup,0,0.5\ngroup,1,0.7\n"

CASES: dict[str, Case] = {
    # settings
    "a tag that calls": Case("config", of("a.yaml", f"n: !!python/object/apply:os.system ['touch {HARM}']"), "the tag"),
    "aliases of aliases": Case("config", of("a.yaml", _ALIASES), "aliases"),
    "a deep setting": Case("config", of("a.yaml", "n: " + "[" * 5000), "levels deep"),
    "settings of 8 GB": Case("config", holes("a.yaml"), "larger than"),
    "settings that never come": Case("config", pipe("a.yaml"), "named pipe"),
    "a study of a billion cells": Case(
        "study file",
        of(
            "a.yaml",
            "title: t\nquestion: q\ntask: image\nbase: {}\nscales: {smoke: {preset: smoke, seeds: 1000000000}}\n"
            "axes: {norm: [batch, group]}\n",
        ),
        "cells",
    ),
    # runs and studies
    "a run folder's log of 8 GB": Case(
        "run", within(of("config.yaml", "task: image\n"), holes("metrics.jsonl")), "larger than"
    ),
    "a run folder with links out of it": Case(
        "run", within(of("config.yaml", "task: image\n"), link("card.json", "/etc/passwd")), "card.json"
    ),
    "a plan of 8 GB": Case("study", within(holes("study.json")), "larger than"),
    "a cell that lies outside": Case("study", within(of("study.json", cell_named("../../../etc"))), "name"),
    "a cell at an absolute path": Case("study", within(of("study.json", cell_named("/etc"))), "name"),
    "an archive of 8 GB": Case("study", holes("a.zip", head=b"PK\3\4"), "not opened"),
    "an archive that never comes": Case("study", pipe("a.zip"), "a.zip"),
    "an entry outside": Case(
        "unpacked study", of("a.zip", zip_of([("study.json", b"{}"), (f"../{HARM}", b"x")])), "belongs to no study"
    ),
    "an entry at an absolute path": Case(
        "unpacked study", of("a.zip", zip_of([("study.json", b"{}"), (f"/tmp/{HARM}", b"x")])), "belongs to no study"
    ),
    "a cell's entry outside": Case(
        "unpacked study",
        of("a.zip", zip_of([("study.json", b"{}"), ("cells/../result.json", b"{}")])),
        "belongs to no study",
    ),
    "an archive's plan with a cell outside": Case(
        "study", of("a.zip", zip_of([("study.json", cell_named("../../../../etc").encode())])), "name"
    ),
    "an archive that grows to 4 GB": Case(
        "study", of("a.zip", zip_bomb(f"cells/{n}/result.json" for n in range(60))), "not opened"
    ),
    "an archive whose entries overlap": Case(
        "study",
        of("a.zip", zip_bomb((f"cells/{n}/result.json" for n in range(50)), overlapping=True)),
        "not opened",
    ),
    "a served archive that grows": Case(
        "served study", of("a.zip", zip_bomb(f"cells/{n}/result.json" for n in range(20))), "unpacked, at most"
    ),
    "a served file of 8 GB": Case("served study", holes("a.zip"), "not opened"),
    # weights
    "a header of 2^63 bytes": Case("model", of("a.safetensors", safetensors({}, length=2**63)), "no model file"),
    "a model file of zeros": Case("model", holes("a.safetensors"), "no model file"),
    "a header of 100,000 brackets": Case("model", of("a.safetensors", safetensors(b"[" * 100_000)), "nested too deep"),
    "a model that is a pickle": Case("model", of("a.pt", harmful_pickle), "no model file"),
    "weights that are a pickle": Case("weights", of("a.safetensors", harmful_pickle), "not a readable safetensors"),
    "weights of 2^60 numbers": Case(
        "weights", of("a.safetensors", safetensors({"weight": tensor([2**30, 2**30], 0, 2**62)})), "not a readable"
    ),
    "weights that lie over each other": Case(
        "weights",
        of(
            "a.safetensors",
            safetensors({"weight": tensor([2, 2], 0, 16), "bias": tensor([2], 8, 16)}, bytes(16)),
        ),
        "not a readable",
    ),
    "weights of another model": Case(
        "weights", of("a.safetensors", safetensors({"other": tensor([2], 0, 8)}, bytes(8))), "weights of another model"
    ),
    # images
    "a pickle that calls": Case("images", cifar(harmful_pickle), "refused, its pickle asks for"),
    "a pickle of 16 GB in 100 bytes": Case("images", cifar(large_array_pickle), "data_batch_1"),
    "a CIFAR of holes": Case("images", sparse_cifar(), "data_batch_1"),
    "a tar with a header of 2 GB": Case("images", of("cifar-10-python.tar.gz", tar_with_long(b"x")), "cifar"),
    "a tar with a name of 2 GB": Case("images", of("cifar-10-python.tar.gz", tar_with_long(b"L")), "cifar"),
    "a tar with links and devices": Case(
        "images",
        of(
            "cifar-10-python.tar.gz",
            tar_of(
                [
                    member("cifar-10-batches-py/data_batch_1", kind=tarfile.SYMTYPE, target="/etc/passwd"),
                    member("cifar-10-batches-py/data_batch_2", kind=tarfile.LNKTYPE, target="../../etc/passwd"),
                    member("cifar-10-batches-py/data_batch_3", kind=tarfile.FIFOTYPE),
                    member(f"cifar-10-batches-py/../../{HARM}"),
                    member(f"/tmp/{HARM}"),
                ]
            ),
        ),
        "cannot be read",
    ),
    "a picture of 10^10 pixels": Case("picture", of("a.png", png(100_000, 100_000)), "pixels"),
    "a picture with a text of 64 MB": Case("picture", of("a.png", png_with_text_bomb), "not a readable image"),
    "a picture of 8 GB": Case("picture", holes("a.png", head=png(32, 32)), "a.png"),
    "a picture that is PostScript": Case(
        "picture", of("a.png", f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch {HARM}) system\n"), "image"
    ),
    "a picture that never comes": Case("picture", pipe("a.png"), "regular file"),
    "a table of pictures in one line of 8 GB": Case("picture", holes("a.csv"), "a.csv"),
    "a folder of pictures that leads to itself": Case(
        "picture", within(of("a/a.png", png(32, 32)), link("a/b", "..")), ""
    ),
    "a table of paths outside": Case(
        "images",
        of("birds.csv", "path,label,split\n../../../../../../etc/passwd,a,train\n/dev/zero,b,test\n"),
        "2 images cannot be read",
    ),
    "a table of paths in one line of 8 GB": Case(
        "images", holes("birds.csv", head=b"path,label\na.png,b"), "birds.csv"
    ),
    "an array of 2^60 images": Case("images", within(of("images.npy", array_header((2**60, 32, 32)))), "do not hold"),
    "an array of no images of 2^60 pixels": Case(
        "images",
        within(of("images.npy", array_header((0, 2**60, 32))), of("labels.npy", array_header((0,)))),
        "images",
    ),
    "an array of 8 GB of holes": Case(
        "images",
        within(
            holes("images.npy", 128 + 8 * 2**30, array_header((2**13, 1024, 1024))),
            of("labels.npy", array_header((2**13,)) + bytes(2**13 - 1)),
        ),
        "labels.npy: a header for shape",
    ),
    "arrays that expand without end": Case("images", of("a.npz", zip_bomb(["x_train.npy", "y_train.npy"])), "a.npz"),
    "an array of objects": Case("images", within(of("images.npy", array_header((1,), "|O") + b"(")), "Python objects"),
    "a saved data set of files outside": Case(
        "images",
        within(of("state.json", '{"_data_files": [{"filename": "../../etc/passwd"}]}')),
        "lists no Arrow files",
    ),
    "a saved data set of zeros": Case(
        "images", within(of("state.json", '{"_data_files": [{"filename": "a.arrow"}]}'), holes("a.arrow")), "a.arrow"
    ),
    "a saved data set that never comes": Case(
        "images", within(of("state.json", '{"_data_files": [{"filename": "a.arrow"}]}'), pipe("a.arrow")), "a.arrow"
    ),
    "a parquet of pictures that are none": Case("images", pictures_in_parquet(b"%!PS"), "image"),
    "a parquet of one picture of 10^10 pixels": Case("images", pictures_in_parquet(png(100_000, 100_000)), "pixels"),
    "a parquet of zeros": Case("images", within(holes("train-00000-of-00001.parquet")), "parquet"),
    "a parquet with a footer of 2 GB": Case(
        "images",
        within(of("train-00000-of-00001.parquet", b"PAR1" + bytes(64) + struct.pack("<I", 2**31 - 1) + b"PAR1")),
        "parquet",
    ),
    # word vectors
    "a zip of vectors with one endless line": Case("vectors", of("glove.zip", zip_bomb(["glove.50d.txt"])), "NUL"),
    "a zip of vectors in another zip": Case(
        "vectors", of("glove.zip", zip_of([("glove.zip", zip_bomb(["a.txt"])())])), "no .txt file"
    ),
    "a zip of vectors outside": Case(
        "vectors", of("glove.zip", zip_of([(f"../{HARM}.txt", b"the 0.1 0.2\nof 0.3 0.4\n")])), ""
    ),
    "vectors of 64 MB of zeros": Case("vectors", of("glove.gz", lambda: zeros_packed(1)), "NUL"),
    "vectors that never come": Case("vectors", pipe("glove.txt"), "is no file"),
    # tagged text
    "a table of words with one endless quote": Case(
        "sentences", of("a.csv", 'Sentence #,Word,POS,Tag\nSentence: 1,"' + "a\n" * 200_000), "a.csv"
    ),
    "columns with NUL": Case("sentences", of("a.txt", "EU B-ORG\n\0\0 O\n"), "NUL"),
    "columns of 8 GB of zeros": Case("sentences", holes("a.txt"), "a.txt"),
    "one sentence of a million words": Case("sentences", of("a.txt", "a O\n" * 1_000_000), "a.txt"),
    "lines of deep JSON": Case("sentences", of("a.jsonl", "[" * 100_000 + "\n"), "a.jsonl:1"),
    "text of one line of 20 MB": Case("running text", of("a.txt", "a" * (20 << 20)), "longer than 16 MiB"),
    "text of a million full stops": Case("running text", of("a.txt", "." * 1_000_000), ""),
    "text of half a million accents": Case("running text", of("a.txt", "a" + "\u0301" * 500_000), ""),
    "text of half a million at signs": Case("running text", of("a.txt", "a@" * 250_000), ""),
    "text with escapes of a terminal": Case("running text", of("a.txt", "\x1b]0;x\x07\x1b[2J Paris\n"), ""),
    # databases
    "a table with a return within a name": Case("table", of("a.csv", b"x\r0,y\n1,2\n"), "a.csv:1: cannot be read"),
    "a table of images with a return within a name": Case("images", of("a.csv", b'"x\r0",label\n1.png,cat\n'), "a.csv"),
    "a database whose damage SQLite names in no UTF-8": Case("database", damaged_database, "utf-8"),
    "a database with an endless view": Case("database", database(_TABLE, _ROW, f"CREATE VIEW v AS {_ENDLESS}"), "time"),
    "a database with views of views": Case("database", database(_TABLE, _ROW, *nested_views()), "64 tables"),
    "a view that loads a library": Case(
        "database",
        database(_TABLE, _ROW, "CREATE VIEW v AS SELECT load_extension('/tmp/x.so') AS n FROM t"),
        "",
    ),
    "a view that writes a file": Case(
        "database", database(_TABLE, _ROW, f"CREATE VIEW v AS SELECT writefile('{HARM}', 'x') AS n FROM t"), ""
    ),
    "triggers that write": Case(
        "database",
        database(_TABLE, _ROW, "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END"),
        "",
    ),
    "a virtual table of a module that reads files": Case(
        "database",
        database(_TABLE, _ROW, schema=[("table", "w", "CREATE VIRTUAL TABLE w USING csv(filename='/etc/passwd')")]),
        "",
    ),
    "a virtual table that attaches another file": Case(
        "database",
        database(_TABLE, _ROW, schema=[("table", "w", "CREATE VIRTUAL TABLE w USING dbstat")]),
        "not allowed",
    ),
    "a schema that is no SQL": Case(
        "database", database(_TABLE, _ROW, schema=[("table", "w", "x" * 100_000)]), "a.sqlite"
    ),
    "a column whose default calls": Case(
        "database",
        database(
            "CREATE TABLE t (a INTEGER, b AS (abs(a) + a) VIRTUAL)", "INSERT INTO t VALUES (-9223372036854775807)"
        ),
        "",
    ),
    "a table of a name with quotes": Case("database", database('CREATE TABLE "t""; DROP TABLE x; --" (a INTEGER)'), ""),
    "a database of holes": Case("database", holes("a.sqlite", head=b"SQLite format 3\0"), "a.sqlite"),
    # tables that `ask` takes in
    "a table of 3,000 columns": Case("table", of("a.csv", wide_csv(3000)), "columns"),
    "a table that begins with a blank line": Case("table", of("a.csv", "\n1,2\n"), "a.csv"),
    "a table with an endless quote": Case("table", of("a.csv", 'a,b\n1,"' + "x\n" * 200_000), "a.csv"),
    "a table of holes": Case("table", holes("a.csv", head=b"a,b\n"), "NUL"),
    "a parquet without columns": Case("table", parquet_of(dict, "a.parquet"), "a.parquet"),
    "a parquet with a NUL in a name": Case("table", parquet_of(lambda: {"a\0b": [1]}, "a.parquet"), "a.parquet"),
    # results of other programs
    "results of 8 GB": Case("results", holes("a.csv", head=_RESULTS.encode()), "larger than"),
    "results with an endless quote": Case("results", of("a.csv", _RESULTS + 'x,0,"' + "1\n" * 200_000), "a.csv"),
    "results with formulas": Case("results", of("a.csv", _RESULTS.replace("batch", "=1+1|cmd")), ""),
    "results with seeds of 5,000 digits": Case(
        "results", of("a.csv", _RESULTS.replace(",0,", f",{'9' * 5000},")), "seed"
    ),
    "results at an infinite step": Case(
        "results",
        within(of("b-seed0/metrics.csv", "epoch,accuracy\n1,0.5\ninf,0.6\n")),
        "metrics.csv",
    ),
    "a chart at a step that is no number": Case(
        "results",
        of("a.csv", '"Step","batch-0 - accuracy","batch-0 - accuracy__MIN","batch-0 - accuracy__MAX"\nnan,1,1,1\n'),
        "a.csv",
    ),
    "a log of MLflow with a step of 5,000 digits": Case("results", mlflow(f"1 0.5 {'9' * 5000}\n"), "accuracy:1"),
    "a log of MLflow with a step beyond a float": Case(
        "results", mlflow(f"1 0.5 {'9' * 400}\n1 0.6 1\n"), "accuracy:1"
    ),
    "a log of MLflow that never comes": Case("results", within(mlflow("1 0.5 1\n"), pipe("0/r/params/lr")), ""),
    "a run of MLflow with a tag that calls": Case(
        "results", mlflow("1 0.5 1\n", f"x: !!python/object/apply:os.system ['touch {HARM}']\n"), "the tag"
    ),
    "a tensor of 2^40 numbers in 20 bytes": Case(
        "results", within(of("b-seed0/events.out.tfevents.1", events(([2**20, 2**20], b"")))), "no scalars"
    ),
    "a tensor of negative size": Case(
        "results", within(of("b-seed0/events.out.tfevents.1", events(([-5, 3], b"")))), "no scalars"
    ),
    "a tensor that is shorter than it says": Case(
        "results", within(of("b-seed0/events.out.tfevents.1", events(([1], b"xy")))), "tfevents"
    ),
    "an event of 2^62 bytes": Case(
        "results",
        within(of("b-seed0/events.out.tfevents.1", struct.pack("<QI", 2**62, 0) + bytes(100))),
        "no scalars",
    ),
    "events that never come": Case("results", within(pipe("b-seed0/events.out.tfevents.1")), "tfevents"),
    # questions and schemas
    "schemas of 8 GB": Case("tables", holes("tables.json"), "larger than"),
    "a schema that names a folder": Case("tables", of("tables.json", _SCHEMA.replace('"d"', '"../../etc"')), "db_id"),
    "a schema with columns of no table": Case(
        "tables", of("tables.json", _SCHEMA.replace('[0, "a"]', f'[{10**20}, "a"]')), "tables.json"
    ),
    "a query of 10,000 brackets": Case(
        "queries", questions(_SCHEMA, predicted="SELECT " + "(" * 10_000 + "a" + ")" * 10_000 + " FROM t\n"), ""
    ),
    "a query of 10,000 subqueries": Case(
        "queries", questions(_SCHEMA, predicted="SELECT a FROM t WHERE a IN (" * 10_000 + "\n"), ""
    ),
    "a gold query of 10,000 subqueries": Case(
        "queries", questions(_SCHEMA, gold="SELECT a FROM t WHERE a IN (" * 10_000 + "\td\n"), ""
    ),
    # of the guard itself; `test_hostile_files` expects them to be broken
    "a reader that never ends": Case("endless", of("a", ""), ""),
    "a reader that takes all memory": Case("greedy", of("a", ""), ""),
    "a reader's own defect": Case("defective", of("a", ""), ""),
}
OF_THE_GUARD = [name for name, case in CASES.items() if case.reader in ("endless", "greedy", "defective")]
