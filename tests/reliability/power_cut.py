"""What a disk may hold after the power fails, for every moment of a recorded program, and whether readers cope.

    python tests/reliability/power_cut.py                 every state of every workload
    python tests/reliability/power_cut.py --most 200      so many states of each, drawn

A workload runs once under the shim, which records creations, writes, fsyncs, renames and removals below one folder. A
cut after any of these calls may have lost what no fsync has made durable. What POSIX promises is all that counts: the
data of a file after fsync of the file; its name (made, renamed, removed) after fsync of its folder. The rest may be
there or not, names in any order, data not at all, half, as zeros or whole. Each such state is laid out in a folder and
read by the program: it must find the old content or the new one, and what it had reported as saved.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "report")]
os.environ["NORMLAB_KERNELS"] = "off"  # here as under the shim: what goes on must compute alike

import shim  # noqa: E402
import soak  # noqa: E402
from power_workloads import WORKLOADS, LostError, Workload  # noqa: E402

FileId = tuple[int, int]  # inode and how often it was used before
DATA = ("lost", "half", "zeros", "whole")  # what became of writes after the last fsync
_GO_ON_AFTER = 8  # of so many states the program goes on after one, which takes longer than reading
MARKS = ".marks"  # a folder that a workload makes folders in to say what it has finished


@dataclass(frozen=True)
class Record:
    """One call: c create, m make a folder, w write, t truncate, s fsync, d fsync of a folder, r rename, u remove."""

    kind: str
    file: FileId
    parent: FileId
    target_parent: FileId
    name: str
    target: str
    offset: int
    data: bytes

    @property
    def names(self) -> bool:
        """Whether it changes a folder's list of names."""
        return self.kind in "cmru"


def records(log: bytes, root: int) -> list[Record]:
    """Read the shim's log; inodes that were used again become files of their own."""
    found, position = [], 0
    used: dict[int, int] = {root: 0}
    while position < len(log):
        end = log.index(b"\n", position)
        kind, *words = log[position:end].decode().split()
        inode, parent, other, length, offset, first, second = map(int, words)
        position = end + 1
        name, target = (
            log[position : position + first - 1],
            log[position + first : position + first + second - 1],
        )
        position += first + second
        data = log[position : position + length]
        position += length
        if kind in "cm":
            used[inode] = used.get(inode, -1) + 1
        file, of, into = ((number, used.get(number, 0)) for number in (inode, parent, other))
        found.append(Record(kind, file, of, into, os.fsdecode(name), os.fsdecode(target), offset, data))
    return found


class Content(NamedTuple):
    """Bytes of a file, with their digest."""

    data: bytes
    digest: bytes


@dataclass(frozen=True)
class State:
    """What lies below the folder: path -> content, None for a folder; and what the program had reported before."""

    files: dict[str, Content | None]
    reported: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """A digest: two equal states need one look."""
        parts = [(path, content and content.digest) for path, content in sorted(self.files.items())]
        return hashlib.sha256(repr((self.reported, parts)).encode()).digest()

    def lay_out(self, folder: Path) -> None:
        """Write the state into an empty folder."""
        for path, content in sorted(self.files.items()):
            if content is None:
                (folder / path).mkdir()
            else:
                (folder / path).write_bytes(content.data)


class Cut(NamedTuple):
    """A moment and what it loses: changes of names by their number, and what became of data after the last fsync."""

    end: int
    lost: frozenset[int]
    data: str


class Model:
    """A recorded program on a disk: in which states cuts may leave it.

    Args:
        log: its calls, in order.
        root: the folder that was watched.
    """

    def __init__(self, log: list[Record], root: FileId) -> None:
        self.log, self.root = log, root
        self._of_file: dict[FileId, list[int]] = defaultdict(list)  # numbers of the calls on a file's data
        for number, record in enumerate(log):
            if record.kind in "wts":
                self._of_file[record.file].append(number)
        self._marks = next((record.file for record in log if record.kind == "m" and record.name == MARKS), None)
        self._contents: dict[tuple[FileId, int, str], Content] = {}

    def cuts(self) -> Iterator[Cut]:
        """Yield a cut for each different state."""
        seen: set[bytes] = set()
        for end in range(len(self.log) + 1):
            pending = [number for number in range(end) if self.log[number].names and not self._is_durable(number, end)]
            for lost in _losses(pending):
                for data in DATA:
                    cut = Cut(end, lost, data)
                    key = self.state(cut).key
                    if key not in seen:
                        seen.add(key)
                        yield cut

    def state(self, cut: Cut) -> State:
        """Return what lies on the disk after a cut."""
        folders = self._folders(cut)
        files: dict[str, Content | None] = {}
        waiting = [("", self.root)]
        while waiting:
            path, folder = waiting.pop()
            for name, file in folders[folder].items():
                if file != self._marks:
                    files[f"{path}{name}"] = None if file in folders else self._content(file, cut)
                    if file in folders:
                        waiting.append((f"{path}{name}/", file))
        done = self.log[: cut.end]
        reported = tuple(record.name for record in done if record.kind == "m" and record.parent == self._marks)
        return State(files, reported)

    def _is_durable(self, number: int, end: int) -> bool:
        change = self.log[number]
        folders = {change.parent, change.target_parent} if change.kind == "r" else {change.parent}
        return any(record.kind == "d" and record.file in folders for record in self.log[number + 1 : end])

    def _folders(self, cut: Cut) -> dict[FileId, dict[str, FileId]]:
        """Return folder -> name -> file or folder."""
        folders: dict[FileId, dict[str, FileId]] = {self.root: {}}
        for number, record in enumerate(self.log[: cut.end]):
            if record.kind == "m":
                folders.setdefault(record.file, {})
            if not record.names or number in cut.lost:
                continue
            names = folders.setdefault(record.parent, {})
            if record.kind in "cm":
                names[record.name] = record.file
            elif names.get(record.name) == record.file:
                del names[record.name]
            if record.kind == "r":
                folders.setdefault(record.target_parent, {})[record.target] = record.file
        return folders

    def _content(self, file: FileId, cut: Cut) -> Content:
        known = bisect_left(self._of_file[file], cut.end)
        key = (file, known, cut.data)
        if key not in self._contents:
            data = _bytes([self.log[number] for number in self._of_file[file][:known]], cut.data)
            self._contents[key] = Content(data, hashlib.sha256(data).digest())
        return self._contents[key]


def _losses(pending: list[int]) -> Iterator[frozenset[int]]:
    """Yield sets of lost changes of names: every tail, and each one alone, kept or lost."""
    chosen = {frozenset(pending[keep:]) for keep in range(len(pending) + 1)}
    chosen |= {frozenset({number}) for number in pending}
    chosen |= {frozenset(pending) - {number} for number in pending}
    yield from sorted(chosen, key=sorted)


def _bytes(calls: list[Record], data: str) -> bytes:
    """Return a file's bytes after these calls: the last fsync's, and of the later ones what a cut has left."""
    synced = max((number for number, record in enumerate(calls) if record.kind == "s"), default=-1)
    content = bytearray(calls[synced].data if synced >= 0 else b"")
    later = calls[synced + 1 :] if data != "lost" else []
    for number, record in enumerate(later):
        if record.kind == "t":
            del content[record.offset :]
            content += bytes(max(0, record.offset - len(content)))
            continue
        written = record.data
        if data == "half" and number == len(later) - 1:
            written = written[: len(written) // 2]
        content += bytes(max(0, record.offset - len(content)))
        content[record.offset : record.offset + len(written)] = bytes(len(written)) if data == "zeros" else written
    return bytes(content)


def record_workload(name: str, folder: Path) -> list[Record]:
    """Run a workload in a process under the shim; return its calls. What it leaves lies in folder/watched."""
    library = shim.build(folder)
    watched = folder / "watched"
    (watched / MARKS).parent.mkdir(parents=True)
    more = {"SHIM_LOG": str(folder / "log"), "OMP_NUM_THREADS": "1", "NORMLAB_KERNELS": "off"}
    command = [sys.executable, str(HERE / "power_workloads.py"), name, str(watched)]
    environment = shim.environment(library, watched, PYTHONPATH=os.pathsep.join(sys.path), **more)
    subprocess.run(command, env=environment, check=True)
    return records((folder / "log").read_bytes(), watched.stat().st_ino)


def try_workload(name: str, workload: Workload, folder: Path, most: int | None, draw: random.Random) -> bool:
    """Record a workload, lay out its states and look at each; print the result, and return whether all were good."""
    log = record_workload(name, folder)
    model = Model(log, ((folder / "watched").stat().st_ino, 0))
    every = list(model.cuts())
    # The last one is always looked at: there nothing may be missing.
    chosen = every if most is None or most >= len(every) else [*draw.sample(every[:-1], most - 1), every[-1]]
    bad = 0
    for number, cut in enumerate(chosen):
        state = model.state(cut)
        place = folder / "laid out"
        place.mkdir()
        state.lay_out(place)
        try:
            workload.look(place, state.reported, folder / "watched", number % _GO_ON_AFTER == 0)
        except Exception as error:
            bad += 1
            kind = "" if isinstance(error, LostError) else f"{type(error).__name__}: "
            print(f"FAILED: {name}, reported {state.reported[-1:]}: {kind}{error}; {sorted(state.files)}", flush=True)
        shutil.rmtree(place)
    print(f"{name}: {len(log)} calls, {len(chosen)} of {len(every)} states: {len(chosen) - bad} good", flush=True)
    return not bad


def main(arguments: list[str] | None = None) -> int:
    """Cut the power of all workloads; exit code 1 if a state was not read as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, help="so many states of each workload, drawn; default: all")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="some of them, with commas")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if shim.compiler() is None:
        parser.error("no C compiler: the shim cannot be built")
    soak.warm_up()
    good = True
    for name in options.workloads.split(","):
        with tempfile.TemporaryDirectory(prefix="normlab-power-") as folder:
            draw = random.Random(f"{options.seed} {name}")
            good &= try_workload(name, WORKLOADS[name], Path(folder).resolve(), options.most, draw)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
