"""The verb `tag`: the names of people, places and organizations, and the dates, in a text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normlab.cli.parser import add_verb
from normlab.errors import UserError, did_you_mean
from normlab.plurals import plural

if TYPE_CHECKING:
    from normlab.apps.tag.passages import Passage

_FORMATS = ("text", "jsonl", "spacy", "conll", "csv")
_WRAPPED = ("auto", "yes", "no")
_STYLES = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_magenta")


def _add_tag(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "tag", "mark names, places, organizations and dates in a text", _tag)
    parser.add_argument(
        "source", nargs="?", metavar="SOURCE", help='a text file, the "text" itself, or - for standard input [-]'
    )
    parser.add_argument(
        "--model",
        default="gmb-tagger",
        metavar="MODEL",
        help="a run of ner, or a name of `normlab models` [gmb-tagger]",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="text, jsonl, spacy, conll or csv [by the suffix of --out; text at a terminal; else jsonl]",
    )
    parser.add_argument("--json", dest="format", action="store_const", const="jsonl", help="the same as --format jsonl")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write; default: print")
    parser.add_argument(
        "--case",
        default="auto",
        help="written: read capitals as they are; auto: text in capitals, in small letters or like a headline as "
        "training would spell it [auto]",
    )
    parser.add_argument(
        "--wrapped",
        default="auto",
        help="yes: lines were broken at a width, and those between blank lines are a paragraph; no: each line stands "
        "for itself; auto: looks [auto]",
    )
    parser.add_argument("--encoding", help="of the file [utf-8]")
    parser.add_argument("--threads", type=int, help="CPU threads [those of the model's training]")
    parser.add_argument("--device", help="auto, cpu, cuda, ...")


def _tag(options: argparse.Namespace) -> int:
    if options.format is not None and options.format not in _FORMATS:
        raise UserError(f"--format {options.format}: {did_you_mean(options.format, _FORMATS)}")
    if options.wrapped not in _WRAPPED:
        raise UserError(f"--wrapped {options.wrapped}: {did_you_mean(options.wrapped, _WRAPPED)}")
    if options.out is not None and options.out.is_dir():
        raise UserError(f"{options.out}: is a folder, where a file is wanted: give a file in it")
    if options.source is None and sys.stdin.isatty():
        raise UserError('nothing to tag: give a text file, a "text in quotes", or text through a pipe')
    from normlab.apps.tag.sources import refuse_columns, source_of
    from normlab.cli.before_torch import refuse_missing_model

    source = source_of("-" if options.source is None else options.source)
    refuse_columns(source, options.encoding or "utf-8")
    refuse_missing_model(options.model)
    from normlab.apps.tag.formats import format_for
    from normlab.apps.tag.passages import tagged
    from normlab.apps.tag.wrapped_lines import paragraphs

    run = _run(options)
    passages = tagged(run, paragraphs(source.lines(options.encoding or "utf-8"), options.wrapped))
    form = options.format or format_for(options.out, terminal=sys.stdout.isatty())
    if options.out is not None:
        return _write(passages, form, source.name, options.out)
    if form == "text" and sys.stdout.isatty():
        _show(passages, run.folder.card()["classes"])
        return 0
    from normlab.apps.tag.formats import FORMATS

    for line in FORMATS[form](passages, source.name):
        print(line)
    return 0


def _run(options: argparse.Namespace) -> Any:
    """Return the model to tag with. Raises: UserError if it is of another task."""
    from normlab.engine.api import load_run

    run = load_run(options.model, device=options.device)
    if run.task.name != "ner":
        raise UserError(
            f"{options.model}: is a model of {run.task.name}, not of ner: give a tagger, such as gmb-tagger"
        )
    changes: dict[str, Any] = {"input_case": options.case}
    if options.threads is not None:
        changes["threads"] = options.threads
    run.config = run.config.with_values("tag", **changes)
    if options.case != "written" and not run.folder.card().get("case"):
        print(
            f"normlab: {options.model}: holds no counts of capitals (an older normlab trained it), so text is read as "
            "written",
            file=sys.stderr,
        )
    return run


def _write(passages: Iterable[Passage], form: str, name: str, out: Path) -> int:
    from normlab.apps.tag.formats import FORMATS
    from normlab.runs.atomic import atomic_text

    counted = _Counted(passages)
    with atomic_text(out) as file:
        for line in FORMATS[form](counted, name):
            print(line, file=file)
    entities = plural(counted.entities, "entity", "entities")
    print(f"{entities} in {plural(counted.sentences, 'sentence')}: {out}")
    return 0


class _Counted:
    """Passages that are counted as they pass."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = passages
        self.sentences = self.entities = 0

    def __iter__(self) -> Iterator[Passage]:
        for passage in self._passages:
            self.sentences += len(passage.sentences)
            self.entities += len(passage.entities)
            yield passage


def _show(passages: Iterable[Passage], tags: Iterable[str]) -> None:
    """Print text with coloured entities, wrapped at the terminal's width."""
    from rich.console import Console
    from rich.text import Text

    from normlab.apps.tag.formats import gaps, marked

    types = sorted({tag.partition("-")[2] for tag in tags if "-" in tag})
    style = {name: _STYLES[index % len(_STYLES)] for index, name in enumerate(types)}
    console = Console(highlight=False)
    for blank, passage in gaps(passages):
        shown = Text("\n" * blank)
        for text, entity in marked(passage):
            if entity is None:
                shown.append(text)
            else:
                shown.append(f"[{text}", f"bold {style[entity.type]}").append(f" {entity.type}]", style[entity.type])
        console.print(shown)


VERBS = (_add_tag,)
