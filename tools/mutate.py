"""Mutation testing: change one place of a file at a time and see whether its tests notice.

    python tools/mutate.py src/normlab/studies/pairs.py --tests tests/studies/test_tables.py
    python tools/mutate.py src/normlab/norms/*.py --tests tests/norms --sample 100 --preload torch,numpy

A mutant that no test fails for is a survivor: either the tests miss that behaviour, or the change makes no difference
(an equivalent mutant, which a person has to recognize). Everything happens in a copy of the working tree, so that an
interrupted campaign leaves nothing behind. Mutants are numbered by place and kind, so `--sample 50 --seed 1` picks the
same ones again as long as the files do not change.

The operators are those of the field (DeMillo, Lipton & Sayward 1978; Offutt et al. 1996, "an experimental determination
of sufficient mutant operators"): comparison, arithmetic, logic and constants, with statements, keyword arguments and
conditions removed. Strings, annotations and the messages of exceptions are left alone. A line with `# no mutants` is
skipped.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "/",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.MatMult: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "floor": "ceil", "ceil": "floor"}
SKIP = "# no mutants"


@dataclass(frozen=True)
class Mutant:
    """One change of a file's text: bytes [start, stop) become `text`."""

    path: str  # relative to the tree's root
    line: int  # from 1
    kind: str
    start: int
    stop: int
    text: str

    @property
    def name(self) -> str:
        """Its place and kind, for people."""
        return f"{self.path}:{self.line} {self.kind}"

    def applied(self, source: bytes) -> bytes:
        """Return the changed file."""
        return source[: self.start] + self.text.encode() + source[self.stop :]

    def difference(self, source: bytes) -> str:
        """Return the lines that changed, as - old and + new."""
        old, new = source.decode().splitlines(), self.applied(source).decode().splitlines()
        lines = difflib.unified_diff(old, new, lineterm="", n=0)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def mutants_of(source: bytes, path: str) -> list[Mutant]:
    """Return every mutant of a file that is still valid Python, in the order of their places."""
    mutants = []
    for mutant in _Finder(source, path).mutants():
        with suppress(SyntaxError, ValueError):
            ast.parse(mutant.applied(source))
            mutants.append(mutant)
    return sorted(set(mutants), key=lambda mutant: (mutant.start, mutant.stop, mutant.text))


class _Finder:
    """Walks a syntax tree and yields the mutants of each node."""

    def __init__(self, source: bytes, path: str) -> None:
        self.source, self.path = source, path
        self.tree = ast.parse(source)
        lengths = [len(line) for line in source.splitlines(keepends=True)]
        self.line_starts = [sum(lengths[:number]) for number in range(len(lengths) + 1)]
        self.skipped = {n for n, line in enumerate(source.decode().splitlines(), start=1) if SKIP in line}

    def mutants(self) -> Iterator[Mutant]:
        for node in self._walk(self.tree):
            if getattr(node, "lineno", 0) not in self.skipped:
                yield from self._of_statement(node)
                yield from self._of_expression(node)

    def _walk(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes whose value matters when the program runs and is no message for people."""
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            if isinstance(node, ast.keyword) and node.arg == "strict":
                continue
            if isinstance(node, ast.Raise) or (isinstance(node, ast.Assert) and name == "msg"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                    continue
                if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                    yield from self._walk(child)

    def _of_statement(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom):
            yield self._replace(node, "pass", "call removed")
        elif isinstance(node, ast.AugAssign | ast.Raise):
            yield self._replace(node, "pass", f"{type(node).__name__.lower()} removed")
        elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
            yield self._replace(node, "return None", "returns None")
        elif isinstance(node, ast.Break):
            yield self._replace(node, "continue", "break -> continue")
        elif isinstance(node, ast.Continue):
            yield self._replace(node, "break", "continue -> break")
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield self._replace(node.test, f"(not ({self._text(node.test)}))", "condition negated")
        if isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield self._replace(test, "True", "filter removed")

    def _of_expression(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.Compare):
            yield from self._of_comparison(node)
        elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            new = ARITHMETIC[type(node.op)]
            yield self._between(node.left, node.right, new, "arithmetic")
        elif isinstance(node, ast.BoolOp):
            new = "or" if isinstance(node.op, ast.And) else "and"
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield self._between(left, right, new, "logic")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            yield self._replace(node, f"({self._text(node.operand)})", "sign or not removed")
        elif isinstance(node, ast.Constant):
            yield from self._of_constant(node)
        elif isinstance(node, ast.Call):
            yield from self._of_call(node)

    def _of_comparison(self, node: ast.Compare) -> Iterator[Mutant]:
        sides = [node.left, *node.comparators]
        for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
            for new in COMPARISONS[type(operator)]:
                yield self._between(left, right, new, "comparison")

    def _of_constant(self, node: ast.Constant) -> Iterator[Mutant]:
        if isinstance(node.value, bool):
            yield self._replace(node, str(not node.value), "constant")
        elif isinstance(node.value, int):
            yield self._replace(node, str(node.value + 1), "constant")
            if node.value > 0:
                yield self._replace(node, str(node.value - 1), "constant")
        elif isinstance(node.value, float):
            yield self._replace(node, repr(node.value * 2 if node.value else 1.0), "constant")

    def _of_call(self, node: ast.Call) -> Iterator[Mutant]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in NAMES:
            stop = self._span(node.func)[1]
            yield self._edit(node.lineno, stop - len(name), stop, NAMES[name], f"{name} -> {NAMES[name]}")
        for keyword in node.keywords:  # `strict` of zip guards what does not happen
            if keyword.arg not in (None, "strict"):
                start, stop = self._span(keyword)
                while self.source[stop : stop + 1].isspace():
                    stop += 1
                stop += self.source[stop : stop + 1] == b","
                yield self._edit(keyword.lineno, start, stop, "", f"argument {keyword.arg} removed")

    def _between(self, left: ast.expr, right: ast.expr, new: str, kind: str) -> Mutant:
        """Replace the operator between two operands; parentheses of theirs stay."""
        start, stop = self._span(left)[1], self._span(right)[0]
        gap = self.source[start:stop].decode()
        old = gap.strip().strip("()").strip()
        before, after = gap.split(old, 1) if old else (gap, "")
        return self._edit(
            left.end_lineno or left.lineno, start, stop, f"{before}{new}{after}", f"{kind} {old} -> {new}"
        )

    def _replace(self, node: ast.AST, text: str, kind: str) -> Mutant:
        start, stop = self._span(node)
        shown = f"{kind} {self._text(node)} -> {text}" if kind == "constant" else kind
        return self._edit(getattr(node, "lineno", 0), start, stop, text, shown)

    def _edit(self, line: int, start: int, stop: int, text: str, kind: str) -> Mutant:
        return Mutant(self.path, line, kind, start, stop, text)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.line_starts[node.lineno - 1] + node.col_offset
        return start, self.line_starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.AST) -> str:
        start, stop = self._span(node)
        return self.source[start:stop].decode()


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


class Tests:
    """Runs tests in a copy of the tree, with a deadline.

    Args:
        root: of the copy.
        arguments: pytest's, e.g. files of tests.
        preload: modules that are imported once, before each run forks off; not those under test.
    """

    def __init__(self, root: Path, arguments: Sequence[str], preload: Sequence[str] = ()) -> None:
        self.root, self.preload = root, list(preload)
        self.process: subprocess.Popen[bytes] | None = None  # referred to, so that only `run` waits for it
        self.arguments = ["-x", "-q", "-p", "no:cacheprovider", *arguments]
        for name in ("pytest", *self.preload):
            importlib.import_module(name)

    def run(self, seconds: float) -> str:
        """Return "passed", "failed", "timeout", or "broken" if pytest ran no test."""
        pid = self._fork() if self.preload and hasattr(os, "fork") else self._start()
        end, done, status = time.monotonic() + seconds, 0, 0
        try:
            while not done and time.monotonic() < end:
                time.sleep(0.02)
                done, status = os.waitpid(pid, os.WNOHANG)
        finally:  # an interrupt of the campaign too leaves nothing running, and what tests left behind ends
            _kill_group(pid)
            if not done:
                os.waitpid(pid, 0)
        if not done:
            return "timeout"
        return {0: "passed", 4: "broken", 5: "broken"}.get(os.waitstatus_to_exitcode(status), "failed")

    def _environment(self) -> dict[str, str]:
        paths = [str(self.root / "src"), str(self.root), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}

    def _start(self) -> int:
        with (self.root.parent / "output.txt").open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *self.arguments],
                cwd=self.root,
                env=self._environment(),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process.pid

    def _fork(self) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:  # in the child: nothing of this may return
            os.setsid()
            output = os.open(self.root.parent / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(self.root)
            os.environ.update(self._environment())
            sys.path[:0] = [str(self.root / "src"), str(self.root)]
            import pytest

            code = int(pytest.main(self.arguments))
        finally:
            os._exit(code)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def copy_tree(root: Path, target: Path) -> None:
    """Copy a working tree: what git tracks or would track; all but hidden folders where git knows nothing."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True
    )
    if listed.returncode or not listed.stdout:
        shutil.copytree(root, target, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        return
    for name in listed.stdout.decode().split("\0"):
        if name and (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)


def campaign(
    root: Path,
    files: Sequence[str],
    tests: Sequence[str],
    *,
    sample: int | None = None,
    seed: int = 0,
    preload: Sequence[str] = (),
    lines: range | None = None,
    say: Callable[[str], None] = print,
) -> list[tuple[Mutant, str]]:
    """Run the tests on each mutant of the files; return (mutant, "killed", "survived" or "timeout").

    Args:
        root: the working tree; nothing in it is written.
        files: relative to the root.
        sample: how many mutants to draw; None: all.
        lines: only mutants on these lines.
    Raises: SystemExit if the tests do not pass unchanged.
    """
    sources = {name: (root / name).read_bytes() for name in files}
    mutants = [mutant for name, source in sources.items() for mutant in mutants_of(source, name)]
    if lines is not None:
        mutants = [mutant for mutant in mutants if mutant.line in lines]
    if sample is not None and sample < len(mutants):
        drawn = sorted(random.Random(seed).sample(range(len(mutants)), sample))
        mutants = [mutants[index] for index in drawn]
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copy = Path(scratch) / "tree"
        copy_tree(root, copy)
        runner = Tests(copy, tests, preload)
        started = time.monotonic()
        if (state := runner.run(3600)) != "passed":
            raise SystemExit(f"the tests do not pass unchanged ({state}):\n{_tail(copy.parent / 'output.txt')}")
        limit = 10 + 5 * (time.monotonic() - started)
        say(f"{len(mutants)} mutants; the tests take {time.monotonic() - started:.1f} s unchanged")
        results = []
        for number, mutant in enumerate(mutants, start=1):
            source = sources[mutant.path]
            _write(copy / mutant.path, mutant.applied(source))
            state = {"passed": "survived", "failed": "killed"}.get(ended := runner.run(limit), ended)
            _write(copy / mutant.path, source)
            results.append((mutant, state))
            shown = f"\n{mutant.difference(source)}" if state == "survived" else ""
            say(f"[{number}/{len(mutants)}] {state:<8} {mutant.name}{shown}")
    return results


def _write(path: Path, content: bytes) -> None:
    """Write a source and drop its compiled form, whose age is compared in whole seconds."""
    path.write_bytes(content)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:])


def main(argv: Sequence[str] | None = None) -> int:
    """Run a campaign from the command line; exit with 1 if a mutant survived."""
    parser = argparse.ArgumentParser(description="Change one place of a file at a time and see whether tests notice.")
    parser.add_argument("files", nargs="+", help="Python files, relative to the tree's root")
    parser.add_argument("--tests", nargs="+", required=True, help="what pytest gets: files of tests, -k, ...")
    parser.add_argument("--root", type=Path, default=Path(), help="the working tree [.]")
    parser.add_argument("--sample", type=int, help="draw so many mutants; default all")
    parser.add_argument("--seed", type=int, default=0, help="of the draw [0]")
    parser.add_argument("--lines", help="only mutants on these lines, e.g. 10-40")
    parser.add_argument("--preload", default="", help="modules to import once, e.g. torch,scipy.stats: much faster")
    parser.add_argument("--out", type=Path, help="write the results as JSON lines")
    parser.add_argument("--list", action="store_true", help="list the mutants, run nothing")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # through every `finally`
    root = options.root.resolve()
    if options.list:
        for name in options.files:
            for mutant in mutants_of((root / name).read_bytes(), name):
                print(mutant.name)
        return 0
    first, _, last = (options.lines or "").partition("-")
    results = campaign(
        root,
        options.files,
        options.tests,
        sample=options.sample,
        seed=options.seed,
        preload=[name for name in options.preload.split(",") if name],
        lines=range(int(first), int(last or first) + 1) if first else None,
        say=lambda line: print(line, flush=True),
    )
    if options.out:
        rows = [json.dumps({**asdict(mutant), "state": state}) for mutant, state in results]
        options.out.write_text("\n".join(rows) + "\n")
    for name in options.files:
        counts = Counter(state for mutant, state in results if mutant.path == name)
        print(f"{name}: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    counts = Counter(state for _, state in results)
    print(f"{len(results)} mutants: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
