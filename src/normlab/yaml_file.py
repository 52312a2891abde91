"""YAML as people write settings: the one reader of the package.

Only plain values in mappings and lists are taken. A few lines of YAML can stand for gigabytes (aliases of aliases), for
objects of a program (tags), or for something else than the person meant (a key given twice, a date where a number
belongs); what is refused is told with file and line, in bounded time.
"""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from normlab.errors import UserError
from normlab.reading import read_text

_LARGEST = 1 << 20  # bytes; the largest shipped study has a few thousand
_DEEPEST = 40  # mappings and lists inside each other
_MOST_VALUES = 20_000  # with every alias written out


class YamlMapping(dict[str, Any]):
    """The keys and values at a file's top level.

    Attributes:
        lines: key -> number of its line.
        item_lines: key of a list -> the line of each of its items.
    """

    lines: dict[str, int]
    item_lines: dict[str, list[int]]


def read_yaml(path: str | os.PathLike[str]) -> YamlMapping:
    """Read a file that must hold a mapping.

    Raises: UserError with file and line, in one line.
    """
    text = read_text(path, largest=_LARGEST)
    loader = _loader(text, str(path))
    value = _load(loader, text, str(path))
    if not isinstance(value, dict):
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise UserError(f"{path}:1: expected `key: value` lines at the top level, found {kind}")
    mapping = YamlMapping(value)
    mapping.lines, mapping.item_lines = loader.lines, loader.item_lines
    return mapping


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML text: a value of the command line, say; raise `UserError` with place and line."""
    return _load(_loader(text, where), text, where)


def dump_yaml(value: Any) -> str:
    """Return YAML that `parse_yaml` reads back to an equal value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Safe YAML with bounds, in which `1e-3` is a number, as every person who writes one means it, and dates are text.

    `lines` holds the line of each key at the top level, `item_lines` those of the items of a list below it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[str, int] = {}
        self.item_lines: dict[str, list[int]] = {}
        self._depth = self._values = self._height = 0
        self._sizes: dict[int, tuple[int, int]] = {}  # id of a finished node -> its values, its height

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count what a node stands for, aliases written out, before anything is built."""
        event: Any = self.peek_event()
        is_alias = isinstance(event, yaml.AliasEvent)
        _refuse_tag(event)
        self._depth += 1
        outer_height, self._height, before = self._height, 0, self._values
        self._refuse_size(event)
        node: Any = super().compose_node(parent, index)
        if is_alias:
            if id(node) not in self._sizes:
                raise _problem(f"the alias *{event.anchor} stands inside of what it names", event)
            values, height = self._sizes[id(node)]
        else:
            values, height = self._values - before + 1, self._height + 1
            self._sizes[id(node)] = values, height
        self._values = before + values
        self._height = max(outer_height, height)
        self._refuse_size(event, height if is_alias else 1)
        self._depth -= 1
        if parent is None and isinstance(node, yaml.MappingNode):
            self.lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
            self.item_lines = {
                str(key.value): [item.start_mark.line + 1 for item in value.value]
                for key, value in node.value
                if isinstance(value, yaml.SequenceNode)
            }
        return node

    def _refuse_size(self, event: Any, height: int = 1) -> None:
        if self._values > _MOST_VALUES:
            raise _problem(f"more than {_MOST_VALUES:,} values once its aliases are written out", event)
        if self._depth + height - 1 > _DEEPEST:
            raise _problem(f"nested more than {_DEEPEST} levels deep", event)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Build a mapping; a key that stands twice is refused, since one of its values would be lost."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                if (key.tag, key.value) in seen:
                    raise _problem(f"the key '{key.value}' stands twice: remove one", key)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Build a value; one that Python refuses (a number of 10,000 digits) is told with its line."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, OverflowError):
            raise _problem("not a value", node) from None
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            raise _problem("text with half a character (a lone surrogate)", node)
        return value


# Dates stay text: no setting is a date, and 2024-13-45 is none either. So does what YAML 1.1 alone takes for numbers:
# 1:30 (90) and 010 (8).
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][\d_]*|0x[\da-fA-F]+)$"), list("-+0123456789")
)
_FLOAT = (
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(inf|Inf|INF))$"
        r"|^\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(*_FLOAT)


class _Dumper(yaml.SafeDumper):
    """Quotes a text that `_Loader` would take for a number, such as 5e3."""


_Dumper.add_implicit_resolver(*_FLOAT)


def _refuse_tag(event: Any) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None and tag != "!":
        raise _problem(f"the tag {tag.replace('tag:yaml.org,2002:', '!!')}: write the plain value without it", event)


def _problem(message: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, message, place.start_mark)


def _loader(text: str, where: str) -> _Loader:
    try:
        return _Loader(text)
    except yaml.YAMLError as error:
        raise _told(error, text, where) from None


def _load(loader: _Loader, text: str, where: str) -> Any:
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise _told(error, text, where) from None
    finally:
        loader.dispose()


def _told(error: yaml.YAMLError, text: str, where: str) -> UserError:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return UserError(f"{where}:{line}: not valid YAML: {problem}")
