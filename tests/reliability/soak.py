"""Stop smoke trainings at random moments until each has ended, and compare all they leave with a run never stopped.

    python tests/reliability/soak.py --kills 1000                      every task, and a study of two workers
    python tests/reliability/soak.py --kills 10 --jobs image --seed 3  one of them

A stop is SIGKILL, SIGTERM (kept as an interrupt), or SIGSTOP, after which the process goes on or is killed. A stopped
training is begun again in its folder, as a person would, and stopped again, until it ends; then weights, checkpoint,
predictions, curves and scores must have the same bits as those of a run that nobody stopped. Trainings are forked from
this process, which has imported everything and computed nothing, so a stop costs no imports; a study is the program.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from normlab.cli import _termination_interrupts
from normlab.config import read_yaml
from normlab.engine import api
from normlab.runs import RunFolder
from normlab.runs.lock import FolderBusyError
from normlab.tasks import TASKS, task_settings

TASKS_RUN: dict[str, dict[str, Any]] = {
    "image": {"epochs": 2, "limit_train": 128, "distributions": "off"},
    "ner": {"epochs": 2},
    "text2sql": {"epochs": 2},
}
STUDY = """
title: Stopped at random
question: Does it end with the same bits?
task: image
base: {n: 1, epochs: 2, limit_train: 256, distributions: "off"}
axes: {norm: [batch, group, none]}
scales: {smoke: {preset: smoke, seeds: 1}}
"""
STOPS = ("kill", "terminate", "pause", "pause and kill")
_ENDED = 0
_MOST_STOPS_IN_A_ROW = 50
_NOT_COMPARED = ("second", "memory", "time", "host", "pid", "command")  # in the names of what may differ


class SoakError(AssertionError):
    """A run did not end as it should."""


def begin(name: str, folder: Path) -> int:
    """Start a job, or go on with it; return the number of its process, which leads a group of its own."""
    return _begin_study(folder) if name == "study" else _fork(lambda: _train(name, folder))


def _train(task: str, folder: Path) -> None:
    if (folder / "config.yaml").is_file():
        api.train_folder(RunFolder.open(folder))
        return
    settings = task_settings(task)
    config = settings.config_class(**{**settings.preset("smoke", "soak"), **TASKS_RUN[task], "threads": 1})
    api.train_new(task, config, folder, quiet=True)


def _fork(call: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setpgid(0, 0)
        with _termination_interrupts():
            call()
        code = _ENDED
    except KeyboardInterrupt:
        code = 1
    except FolderBusyError as error:
        print(f"soak: {error}", file=sys.stderr)
        code = 3
    except BaseException as error:
        print(f"soak: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def _begin_study(folder: Path) -> int:
    source = folder.parent / "study.yaml"
    source.write_text(STUDY, encoding="utf-8")
    command = [sys.executable, "-m", "normlab.cli", "study", "run", str(source), "--scale", "smoke", "--workers", "2"]
    with open(os.devnull, "wb") as nothing:
        process = subprocess.Popen([*command, "--out", str(folder)], stdout=nothing, start_new_session=True)
    process.returncode = 0  # waited for here by its number, not by the object
    return process.pid


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


def stop(pid: int, how: str) -> int:
    """Stop a process as one of `STOPS` says; return its exit code when it has ended."""
    if how.startswith("pause"):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(pid, signal.SIGKILL if how.endswith("kill") else signal.SIGCONT)
    else:
        os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGTERM)
    code = wait(pid, None)
    _wait_for_group(pid)
    assert code is not None
    return code


def _wait_for_group(group: int) -> None:
    """Wait for the workers of a study, which end with it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.02)
    raise SoakError(f"workers of process {group} are left a minute after it ended")


def run_to_the_end(name: str, folder: Path) -> None:
    """Run a job, or the rest of it, without a stop."""
    pid = begin(name, folder)
    code = wait(pid, None)
    _wait_for_group(pid)
    if code != _ENDED:
        raise SoakError(f"{name}: exit code {code} without a stop, in {folder}")


def content(folder: Path) -> dict[str, str]:
    """Return a digest of each thing that a run leaves and that must not depend on how often it was stopped."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or "tensorboard" in name:
            continue
        if path.name in ("model.safetensors", "card.json") or path.parent.name == "predictions":
            found[name] = _digest(path.read_bytes())
        elif path.name == "result.json":
            found[name] = _digest(_plain(json.loads(path.read_text(encoding="utf-8"))))
        elif path.name in ("metrics.jsonl", "layers.jsonl"):
            lines = path.read_text(encoding="utf-8").splitlines()
            found[name] = _digest(b"\n".join(_plain(json.loads(line)) for line in lines))
        elif path.name == "config.yaml":
            found[name] = _digest(_plain(dict(read_yaml(path))))
    return found


def _plain(values: dict[str, Any]) -> bytes:
    """Return values as text, without those that say how long something took."""
    return json.dumps(_untimed(values), sort_keys=True).encode()


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if not any(word in key for word in _NOT_COMPARED)}
        return {key: _untimed(part) for key, part in kept.items()}
    return [_untimed(part) for part in value] if isinstance(value, list) else value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def soak(name: str, kills: int, draw: random.Random, out: Path) -> dict[str, int]:
    """Stop a job so many times, in as many runs as that takes; return how often each kind of stop met a running one.

    Raises: SoakError for a run that does not go on, or ends with other bits.
    """
    begun = time.monotonic()
    run_to_the_end(name, out / "whole")
    longest = time.monotonic() - begun
    expected = content(out / "whole")
    met = dict.fromkeys(STOPS, 0)
    runs = 0
    while sum(met.values()) < kills:
        folder = out / f"stopped-{runs}"
        ended = False
        for attempt in range(_MOST_STOPS_IN_A_ROW):
            if sum(met.values()) >= kills:
                break
            begun = time.monotonic()
            pid = begin(name, folder)
            code = wait(pid, draw.uniform(0, longest))
            if code is None:
                how = draw.choice(STOPS)
                code = stop(pid, how)
                met[how] += 1
                if code not in (_ENDED, 1, -signal.SIGKILL, -signal.SIGTERM):
                    raise SoakError(f"{name}: exit code {code} after '{how}', in {folder}")
            elif code != _ENDED:
                raise SoakError(f"{name}: exit code {code} when it went on, in {folder}")
            elif attempt == 0:
                longest = time.monotonic() - begun  # the first run was slower: its imports, or other load
            if ended := code == _ENDED:
                break
        if not ended:
            run_to_the_end(name, folder)
        _compare(name, expected, content(folder), folder)
        shutil.rmtree(folder)
        runs += 1
        print(f"{name}: {sum(met.values())} stops, {runs} runs with the bits of one never stopped", flush=True)
    return met


def _compare(name: str, expected: dict[str, str], found: dict[str, str], folder: Path) -> None:
    different = sorted(file for file in expected.keys() | found.keys() if expected.get(file) != found.get(file))
    if different:
        raise SoakError(f"{name}: {', '.join(different)} differ from the run never stopped, in {folder}")


def main(arguments: list[str] | None = None) -> int:
    """Run the soak; exit code 1 if a run did not end with the same bits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="stops in all, shared by the jobs")
    parser.add_argument("--jobs", default="image,ner,text2sql,study", help="some of them, with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the folders there")
    options = parser.parse_args(arguments)
    names = options.jobs.split(",")
    unknown = [name for name in names if name not in (*TASKS_RUN, "study")]
    if unknown:
        parser.error(f"unknown job '{unknown[0]}': known: {', '.join((*TASKS_RUN, 'study'))}")
    out = options.out or Path(tempfile.mkdtemp(prefix="normlab-soak-"))
    try:
        for index, name in enumerate(names):
            share = options.kills // len(names) + (index < options.kills % len(names))
            (out / name).mkdir(parents=True)
            met = soak(name, share, random.Random(f"{options.seed} {name}"), out / name)
            print(f"{name}: " + ", ".join(f"{count} x {how}" for how, count in met.items()), flush=True)
    except SoakError as failure:
        print(f"FAILED: {failure}", flush=True)
        return 1
    if options.out is None:
        with suppress(OSError):
            shutil.rmtree(out)
    return 0


def warm_up() -> None:
    """Import what a training imports: a fork then starts at once."""
    for task in TASKS:
        TASKS.get(task)
    import normlab.data.image.images
    import normlab.engine.evaluation
    import normlab.engine.loop  # noqa: F401


if __name__ == "__main__":
    warm_up()
    sys.exit(main())
