"""Networks and norms of one's own, by a reference: `package.module:name` or `file.py:name`.

A reference is resolved only where the object is needed. The digest of its source file is part of a run's settings, so
that a changed file is another experiment. Of a package only the named module's file is covered.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normlab.errors import UserError, did_you_mean, one_line


def is_reference(name: object) -> bool:
    """Say whether a name is a reference to code outside of normlab: it has a colon.

    >>> is_reference("nets.py:make"), is_reference("group")
    (True, False)
    """
    return isinstance(name, str) and ":" in name


def place_of(reference: str) -> str:
    """Return the file or module of a reference: what stands before the last colon."""
    return reference.rpartition(":")[0]


def source_of(reference: str) -> str:
    """Return the place of a reference and the digest of its source file, as one word for a run's settings.

    Raises: UserError if there is no such file or module.
    """
    content = source_file(reference).read_bytes()
    return f"{place_of(reference)}@{hashlib.sha256(content).hexdigest()[:16]}"


def load_reference(reference: str) -> Any:
    """Import the object that a reference names.

    Raises: UserError if the place does not exist, raises while it is imported, or has no such name.
    """
    place, _, name = reference.rpartition(":")
    path = source_file(reference)
    try:
        with _importable(path.parent if place.endswith(".py") else Path.cwd()):
            module = _run_file(path) if place.endswith(".py") else importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise UserError(f"{place}: cannot be imported ({what_was_raised(error)}): correct it, try again") from error
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UserError(f"{place}: has no '{name}': {did_you_mean(name, public)}")
    return getattr(module, name)


def what_was_raised(error: BaseException) -> str:
    """Return an exception's class and the first line of its message."""
    first = (str(error).strip().splitlines() or [""])[0]
    return one_line(f"{type(error).__name__}: {first}" if first else type(error).__name__)


def source_file(reference: str) -> Path:
    """Return the file of a reference, importing nothing, not even the packages above a module.

    Raises: UserError if there is no such file or module.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name.isidentifier():
        raise UserError(f"'{reference}': is no reference: write package.module:name, or file.py:name")
    if place.endswith(".py"):
        path = Path(place).expanduser()
        if not path.is_file():
            raise UserError(f"{place}: no such file, which `{reference}` names: a path starts at the current folder")
        return path.resolve()
    with _importable(Path.cwd()):
        origin = _origin_of(place)
    if origin is None:
        raise UserError(
            f"{place}: no module of that name can be imported here, which `{reference}` names: install it, or give a "
            "path that ends in .py"
        )
    return origin.resolve()


def _origin_of(module: str) -> Path | None:
    """Return the file of a module; None if there is none. `importlib.util.find_spec` would import its packages."""
    spec, folders, name = None, None, ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = importlib.machinery.PathFinder.find_spec(name, folders)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
    return Path(spec.origin) if spec is not None and spec.origin and os.path.isfile(spec.origin) else None


def _run_file(path: Path) -> Any:
    """Import a file once as a module of its own name; a changed file is imported anew."""
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]
    name = f"normlab_own_{path.stem}_{digest}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported, as for a script that lies there."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
