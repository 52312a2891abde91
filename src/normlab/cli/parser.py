"""The parser of the command line: one-line errors, and a flag for every field of a configuration."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from normlab.errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line with the nearest known name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", Path, _path)

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message as a `UserError`."""
        raise UserError(f"{message}; see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a word that is not one of the choices (a verb, a task, a preset) and name the nearest choice."""
        if action.choices is not None and value not in action.choices:
            what = action.option_strings[0] if action.option_strings else str(action.metavar or action.dest).lower()
            known = [str(choice) for choice in action.choices]
            raise UserError(f"unknown {what} '{value}': {did_you_mean(str(value), known)}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an unknown flag is refused by the parser of the verb, which names its nearest flag."""
        first = args[0] if args else ""
        if self._subparsers is not None and first.startswith("--") and first not in self.known_flags():
            self._refuse(first)  # otherwise argparse would report a missing verb
        options, unknown = super().parse_known_args(args, namespace)
        self._take_late(options, unknown)
        if unknown and self._subparsers is None:
            self._refuse(unknown[0])
        return options, unknown

    def _take_late(self, options: Any, unknown: list[str]) -> None:
        """Take the word of an argument that may be missing behind flags too: argparse looks before them only."""
        for action in self._actions:
            may_miss = not action.option_strings and action.nargs == "?"
            if may_miss and unknown and unknown[0][:1] != "-" and getattr(options, action.dest, 0) is action.default:
                setattr(options, action.dest, self._get_value(action, unknown.pop(0)))

    def _refuse(self, word: str) -> NoReturn:
        if not word.startswith("--"):
            raise UserError(f"unexpected argument '{word}'; see `{self.prog} --help`")
        flag = word.partition("=")[0]
        raise UserError(
            f"unknown flag '{flag}': {did_you_mean(flag, self.known_flags(), listed_by=f'{self.prog} --help')}"
        )

    def known_flags(self) -> list[str]:
        """Return the flags that this parser takes."""
        flags = []
        for action in self._actions:
            flags += [flag for flag in action.option_strings if flag.startswith("--")]
        return flags


def _path(text: str) -> Path:
    """Return a path; an empty one would be the folder that one is in, and is a mistake of the shell's script."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: is a variable of the shell not set?")
    return Path(text)


def add_verb(verbs: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> Parser:
    """Add a verb with its help and the function that it runs."""
    parser: Parser = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
    parser.set_defaults(run=run)
    return parser


def add_fields(
    parser: argparse.ArgumentParser,
    config_class: Any,
    values: Mapping[str, Any],
    where_from: str = "by default",
    *,
    without: Container[str] = (),
) -> None:
    """One flag per field of a configuration; values stay strings until the configuration reads them.

    `--fix-tags` without a value means true.

    Args:
        values: field -> its value if the flag is not given, for the help.
        where_from: where these values come from, in words: "with the preset demo".
        without: fields that get no flag, since others stand for them.
    """
    from normlab.config import is_filled_in  # pydantic, which the general help does without

    group = parser.add_argument_group(f"settings; in brackets the values {where_from}" if values else "settings")
    for name, field in config_class.model_fields.items():
        if name in without or is_filled_in(config_class, name):
            continue
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if field.annotation is bool else {}
        now = f" [{_value(values[name])}]" if name in values else ""
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"field_{name}",
            **switch,
            metavar=_shown(field.annotation),
            help=f"{field.description}{now}".replace("%", "%%"),
        )


def given_option(arguments: Sequence[str], *flags: str) -> str | None:
    """Return the value of the first of some flags on an unparsed command line; None if there is none."""
    for flag in flags:
        for index, word in enumerate(arguments):
            if word.startswith(f"{flag}="):
                return word.partition("=")[2]
            if word == flag and index + 1 < len(arguments):
                return arguments[index + 1]
    return None


def wants_help(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for help; only then are values computed that only the help shows."""
    return any(word in ("-h", "--help") for word in arguments)


def at_least(least: float, **numbers: float | None) -> None:
    """Raise `UserError` naming the first flag whose number is too small; one that was not given is None."""
    for name, number in numbers.items():
        if number is not None and not number >= least:  # not a number is refused too
            raise UserError(f"--{name.replace('_', '-')} {number:g}: give {least:g} or more")


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value) or "empty"


def _shown(annotation: Any) -> str:
    """Return how a field's values look: its choices, true|false, or VALUE."""
    if annotation is bool:
        return "true|false"
    choices = get_args(annotation)
    return "|".join(choices) if choices and all(isinstance(choice, str) for choice in choices) else "VALUE"


def field_values(options: argparse.Namespace, config_class: Any) -> dict[str, Any]:
    """Return the configuration fields that were given as flags."""
    given = {
        name.removeprefix("field_"): value
        for name, value in vars(options).items()
        if name.startswith("field_") and value is not None
    }
    if given.get("data") == "":
        raise UserError("--data is empty: is a variable of the shell not set?")
    return config_class.from_strings(given)


def no_action(options: argparse.Namespace) -> int:
    """Fail: a verb that only has actions never runs itself, because the parser requires an action."""
    raise AssertionError("a verb with actions was run without one")
