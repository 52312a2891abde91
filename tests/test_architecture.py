"""The import rules of docs/architecture.md, checked on the syntax trees: imports inside functions count too.

Each part imports only what its line of ALLOWED lists, nothing imports a higher layer, and there is no circle: neither
between modules nor between the children of a package.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "normlab"

# Small modules, lowest first: each may import those before it, and every package may import all of them.
FOUNDATION = (
    "version",
    "errors",
    "plurals",
    "file_kind",
    "reading",
    "yaml_file",
    "json_file",
    "html_table",
    "registry",
    "own_code",
    "metrics",
    "acting",
    "config",
    "train_config",
)
# Packages of normlab that a part may import, beside itself and the foundation. `cli` may import everything.
ALLOWED: dict[str, set[str]] = {
    **{name: set(FOUNDATION[:index]) for index, name in enumerate(FOUNDATION)},
    "runs": set(),
    "kernels": {"runs.atomic", "runs.cache_folders", "runs.environment"},
    "norms": {"kernels"},
    "nn": {"norms", "kernels"},
    "data": {"kernels", "runs.atomic", "runs.cache_folders"},
    "tasks": {"nn", "norms", "kernels", "data", "runs.atomic", "runs.cache_folders", "runs.starting_point"},
    "engine": {"runs", "tasks", "kernels"},
    "studies": {"runs", "tasks", "engine.api", "norms"},
    "report": {"runs", "studies", "norms", "data.tagging.scheme"},
    "apps": {"runs", "engine.api", "nn", "data", "tasks"},
    "bench": {"norms", "nn", "kernels", "data", "tasks", "engine", "runs"},
}
# All parts, lowest first: no import leads from a part to a later one.
LAYERS = (
    *FOUNDATION,
    "runs",
    "kernels",
    "norms",
    "nn",
    "data",
    "tasks",
    "engine",
    "studies",
    "report",
    "apps",
    "bench",
    "cli",
)
# Code that runs on another machine, where an older normlab may have no `normlab.version`.
IMPORTS_THE_PUBLIC_NAMES = ("studies.cluster.pieces",)
NO_TORCH = (*FOUNDATION, "runs", "studies", "report")
# Third-party packages that only these places may import; all others stay usable without them.
ONLY_IN = {
    "transformers": {"nn/pretrained.py"},
    "tokenizers": {"nn/pretrained.py"},
    "triton": {"kernels/norm/triton_loops.py"}
    | {f"kernels/{block}/triton.py" for block in ("norm", "lstm", "crf", "augment")},
    "ray": {"studies/cluster/"},
    "optuna": {"studies/search/proposals.py"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "rich": {"engine/progress.py", "cli/look.py", "cli/result_rows.py", "cli/tag.py"},
    "pooch": {"data"},
    "torchcrf": {"bench/sequence.py"},
    "seqeval": {"bench/ner.py"},
    "gradio": {"apps/serve/app.py", *(f"apps/serve/{tab}_tab.py" for tab in ("image", "text", "database", "study"))},
    "fastapi": {"apps/serve/app.py"},
    "uvicorn": {"apps/serve/server.py"},
}


Graph = dict[str, set[str]]  # what imports -> what it imports


def modules() -> list[Path]:
    paths = sorted(SOURCE.rglob("*.py"))
    assert len(paths) > 100, f"{SOURCE} does not hold the sources"
    return paths


def packages() -> list[str]:
    """Return the packages as dotted names, "" for normlab itself."""
    return sorted({".".join(path.parent.relative_to(SOURCE).parts) for path in modules()})


@cache
def module_graph(root: Path) -> Graph:
    """Return module -> modules of `root` that it imports, as dotted names without "normlab"; "" is the root package."""
    names = {_dotted(path, root): path for path in root.rglob("*.py")}
    graph: Graph = {}
    for name, path in names.items():
        targets = (_module_of(target, names) for target, _ in imported(path))
        graph[name] = {target for target in targets if target is not None and target != name}
    return graph


def child_graph(graph: Graph, package: str) -> Graph:
    """Return the imports between the children (modules and folders) of a package; its __init__ is left out."""
    between: Graph = defaultdict(set)
    for name, targets in graph.items():
        for target in targets:
            child, imported_child = _child_of(name, package), _child_of(target, package)
            if child and imported_child and child != imported_child:
                between[child].add(imported_child)
    return between


def circle_in(graph: Mapping[str, set[str]]) -> str:
    """Return one import circle as "a -> b -> a"; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))  # graphlib lists what is imported before what imports it
    return ""


def _dotted(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def _module_of(target: str, names: Mapping[str, Path]) -> str | None:
    """Return the module that an import of `normlab.a.b.name` loads: the longest dotted name that is a module."""
    top, _, inner = target.partition(".")
    if top != "normlab":
        return None
    while inner and inner not in names:
        inner = inner.rpartition(".")[0]
    return inner


def _child_of(name: str, package: str) -> str:
    inside = name.removeprefix(f"{package}.") if package else name
    return "" if package and inside == name else inside.partition(".")[0]


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
def test_a_module_imports_only_what_the_rules_allow(path: Path) -> None:
    owner = part(path)
    if owner not in ALLOWED:
        assert owner in {"__init__", "__main__", "cli"}, f"{owner} has no line in ALLOWED"
        return
    for target, line in imported(path):
        if target.startswith("normlab."):
            assert permitted(target, owner), f"{path}:{line}: {owner} imports {target}"


def test_the_layers_are_all_parts_and_the_rules_point_downwards() -> None:
    parts = {part(path) for path in modules()} - {"__init__", "__main__"}
    assert parts == set(LAYERS)
    upward = [
        f"{owner} -> {target}"
        for owner, targets in ALLOWED.items()
        for target in targets
        if LAYERS.index(target.partition(".")[0]) >= LAYERS.index(owner)
    ]
    assert not upward


def test_no_import_leads_upwards() -> None:
    """Nothing below imports a higher layer, the command line, or the package's public names in normlab/__init__.py."""
    upward, looked_at = [], 0
    for name, targets in module_graph(SOURCE).items():
        if name in ("__main__", *IMPORTS_THE_PUBLIC_NAMES):
            continue
        for target in targets:
            looked_at += 1
            owner, owned = name.partition(".")[0], target.partition(".")[0]
            if not owned or (owner and LAYERS.index(owned) > LAYERS.index(owner)):
                upward.append(f"{name or 'normlab'} -> {target or 'normlab'}")
    assert looked_at > 500
    assert not upward


def test_no_import_circle_between_modules() -> None:
    assert circle_in(module_graph(SOURCE)) == ""


@pytest.mark.parametrize("package", packages(), ids=lambda package: package or "normlab")
def test_no_import_circle_between_the_children_of_a_package(package: str) -> None:
    assert circle_in(child_graph(module_graph(SOURCE), package)) == ""


def test_a_circle_is_found(tmp_path: Path) -> None:
    files = {
        "__init__.py": "",
        "a/__init__.py": "",
        "a/one.py": "from normlab.b.two import f",
        "b/__init__.py": "",
        "b/two.py": "def f():\n    import normlab.b.three",
        "b/three.py": "from normlab.a import other",
        "a/other.py": "from normlab import VERSION",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = module_graph(tmp_path)
    assert graph["a.other"] == {""}  # the package's public names
    assert circle_in(graph) == ""  # no module imports itself in the end ...
    assert circle_in(child_graph(graph, "")) in ("a -> b -> a", "b -> a -> b")  # ... but the two folders do
    assert circle_in({**graph, "a.other": {"a.one"}}).count(" -> ") == 4


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


def test_the_engine_knows_tasks_by_their_base_class_only() -> None:
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


def test_a_forbidden_import_is_found(tmp_path: Path) -> None:
    forbidden = tmp_path / "forbidden.py"
    forbidden.write_text("def f():\n    from normlab.engine.loop import Training\n")
    assert [(target, permitted(target, "norms")) for target, _ in imported(forbidden)] == [
        ("normlab.engine.loop.Training", False)
    ]


def test_no_module_is_named_for_a_mixture() -> None:
    assert not [path for path in modules() if path.stem in {"utils", "util", "helpers", "common", "misc"}]
