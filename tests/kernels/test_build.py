"""Kernels build once, are cached by what they depend on, and fall back with one line of explanation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from normlab.kernels.runtime import build, library_cache

PROBE_SOURCE = """
#include <omp.h>
extern "C" int threads_seen(int threads) {
    int seen = 0;
#pragma omp parallel num_threads(threads) reduction(+ : seen)
    seen += 1;
    return seen;
}
"""
LOAD_PROBE = """
import sys
from pathlib import Path
from normlab.kernels.runtime import build
from normlab.kernels.runtime import library_cache
build.SOURCES = Path(sys.argv[1])
for _ in range(2):
    library = build.load.__wrapped__("probe")
print(None if library is None else library.threads_seen(2))
"""

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler here: nothing can be built"
)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "probe.cpp").write_text(PROBE_SOURCE)
    return folder


def start_probe(sources: Path, **environment: str) -> subprocess.Popen[str]:
    own = {name: value for name, value in os.environ.items() if name != "NORMLAB_KERNELS"}  # the suite may run without
    environment = {**own, "NORMLAB_CACHE": str(sources.parent / "cache"), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", LOAD_PROBE, str(sources)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_compiler
def test_concurrent_processes_build_once(sources: Path) -> None:
    probes = [start_probe(sources) for _ in range(4)]
    answers = [probe.communicate(timeout=600) for probe in probes]
    assert [out.strip() for out, _ in answers] == ["2"] * 4
    assert sum("compiled" in err for _, err in answers) == 1


def loaded(sources: Path, **environment: str) -> str:
    out, err = start_probe(sources, **environment).communicate(timeout=600)
    assert out.strip() == "2", err
    return err


@pytest.fixture
def library(sources: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The probe's library, built in this process, in a cache of its own."""
    monkeypatch.setenv("NORMLAB_CACHE", str(sources.parent / "cache"))
    monkeypatch.delenv("NORMLAB_KERNELS", raising=False)
    monkeypatch.setattr(build, "SOURCES", sources)
    assert loaded_here()
    (path,) = (sources.parent / "cache" / "kernels").glob("*.so")
    return path


def loaded_here() -> bool:
    """Load the probe as a process does that starts now, and return whether it works."""
    probe = build.load.__wrapped__("probe")
    return probe is not None and probe.threads_seen(2) == 2


@needs_compiler
@pytest.mark.parametrize("damage", ["truncated", "changed", "no record", "half a record"])
def test_a_damaged_library_is_built_again_before_it_is_loaded(
    library: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, record = library.read_bytes(), library.with_suffix(".json")
    library.unlink()  # what is mapped into this process may not change under it
    if damage == "truncated":
        library.write_bytes(content[: len(content) // 3])
    elif damage == "changed":
        library.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        library.write_bytes(content)
        record.write_text(record.read_text()[:20])
        if damage == "no record":
            record.unlink()
    built: list[Path] = []
    real = build._build
    monkeypatch.setattr(
        build, "_build", lambda source, path, compiler: built.append(path) or real(source, path, compiler)
    )
    assert loaded_here()
    assert len(built) == 1
    assert library_cache.is_whole(library)
    assert loaded_here()
    assert len(built) == 1, "a whole library was built again"


@needs_compiler
def test_what_a_killed_build_left_behind_is_removed_by_the_next(library: Path) -> None:
    folder = library.parent
    library.unlink()
    half, elsewhere, old = (folder / f".{name}.x1.tmp" for name in (library.stem, "other-0", "another-0"))
    for left in (half, elsewhere, old):
        left.mkdir()
        (left / "kernel.o").write_bytes(b"half")
    os.utime(old, (0, 0))
    assert loaded_here()
    assert [left.exists() for left in (half, elsewhere, old)] == [False, True, False]


@needs_compiler
def test_a_cache_that_cannot_be_written_costs_one_line_and_not_the_kernel(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    err = loaded(sources, NORMLAB_CACHE=str(tmp_path / "file"), TMPDIR=str(scratch))
    assert len([line for line in err.splitlines() if "NORMLAB_CACHE" in line]) == 1
    assert "Traceback" not in err
    assert list(scratch.glob("normlab-*/kernels/probe-*.so"))


@needs_compiler
def test_a_read_only_cache_is_used_for_what_it_holds(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = library.parent
    for path in (*folder.iterdir(), folder, folder.parent):
        path.chmod(0o555 if path.is_dir() else 0o444)
    capsys.readouterr()
    before = sorted(folder.iterdir())
    try:
        assert loaded_here()
    finally:
        for path in (folder.parent, folder):
            path.chmod(0o755)
    assert capsys.readouterr().err == ""
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "environment, reason",
    [
        ({"NORMLAB_KERNELS": "off"}, "NORMLAB_KERNELS=off"),
        ({"PATH": ""}, "no C++ compiler"),
        ({"CXX": "/bin/false"}, "false failed on probe.cpp"),
    ],
)
def test_an_unavailable_kernel_costs_one_line(sources: Path, environment: dict[str, str], reason: str) -> None:
    out, err = start_probe(sources, **environment).communicate(timeout=600)
    lines = [line for line in err.splitlines() if "compiling" not in line]
    assert out.strip() == "None"
    assert len(lines) == 1
    assert reason in lines[0]


@needs_compiler
def test_a_source_that_does_not_compile_names_the_compilers_error(
    library: Path, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sources / "probe.cpp").write_text("int broken( {")
    assert not loaded_here()
    said = capsys.readouterr().err.splitlines()[-1]
    assert "probe.cpp" in said
    assert "error" in said


@needs_compiler
def test_the_cache_key_depends_on_the_source(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SOURCES", sources)
    compiler = build._compiler()
    before = build._key(sources / "probe.cpp", compiler)
    (sources / "probe.cpp").write_text(PROBE_SOURCE + "// another line\n")
    assert build._key(sources / "probe.cpp", compiler) != before


def test_the_cache_key_depends_on_the_headers_that_are_included(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "_version", lambda compiler: f"{compiler} 1.0")  # there may be no compiler to ask
    (sources / "probe.cpp").write_text('#include "a.h"\n')
    (sources / "a.h").write_text('#include "b.h"\n')
    keys = []
    for name, text in (("b.h", "1"), ("b.h", "2"), ("other.h", "3")):
        (sources / name).write_text(f"// {text}\n")
        keys.append(build._key(sources / "probe.cpp", "g++"))
    assert keys[0] != keys[1]
    assert keys[1] == keys[2]


@pytest.mark.parametrize("kernel", ["probe", "glue"])
def test_the_cache_key_does_not_depend_on_where_python_and_torch_are_installed(
    sources: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    (sources / "glue.cpp").write_text("// glue\n")
    monkeypatch.setattr(build, "_version", lambda compiler: f"{compiler} 1.0")  # there may be no compiler to ask
    keys = set()
    for place in ("/home/one/.venv", "/opt/two, with a space"):
        monkeypatch.setattr(build, "_openmp_runtime", lambda place=place: Path(place) / "torch/lib/libgomp.so.1")
        monkeypatch.setattr(torch, "__file__", f"{place}/torch/__init__.py")
        monkeypatch.setattr(sys, "prefix", place)
        monkeypatch.setattr(sys, "executable", f"{place}/bin/python")
        keys.add(build._key(sources / f"{kernel}.cpp", "g++"))
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert len(keys) == 1
    assert build._key(sources / f"{kernel}.cpp", "g++") not in keys


def test_status_has_a_row_for_each_source() -> None:
    rows = build.status()
    assert [row["kernel"] for row in rows] == sorted(path.stem for path in build.SOURCES.rglob("*.cpp"))
    assert all(row["active"] or row["reason"] for row in rows)
