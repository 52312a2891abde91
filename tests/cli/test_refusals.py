"""What the system and the shell do to a command line: one line with the right cause and fix, and no folder left."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.cli.system_errors import report_of
from normlab.errors import UserError, WriteError
from normlab.runs import RunFolder, atomic
from normlab.runs.lock import FolderLock
from normlab.tasks.image.config import ImageConfig

SMALL = ["--scale", "smoke", "--epochs", "1", "--limit-train", "64", "--json"]


@pytest.mark.parametrize(
    "arguments",
    [["train", "image", "--out", ""], ["train", "image", "--data", ""], ["predict", "", "a.png"], ["report", ""]],
)
def test_an_empty_path_is_not_the_folder_that_one_is_in(capsys, arguments):
    assert main(arguments) == 2
    assert "is empty: is a variable of the shell not set?" in capsys.readouterr().err


def fails(capsys: pytest.CaptureFixture[str], *words: object, code: int = 2) -> str:
    """Run a command that must fail with one line on standard error, and return the line."""
    assert main([str(word) for word in words]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("normlab: ")
    return lines[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    assert main(["train", "image", *SMALL, "--out", str(out)]) == 0
    return out


# Names


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trian image", "unknown verb 'trian': did you mean 'train'?"),
        ("train imgae", "unknown task 'imgae': did you mean 'image'?"),
        ("list norm", "unknown list 'norm': did you mean 'norms'?"),
        ("study rnu x", "unknown action 'rnu': did you mean 'run'?"),
        ("train image --preset smoek", "unknown --preset 'smoek': did you mean 'smoke'?"),
        ("--hlep", "unknown flag '--hlep': did you mean '--help'?"),
        ("report x --format htlm", "unknown --format 'htlm': did you mean 'html'?"),
    ],
)
def test_a_wrong_word_offers_the_nearest(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in fails(capsys, *words.split())


# Settings from a file


def test_a_runs_own_file_makes_the_same_run_again(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["train", "image", "--config", str(run / "config.yaml"), "--out", str(again), "--json"]) == 0
    assert RunFolder.open(again).config() == RunFolder.open(run).config()
    assert RunFolder.open(again).result()["metrics"] == RunFolder.open(run).result()["metrics"]


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ("lr: 2024-13-45\n", [], r"c.yaml:1: lr: .*valid number"),
        ("task: image\nbatchsize: 3\n", [], r"c.yaml:2: unknown key 'batchsize': did you mean 'batch_size'"),
        ("task: ner\n", [], r"c.yaml:1: is for the task 'ner', not for 'image'"),
        ("lr: 0.1\n", ["--lr", "fast"], r"command line: lr: .*got 'fast'"),
        ("a: &a [x]\nb: !!set {x}\n", [], r"c.yaml:2: not valid YAML"),
    ],
)
def test_a_file_of_settings_is_refused_with_its_line(
    text: str, flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    out = tmp_path / "run"
    assert re.search(said, fails(capsys, "train", "image", "--config", tmp_path / "c.yaml", *flags, "--out", out))
    assert not out.exists()


# Places


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    return {
        "a folder": tmp_path / "folder",
        "below a file": tmp_path / "file" / "out",
        "a long name": tmp_path / ("x" * 300),
        "proc": Path("/proc/x"),
    }


@pytest.mark.parametrize("place", ["a folder", "below a file", "a long name", "proc"])
@pytest.mark.parametrize("verb", ["report", "predict"])
def test_an_output_that_cannot_be_written_is_one_line(
    verb: str, place: str, places: dict[str, Path], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if place == "proc" and not places[place].parent.is_dir():
        pytest.skip("this system has no /proc")
    (tmp_path / "in.csv").write_text(",".join(["0"] * 3072) + "\n", encoding="utf-8")
    words = [verb, run] if verb == "report" else [verb, run, tmp_path / "in.csv", "--format", "csv"]
    line = fails(capsys, *words, "--out", places[place])
    assert str(places[place]) in line
    assert "tmp" not in line.removeprefix(f"normlab: {places[place]}").replace(str(tmp_path), "")
    assert "resume" not in line


@pytest.mark.parametrize("place", ["below a file", "a long name", "proc"])
def test_a_run_folder_that_cannot_be_made_is_one_line(
    place: str, places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    if place == "proc" and not places[place].parent.is_dir():
        pytest.skip("this system has no /proc")
    line = fails(capsys, "train", "image", *SMALL, "--out", places[place])
    assert f"{places[place]}: cannot make the run folder" in line
    assert "choose another --out" in line


@pytest.mark.parametrize(
    ("content", "said"), [(b"SQLite format 3\0" + bytes(99), "an SQLite database"), (b"PK\x03\x04aa", "a zip archive")]
)
def test_a_database_or_an_archive_is_no_study(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_bytes(content)
    assert f"s.yaml: is {said}, where UTF-8 text is wanted" in fails(capsys, "study", "plan", tmp_path / "s.yaml")


# A mistake before the first epoch leaves nothing behind


def break_build(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    from normlab.tasks.image.task import ImageTask

    def build(self: Any, *rest: Any) -> Any:
        raise error

    monkeypatch.setattr(ImageTask, "build", build)


ENDS = {
    "a mistake of the user": UserError("wrong"),
    "no memory": MemoryError(),
    "a bug": RuntimeError("bug"),
    "a full disk": OSError(errno.ENOSPC, "No space left on device"),
    "a failing disk": OSError(errno.EIO, "Input/output error", "/data"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("below", [".", "new/newer"])
def test_whatever_ends_a_training_before_its_first_epoch_leaves_no_folder(
    end: str, below: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    break_build(monkeypatch, ENDS[end])
    out = tmp_path / below / "run"
    with pytest.raises(type(ENDS[end])) if end in ("no memory", "a bug") else nullcontext():
        main(["train", "image", *SMALL, "--out", str(out)])
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert main(["train", "image", *SMALL, "--out", str(out)]) == 0


@pytest.mark.parametrize("data", ["missing", "empty", "file"])
@pytest.mark.parametrize("task", ["image", "ner", "text2sql"])
def test_wrong_data_leave_no_folder(
    task: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"\x89PNG" + bytes(30))
    assert main(["train", task, "--scale", "smoke", "--data", str(tmp_path / data), "--json"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_a_disk_that_is_full_before_the_first_checkpoint_says_to_start_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from normlab.engine import loop

    def full(path: Path, *rest: object) -> None:
        raise WriteError(OSError(errno.ENOSPC, "No space left on device"), path)

    monkeypatch.setattr(loop, "save_training", full)
    line = fails(capsys, "train", "image", *SMALL, "--out", tmp_path / "r", code=1)
    assert "no space left on its disk" in line
    assert "run the same command again" in line
    assert not (tmp_path / "r").exists()


def test_an_interrupt_before_the_first_epoch_keeps_the_run_to_be_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from normlab.tasks.image.task import ImageTask

    def interrupt(self: Any, *rest: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageTask, "build", interrupt)
    assert main(["train", "image", *SMALL, "--out", str(tmp_path / "r")]) == 1
    assert "normlab resume" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["resume", str(tmp_path / "r"), "--json"]) == 0


def test_a_run_folder_that_cannot_be_filled_is_taken_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from normlab.runs import folder

    def full(path: Path, text: str) -> None:
        raise WriteError(OSError(errno.ENOSPC, "No space left on device"), path)

    monkeypatch.setattr(folder, "write_text", full)
    with pytest.raises(WriteError):
        RunFolder.create(tmp_path / "a" / "b", ImageConfig(), "image")
    assert list(tmp_path.iterdir()) == []


# Weights


@pytest.fixture
def copy_of_run(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def foreign_weights() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"x": torch.zeros(3)}, metadata={"counters": "{}", "optimizer": "{}"})


def other_shapes(content: bytes) -> bytes:
    from safetensors.torch import load, save

    return save({name: value.reshape(-1)[:1].clone() for name, value in load(content).items()})


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "text": lambda content: b"not weights",
    "of something else": lambda content: foreign_weights(),
    "of other shapes": other_shapes,
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_of_something_else_are_one_line(
    kind: str, copy_of_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy_of_run / "checkpoints" / "model.safetensors"
    path.write_bytes(WEIGHTS[kind](path.read_bytes()))
    assert str(path) in fails(capsys, "evaluate", copy_of_run)


@pytest.mark.parametrize("kind", [*WEIGHTS, "damaged counters", "unknown counters", "a wrong index"])
def test_a_checkpoint_of_something_else_is_one_line(
    kind: str, copy_of_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors import safe_open
    from safetensors.torch import load, save

    path = copy_of_run / "checkpoints" / "last.safetensors"
    (copy_of_run / "result.json").unlink()
    if kind in WEIGHTS:
        path.write_bytes(WEIGHTS[kind](path.read_bytes()))
    else:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata())
        tensors = load(path.read_bytes())
        if kind == "a wrong index":
            tensors["optimizer.9999.momentum_buffer"] = tensors.popitem()[1]
        metadata["counters"] = {"damaged counters": "[1", "unknown counters": '{"epoch": "x", "other": 1}'}.get(
            kind, metadata["counters"]
        )
        path.write_bytes(save(tensors, metadata=metadata))
    assert str(path) in fails(capsys, "resume", copy_of_run)


def test_a_card_of_another_run_is_one_line(copy_of_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy_of_run / "card.json").write_text(json.dumps({"mean": [0.5]}), encoding="utf-8")
    assert "card.json" in fails(capsys, "predict", copy_of_run, copy_of_run / "log.txt")


# Locks and other people's runs


def test_a_file_system_without_locks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from normlab.runs import lock

    for number in (errno.ENOLCK, errno.EOPNOTSUPP):

        def unsupported(file: Any, *, shared: bool = False, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(lock, "_try_lock", unsupported)
        with pytest.raises(UserError, match=r"its file system has no locks .*choose a folder on another disk"):
            FolderLock(tmp_path / ".lock").acquire(tmp_path)


def test_a_run_that_may_not_be_written_says_to_copy_it(
    run: Path, copy_of_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may write everywhere, so the system's answer is made up."""
    real = Path.open

    def refuse(self: Path, *rest: Any, **options: Any) -> Any:
        if self.name == ".lock":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *rest, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert main(["resume", str(run), "--json"]) == 0  # finished: nothing is to be written
    assert "finished already" in capsys.readouterr().err
    (copy_of_run / "result.json").unlink()
    assert "you may not write to it" in fails(capsys, "resume", copy_of_run)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becoming another user needs root")
def test_another_users_run_can_be_read(run: Path) -> None:
    """Listing and reporting write nothing into it."""
    code = (
        "import os, sys, encodings.utf_8_sig\n"
        "from normlab.runs import RunFolder\n"
        "os.seteuid(65534)\n"
        "folder = RunFolder.open(sys.argv[1])\n"
        "print(folder.status()['state'], len(folder.metrics()), folder.result()['state'])"
    )
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to others
        os.chmod(open_to_all, 0o755)
        shutil.copytree(run, Path(open_to_all) / "run")
        for path in Path(open_to_all).rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask was when it was written
        words = [sys.executable, "-c", code, str(Path(open_to_all) / "run")]
        answer = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)
    assert answer.stdout.split() == ["finished", "1", "finished"], answer.stderr


# The last net


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENOSPC, 1, "no space left on its disk"),
        (errno.EDQUOT, 1, "your quota"),
        (errno.EIO, 1, "the disk fails"),
        (errno.EROFS, 2, "its file system is read-only"),
        (errno.EACCES, 2, "you may not write there"),
        (errno.EISDIR, 2, "is a folder, where a file is wanted"),
        (errno.ENOTDIR, 2, "a part of the path is a file"),
        (errno.EMFILE, 1, "too many files are open"),
        (errno.EBADF, 1, "the system refuses it"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_cause_and_file(number: int, code: int, said: str) -> None:
    report = report_of(WriteError(OSError(number, os.strerror(number)), "runs/report.html"))
    assert report is not None
    assert report.code == code
    assert report.line.startswith("runs/report.html: ")
    assert said in report.line
    assert "resume" not in report.line


def test_a_full_disk_during_a_report_names_the_report(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "_flush", full)
    line = fails(capsys, "report", run, "--out", tmp_path / "r.html", code=1)
    assert str(tmp_path / "r.html") in line
    assert "resume" not in line
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_system_without_a_number_stays_a_traceback() -> None:
    assert report_of(OSError("a bug of ours")) is None


def test_a_write_error_survives_the_way_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(WriteError(OSError(errno.ENOSPC, "full"), "a/b")))
    assert (type(error), error.errno, error.strerror, error.filename) == (WriteError, errno.ENOSPC, "full", "a/b")


# The shell's side


def shell(command: str, **environment: str) -> tuple[str, int]:
    """Run a line of sh with `normlab` standing for this interpreter's; return standard error and the exit code."""
    script = f'normlab() {{ "{sys.executable}" -m normlab "$@"; }}\n{command}'
    kept = {name: value for name, value in os.environ.items() if name not in environment}
    given = {name: value for name, value in environment.items() if value}
    answer = subprocess.run(["sh", "-c", script], capture_output=True, env=kept | given, check=False)
    return answer.stderr.decode(errors="replace"), answer.returncode


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
@pytest.mark.parametrize(
    "command",
    [
        "normlab list studies | head -1",
        "normlab list studies | true",
        "normlab train image --help | head -1",
        "normlab list studies >&-",
        "normlab list studies <&-",
        "normlab list studies 2>&-",
        "normlab list norms > /dev/null",
    ],
)
def test_pipes_and_closed_streams_are_no_traceback(command: str) -> None:
    stderr, code = shell(command)
    assert stderr == ""
    assert code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TERM": "dumb", "COLUMNS": "20"},
        {"HOME": ""},
        {"TZ": "Asia/Kolkata"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_any_environment_lists_and_explains(environment: dict[str, str]) -> None:
    stderr, code = shell("normlab list studies && normlab train image --help && normlab list presets", **environment)
    assert stderr == ""
    assert code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
def test_a_run_in_an_ascii_locale_writes_utf8_and_closed_rights(tmp_path: Path) -> None:
    out = tmp_path / "läuft"
    command = f"umask 077; normlab train image {' '.join(SMALL[:-1])} --out '{out}' && normlab report '{out}'"
    stderr, code = shell(command, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", TZ="Asia/Kolkata")
    assert code == 0, stderr
    assert "Traceback" not in stderr
    assert (out / "result.json").stat().st_mode & 0o077 == 0
    first = (out / "log.txt").read_text(encoding="utf-8").splitlines()[0]
    assert first.split()[1].endswith("+00:00")
