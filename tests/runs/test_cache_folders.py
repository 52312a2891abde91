"""One rule says where caches are, and a place that cannot be used costs a line, never a traceback."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
import pytest

from normlab.runs import cache_folders
from normlab.runs.cache_folders import cache_root, writable_folder


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NORMLAB_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache_folders, "_said", set())
    cache_folders._temporary_root.cache_clear()
    yield
    cache_folders._temporary_root.cache_clear()


@pytest.mark.parametrize(
    ("normlab_cache", "xdg", "expected"),
    [
        ("{tmp}/own", "{tmp}/xdg", "{tmp}/own"),
        ("~/own", None, "{tmp}/own"),
        ("", "{tmp}/xdg", "{tmp}/xdg/normlab"),
        (None, "~/xdg", "{tmp}/xdg/normlab"),
        (None, "relative", "{default}"),  # the standard says that such a value is to be ignored
        (None, None, "{default}"),
    ],
)
def test_the_first_of_three_places_that_is_named_is_taken(tmp_path, monkeypatch, normlab_cache, xdg, expected):
    names = {"tmp": str(tmp_path)}
    for variable, value in (("NORMLAB_CACHE", normlab_cache), ("XDG_CACHE_HOME", xdg)):
        if value is not None:
            monkeypatch.setenv(variable, value.format(**names))
    if expected == "{default}":
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        names["default"] = platformdirs.user_cache_dir("normlab", appauthor=False)
        if xdg is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache_root() == Path(expected.format(**names))
    assert not cache_root().exists(), "asking makes nothing"


def test_a_relative_name_is_taken_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORMLAB_CACHE", "here")
    assert cache_root() == tmp_path / "here"


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/x", "~nobody-of-this-name/cache"])
def test_a_place_that_cannot_be_used_is_replaced_in_one_line(tmp_path, monkeypatch, capsys, place):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORMLAB_CACHE", place)
    for _ in range(2):
        folder = writable_folder("kernels")
        (folder / "something").write_text("kept")
    assert folder.parent.parent == tmp_path / "scratch"
    assert stat.S_IMODE(folder.parent.stat().st_mode) & 0o022 == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "NORMLAB_CACHE" in lines[0]
    assert not (tmp_path / "~nobody-of-this-name").exists()


def test_a_replacement_that_somebody_else_could_fill_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("NORMLAB_CACHE", "/proc/x")
    others = tmp_path / "scratch" / f"normlab-{os.getuid()}"
    others.mkdir()
    others.chmod(0o777)
    assert writable_folder("kernels").parent != others


def test_a_replacement_that_is_a_link_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("NORMLAB_CACHE", "/proc/x")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "scratch" / f"normlab-{os.getuid()}"
    link.symlink_to(tmp_path / "elsewhere")
    assert writable_folder("kernels").parent != link


def test_without_a_home_folder_it_goes_to_the_temporary_one(tmp_path):
    """As in a container that runs under a number without an entry among the users."""
    script = (
        "import os, pwd\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "from normlab.runs.cache_folders import writable_folder\n"
        "print(writable_folder('kernels'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    environment |= {"TMPDIR": str(tmp_path / "scratch")}
    environment.pop("NORMLAB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "scratch"))
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "~").exists()


def test_every_cache_of_the_package_asks_this_one_place():
    """The environment variables are read here and nowhere else."""
    source = Path(cache_folders.__file__).parents[1]
    names = [f'"{name}"' for name in ("NORMLAB_CACHE", "XDG_CACHE_HOME", ".cache")]
    texts = {path.relative_to(source).as_posix(): path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    readers = [path for path, text in texts.items() if any(name in text for name in names)]
    assert readers == ["runs/cache_folders.py"]
