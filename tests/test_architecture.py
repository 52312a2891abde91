"""The import law of docs/architecture.md, enforced on the syntax trees: who may import whom, lazily or not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "normlab"

# Small modules that know nothing of the rest, lowest first: each may import those before it, every package all.
FOUNDATION = (
    "version",
    "errors",
    "file_kind",
    "reading",
    "yaml_file",
    "json_file",
    "registry",
    "metrics",
    "acting",
    "config",
)
# Packages of normlab that a part may import, beside itself and the foundation. `cli` may import everything.
ALLOWED: dict[str, set[str]] = {
    **{name: set(FOUNDATION[:index]) for index, name in enumerate(FOUNDATION)},
    "runs": set(),
    "kernels": {"runs.atomic", "runs.cache_folders"},
    "norms": {"kernels"},
    "nn": {"norms", "kernels"},
    "data": {"kernels", "runs.atomic", "runs.cache_folders"},
    "tasks": {"nn", "norms", "kernels", "data", "runs.atomic", "runs.cache_folders"},
    "engine": {"runs", "tasks", "kernels"},
    "studies": {"runs", "tasks", "engine.api", "norms"},
    "report": {"runs", "studies", "norms", "data.tagging.scheme"},
    "apps": {"runs", "engine.api", "nn", "data", "tasks"},
    "bench": {"norms", "nn", "kernels", "data", "tasks", "engine", "runs"},
}
NO_TORCH = (*FOUNDATION, "runs", "studies", "report")
# Third-party packages that only these places may import; all others stay usable without them.
ONLY_IN = {
    "transformers": {"nn/pretrained.py"},
    "tokenizers": {"nn/pretrained.py"},
    "triton": {f"kernels/{block}/triton.py" for block in ("norm", "lstm", "crf", "augment")},
    "ray": {"studies/cluster/"},
    "optuna": {"studies/search/proposals.py"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "rich": {"engine/progress.py", "cli/look.py", "cli/ask.py"},
    "pooch": {"data"},
    "torchcrf": {"bench/sequence.py"},
    "seqeval": {"bench/ner.py"},
}


def modules() -> list[Path]:
    found = sorted(SOURCE.rglob("*.py"))
    assert len(found) > 100, "the sources are not where they were"
    return found


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every module that a file imports, with the line, skipping blocks for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((f"{node.module}.{name.name}", node.lineno) for name in node.names)


def part(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def permitted(target: str, owner: str) -> bool:
    inner = target.removeprefix("normlab.")
    foundation = set() if owner in FOUNDATION else set(FOUNDATION)
    return any(inner == place or inner.startswith(f"{place}.") for place in ALLOWED[owner] | foundation | {owner})


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_the_law_allows(path: Path) -> None:
    owner = part(path)
    if owner not in ALLOWED:
        assert owner in {"__init__", "__main__", "cli"}, f"{owner} has no line in the law"
        return
    for target, line in imported(path):
        if target.startswith("normlab."):
            assert permitted(target, owner), f"{path}:{line}: {owner} imports {target}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_parts_that_read_results_never_import_torch(path: Path) -> None:
    if part(path) in NO_TORCH:
        assert not [line for target, line in imported(path) if target.split(".")[0] == "torch"]


def test_a_task_does_not_import_another_task() -> None:
    looked_at: set[str] = set()
    for path in modules():
        parts = path.relative_to(SOURCE).parts
        if parts[0] == "tasks" and len(parts) > 2:
            looked_at.add(parts[1])
            for target, line in imported(path):
                inner = target.split(".")
                foreign = inner[:2] == ["normlab", "tasks"] and inner[2] not in {
                    parts[1],
                    "base",
                    "TASKS",
                    "task_settings",
                }
                assert not foreign, f"{path}:{line}: imports {target}"
    assert looked_at >= {"image", "ner", "text2sql"}


def test_the_engine_knows_tasks_by_their_protocol_only() -> None:
    imports_of_tasks = 0
    for path in modules():
        if part(path) == "engine":
            for target, line in imported(path):
                if target.startswith("normlab.tasks."):
                    imports_of_tasks += 1
                    assert target.split(".")[2] in {"base", "TASKS", "task_settings"}, f"{path}:{line}: {target}"

    assert imports_of_tasks > 3


def test_optional_packages_are_imported_in_their_one_place() -> None:
    met: set[str] = set()
    for path in modules():
        relative = path.relative_to(SOURCE).as_posix()
        for target, line in imported(path):
            places = ONLY_IN.get(target.split(".")[0])
            if places is not None:
                met.add(target.split(".")[0])
                assert any(relative.startswith(place) for place in places), f"{path}:{line}: imports {target}"
    assert len(met) > 5


def test_the_law_catches_a_breach(tmp_path: Path) -> None:
    breach = tmp_path / "breach.py"
    breach.write_text("def f():\n    from normlab.engine.loop import Training\n")
    assert [(target, permitted(target, "norms")) for target, _ in imported(breach)] == [
        ("normlab.engine.loop.Training", False)
    ]


def test_no_module_is_a_drawer() -> None:
    assert not [path for path in modules() if path.stem in {"utils", "util", "helpers", "common", "misc"}]
