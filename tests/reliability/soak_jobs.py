"""What `soak.py` stops: each job is a command that a person would give again, in a process forked from this one.

This process has imported everything and computed nothing, so neither a stop nor going on costs imports: what a run that
nobody stops imports is imported here before others begin. Only `program` starts real interpreters, and `ray` a cluster.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from normlab.cli import _termination_interrupts, main
from normlab.engine import api
from normlab.runs import RunFolder
from normlab.runs.atomic import write_bytes, write_json, write_text
from normlab.runs.lock import FolderBusyError
from normlab.runs.model_file import ModelFile
from normlab.runs.published import CARD, MODEL, find_model
from normlab.studies import workers
from normlab.tasks import TASKS, task_settings
from normlab.yaml_file import dump_yaml

HERE = Path(__file__).resolve().parent
ENDED = 0  # exit code of a job that has come to its end
_IMPORTED = "SOAK_IMPORTED"  # a variable: the file to which processes write what they have imported
_MUCH = 100  # modules that a process imports for about a second
SAID = "said.txt"  # beside a job's folder: what its processes print

TASKS_RUN: dict[str, dict[str, Any]] = {
    "image": {
        "epochs": 2,
        "limit_train": 64,
        "validation": 64,
        "image_size": 8,
        "pad": 1,
        "train_metrics": "end",
        "distributions": "off",
    },
    "ner": {"epochs": 2},
    "text2sql": {"epochs": 2},
}
STUDY = """
title: Stopped at random
question: Does it end with the same bits?
task: image
base: {n: 1, epochs: 2, limit_train: 64, validation: 64, image_size: 8, pad: 1, train_metrics: end, threads: 1,
  distributions: "off"}
axes: {norm: [batch, group, none]}
scales: {smoke: {preset: smoke, seeds: 1}}
"""
SEARCH = """
title: A search stopped at random
question: Does it draw the same trials?
task: image
base: {n: 1, epochs: 2, limit_train: 64, validation: 64, image_size: 8, pad: 1, train_metrics: end, threads: 1,
  distributions: "off"}
axes: {norm: [batch, none]}
search:
  objective: val/accuracy
  trials: 3
  startup_trials: 1
  warmup_epochs: 0
  space: {lr: {low: 0.001, high: 1, log: true}}
scales: {smoke: {preset: smoke, seeds: 1}}
"""


class SoakError(AssertionError):
    """A run did not end as it should."""


def nothing(folder: Path) -> None:
    """Prepare nothing, or look at nothing."""


@dataclass(frozen=True)
class Job:
    """A command that is stopped and given again.

    Attributes:
        begin: starts it, or goes on, in its folder; returns the number of its process, which leads a group of its own.
        weight: its share of all stops, beside those of the others; what takes long has a small one.
        prepare: makes what it needs beside its folders, once.
        look: raises what is wrong in its folder after a stop.
        over: it has come to its end, so that it would refuse to be given again.
        around: what must stand while it is soaked.
    """

    name: str
    begin: Callable[[Path], int]
    weight: float
    prepare: Callable[[Path], None] = nothing
    look: Callable[[Path], None] = nothing
    over: Callable[[Path], bool] = lambda folder: False
    around: Callable[[Path], Any] | None = None


# Processes


def fork(call: Callable[[], int | None], said: Path | None = None) -> int:
    """Make a call in a process of its own; return its number. What it prints is appended to a file."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setpgid(0, 0)
        _die_with_the_soak()
        if said is not None:
            handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(handle, 1), os.dup2(handle, 2)
            os.environ[_IMPORTED] = str(said.with_name("imported"))
        workers._SPAWN = ForkedWorkers()  # type: ignore[assignment]
        with _termination_interrupts():
            code = call() or ENDED
    except KeyboardInterrupt:
        code = 1
    except FolderBusyError as error:
        print(f"soak: {error}", file=sys.stderr)
        code = 3
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(Exception):
            _tell_imports()
            sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def _die_with_the_soak() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, <linux/prctl.h>


def _tell_imports() -> None:
    """Write down what this process has imported, for `import_as_jobs_did`."""
    if path := os.environ.get(_IMPORTED):
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n".join(sorted(sys.modules)) + "\n")


def import_as_jobs_did(folder: Path) -> bool:
    """Import what the processes of a run imported while they ran, so that the next start with it; say if it was much.

    A process may be forked only as long as it has one thread.
    """
    path = folder.parent / "imported"
    names = set(path.read_text(encoding="utf-8").splitlines()) if path.exists() else set()
    new = sorted(name for name in names - sys.modules.keys() if not name.startswith("__"))
    for name in new:
        with suppress(Exception):  # what only a program finds, such as a compiled kernel
            import_module(name)
    assert not new or threading.active_count() == 1, threading.enumerate()
    return len(new) > _MUCH


def wait(pid: int, seconds: float | None) -> int | None:
    """Return the exit code of a process, negative for a signal, or None if it has not ended in time."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG if deadline is not None else 0)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


def wait_for_group(group: int) -> None:
    """Wait for the workers of a study, which end with it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.02)
    raise SoakError(f"workers of process {group} are left a minute after it ended")


class ForkedWorkers:
    """`multiprocessing`'s context for workers that are forked, where normlab starts interpreters: no imports.

    As in a new interpreter, a worker has no pipe but its own two, so that each notices when the other end is gone.
    """

    def __init__(self) -> None:
        self._fork = get_context("fork")
        self._ends: list[Connection] = []

    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]:
        """Return the two ends of a new pipe."""
        ends = self._fork.Pipe(duplex)
        self._ends += ends
        return ends

    def Process(self, target: Callable[..., None], args: tuple[Any, ...]) -> Any:
        """Return a process that makes a call."""
        return self._fork.Process(target=self._call, args=(target, args))

    def _call(self, target: Callable[..., None], args: tuple[Any, ...]) -> None:
        for end in self._ends:
            if not end.closed and all(end is not kept for kept in args):
                end.close()
        try:
            target(*args)
        finally:
            _tell_imports()


def command(*words: str | Path) -> Callable[[], int]:
    """Return a call of normlab's command line."""
    return lambda: main([str(word) for word in words])


def program(*words: str | Path, said: Path) -> int:
    """Start normlab in a new interpreter, which leads a group of its own; return its number."""
    with said.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "normlab.cli", *map(str, words)],
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=_die_with_the_soak,
        )
    process.returncode = 0  # waited for here by its number, not by the object
    return process.pid


# Jobs


def _said(folder: Path) -> Path:
    return folder.parent / SAID


def _source(folder: Path, text: str) -> Path:
    path = folder.parent / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _needs(folder: Path) -> Path:
    """Return the folder of what `prepare` made for a job whose folder is OUT/run/NAME."""
    return folder.parent.parent / "needs"


def _train(task: str, folder: Path) -> None:
    if (folder / "config.yaml").is_file():
        api.train_folder(RunFolder.open(folder))
        return
    settings = task_settings(task)
    config = settings.config_class(**{**settings.preset("smoke", "soak"), **TASKS_RUN[task], "threads": 1})
    api.train_new(task, config, folder, quiet=True)


def _training(task: str) -> Callable[[Path], int]:
    return lambda folder: fork(lambda: _train(task, folder), _said(folder))


def shipped(folder: Path) -> None:
    """Make a finished run of a shipped model, in folder/run."""
    model, run = ModelFile.open(find_model("cifar10-none")), RunFolder(folder / "run")
    write_text(run.path / "config.yaml", dump_yaml(model.config()))
    write_json(run.path / "card.json", model.card())
    write_bytes(run.weights, model.path.read_bytes())
    run.finish(model.result())


def _study_words(folder: Path) -> list[str | Path]:
    source = _source(folder, STUDY)
    return ["study", "run", source, "--scale", "smoke", "--workers", "2", "--out", folder]


def _study(folder: Path) -> int:
    return fork(command(*_study_words(folder)), _said(folder))


def _tune(folder: Path) -> int:
    source = _source(folder, SEARCH)
    return fork(command("tune", source, "--scale", "smoke", "--workers", "1", "--out", folder), _said(folder))


def _something_to_learn(needs: Path) -> None:
    if wait(fork(lambda: _train("text2sql", needs / "run")), None) != ENDED:
        raise SoakError("no model to learn from")
    database, pairs = runpy.run_path(str(HERE.parents[1] / "examples/learning/library.py"))["write"](needs / "all")
    shutil.copyfile(database, needs / "library.sqlite")
    rows = Path(pairs).read_text(encoding="utf-8").splitlines(keepends=True)
    (needs / "pairs.csv").write_text("".join(rows[:25]), encoding="utf-8")  # the header and 24 pairs


def _learn(folder: Path) -> int:
    needs = _needs(folder)
    words = ["ask", needs / "library.sqlite", "--learn", needs / "pairs.csv", "--model", needs / "run", "--epochs", "2"]
    return fork(command(*words, "--out", folder, "--json"), _said(folder))


def _publish(folder: Path) -> int:
    return fork(command("publish", _needs(folder) / "run", "--out", folder), _said(folder))


def look_at_published(folder: Path) -> None:
    """Raise unless a published model is whole, or not there."""
    if folder.exists():
        found = sorted(path.name for path in folder.iterdir())
        if found != sorted((CARD, MODEL)):
            raise SoakError(f"{folder}: {found}, where a model and its card belong, or no folder")
        ModelFile.open(folder / MODEL)


def _program(folder: Path) -> int:
    return program(*_study_words(folder), said=_said(folder))


@contextmanager
def _two_raylets(out: Path) -> Iterator[None]:
    """Start a cluster of two raylets on this machine, in a process that ends it when this one is gone."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "two_raylets.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = next((line.split()[1] for line in process.stdout if line.startswith("address ")), "")
        if not address:
            raise SoakError("no cluster of two raylets to begin with")
        (out / "address").write_text(address, encoding="utf-8")
        yield
    finally:
        process.stdin.close()
        process.wait(60)


def _ray(folder: Path) -> int:
    address = (folder.parent.parent / "address").read_text(encoding="utf-8")
    words = ["study", "run", _source(folder, STUDY), "--scale", "smoke", "--engine", "ray", "--address", address]
    return program(*words, "--out", folder, said=_said(folder))


JOBS = {
    job.name: job
    for job in (
        *(Job(task, _training(task), weight) for task, weight in (("image", 18), ("ner", 18), ("text2sql", 14))),
        Job(
            "publish",
            _publish,
            25,
            shipped,
            look_at_published,
            over=lambda folder: folder.exists(),
        ),
        Job("learn", _learn, 8, _something_to_learn),
        Job("study", _study, 8),
        Job("tune", _tune, 5),
        Job("program", _program, 1),
        Job("ray", _ray, 0.5, around=_two_raylets),
    )
}


def warm_up() -> None:
    """Import what jobs import: a fork then starts at once."""
    for task in TASKS:
        TASKS.get(task)
    for name in ("torch._dynamo", "torch.utils.tensorboard", "plotly.graph_objects", "plotly.subplots", "PIL.Image"):
        with suppress(ImportError):
            import_module(name)
    import normlab.apps.ask.learning
    import normlab.data.image.images
    import normlab.engine.evaluation
    import normlab.engine.running
    import normlab.report  # noqa: F401
