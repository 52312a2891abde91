"""Kernels build once, are cached by what they depend on, and fall back with one line of explanation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.kernels import build

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
from normlab.kernels import build
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
    environment = {**os.environ, "NORMLAB_CACHE": str(sources.parent / "cache"), **environment}
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
    answers = [probe.communicate(timeout=120) for probe in probes]
    assert [out.strip() for out, _ in answers] == ["2"] * 4
    assert sum("compiled" in err for _, err in answers) == 1


@pytest.mark.parametrize(
    "environment, reason",
    [
        ({"NORMLAB_KERNELS": "off"}, "NORMLAB_KERNELS=off"),
        ({"PATH": ""}, "no C++ compiler"),
        ({"CXX": "/bin/false"}, "false failed on probe.cpp"),
    ],
)
def test_a_kernel_that_cannot_be_had_costs_one_line(sources: Path, environment: dict[str, str], reason: str) -> None:
    out, err = start_probe(sources, **environment).communicate(timeout=120)
    lines = [line for line in err.splitlines() if "compiling" not in line]
    assert out.strip() == "None"
    assert len(lines) == 1
    assert reason in lines[0]


@needs_compiler
def test_a_source_that_does_not_compile_names_the_compilers_error(sources: Path) -> None:
    (sources / "probe.cpp").write_text("int broken( {")
    out, err = start_probe(sources).communicate(timeout=120)
    assert out.strip() == "None"
    assert "probe.cpp" in err.splitlines()[-1]
    assert "error" in err.splitlines()[-1]


@needs_compiler
def test_the_cache_key_depends_on_the_source(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SOURCES", sources)
    compiler = build._compiler()
    before = build._key(sources / "probe.cpp", compiler)
    (sources / "probe.cpp").write_text(PROBE_SOURCE + "// another line\n")
    assert build._key(sources / "probe.cpp", compiler) != before


def test_the_cache_key_depends_on_the_headers_that_are_included(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SOURCES", sources)
    (sources / "probe.cpp").write_text('#include "a.h"\n')
    (sources / "a.h").write_text('#include "b.h"\n')
    keys = []
    for name, text in (("b.h", "1"), ("b.h", "2"), ("other.h", "3")):
        (sources / name).write_text(f"// {text}\n")
        keys.append(build._key(sources / "probe.cpp", "g++"))
    assert keys[0] != keys[1]
    assert keys[1] == keys[2]


def test_status_has_a_row_for_each_source() -> None:
    rows = build.status()
    assert [row["kernel"] for row in rows] == sorted(path.stem for path in build.SOURCES.glob("*.cpp"))
    assert all(row["active"] or row["reason"] for row in rows)
