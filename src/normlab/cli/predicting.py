"""The verb `predict`: a trained model applied to a file or a folder."""

from __future__ import annotations

import argparse
import json
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normlab.cli import sql_scores
from normlab.cli.parser import add_verb
from normlab.errors import UserError, shortened
from normlab.plurals import plural


def _add_predict(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "predict", "apply a trained model to a file or a folder", _predict)
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN", help="a run, a model file, a name of `normlab models`, or an .onnx file"
    )
    parser.add_argument(
        "input",
        type=Path,
        metavar="INPUT",
        help="image: a CSV of pixels, an image, or a folder; ner: a column file, or text; "
        "text2sql: a CSV or JSON lines of question and db_id, or lines of question TAB db_id",
    )
    parser.add_argument("--out", type=Path, help="the file to write; default: print the predictions")
    parser.add_argument(
        "--format",
        default="auto",
        help="image: csv, jsonl, course; ner: columns, jsonl; text2sql: jsonl, sql [auto: by the files]",
    )
    parser.add_argument("--device", help="auto, cpu, cuda, ...")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON; without --out, predictions")
    words = parser.add_argument_group("ner, instead of what the file looks like")
    words.add_argument(
        "--columns", dest="input_columns", help="columns of the file in order, e.g. word,pos,tag; text: running text"
    )
    words.add_argument(
        "--case",
        dest="input_case",
        help="written: read capitals as they are; restored: as training would write them [running text restored]",
    )
    words.add_argument("--encoding", dest="input_encoding", help="of the file [that of training]")
    sql_scores.add_search_options(parser)


def _predict(options: argparse.Namespace) -> int:
    from normlab.cli.before_torch import refuse_missing_model
    from normlab.data.text.standard_input import path_of

    given = {name: getattr(options, name) for name in ("input_columns", "input_encoding", "input_case")}
    changes = {name: value for name, value in given.items() if value is not None} | sql_scores.search_options(options)
    is_onnx = options.run_folder.suffix.lower() == ".onnx" and not options.run_folder.is_dir()
    if not is_onnx:
        refuse_missing_model(options.run_folder)
    options.input = path_of(options.input)
    _refuse_unreadable(options.input)
    from normlab.engine.api import load_run
    from normlab.engine.evaluation import state_notes

    run: Any = (
        _onnx_model(options, changes) if is_onnx else load_run(options.run_folder, device=options.device, **changes)
    )
    for note in [] if is_onnx else state_notes(run.folder):
        print(f"normlab: {run.path}: {note}", file=sys.stderr)
    read_as = run.read_as(options.input)  # before the output is written: it may replace the input
    watched = _Watched()
    if options.out is None:
        return _print_predictions(run, options, read_as, watched)
    if options.out.is_dir():
        raise UserError(f"{options.out}: is a folder, where a file is wanted: give a file in it")
    count = run.predict_to(options.input, options.out, options.format, watch=watched.note) - len(watched.failed)
    if options.json:
        summary = {"out": str(options.out), "records": count, "read_as": read_as}
        print(json.dumps(summary | {"failed": watched.failed, "changed": dict(watched.changes)}))
    else:
        print(f"{plural(count, 'prediction')} in {options.out}" + (f"; input read as {read_as}" if read_as else ""))
        for line in watched.changes_of(count):
            print(line)
    return watched.exit_status()


def _onnx_model(options: argparse.Namespace, changes: dict[str, Any]) -> Any:
    """Open an exported image model; settings that it cannot follow are refused."""
    from normlab.apps.export.onnx_model import OnnxModel

    ignored = [*changes, *(["device"] if options.device not in (None, "auto", "cpu") else [])]
    if ignored:
        flag = ignored[0].removeprefix("input_").replace("_", "-")
        raise UserError(f"{options.run_folder}: an ONNX file computes on the CPU as exported: leave out --{flag}")
    return OnnxModel(options.run_folder)


class _Watched:
    """The inputs of a prediction that failed or were converted, and the number of records."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.changes: Counter[str] = Counter()
        self.count = 0

    def note(self, record: dict[str, Any]) -> None:
        """Count one record."""
        self.count += 1
        if "error" in record:
            self.failed.append(f"{record['name']}: {record['error']}")
        for note in record.get("notes", ()):
            print(f"normlab: {shortened(record['question'])}: {note}", file=sys.stderr)
        if "changed" in record:
            self.changes[record["changed"]] += 1

    def passing(self, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the records and count each."""
        for record in records:
            self.note(record)
            yield record

    def changes_of(self, count: int) -> list[str]:
        """Return a line for each conversion that was needed to read inputs."""
        return [
            f"changed to be read: {change} ({number} of {count})" for change, number in sorted(self.changes.items())
        ]

    def exit_status(self) -> int:
        """Print the inputs without a prediction; return 1 if there are any, else 0."""
        for line in self.failed:
            print(f"not predicted: {line}", file=sys.stderr)
        return 1 if self.failed else 0


def _refuse_unreadable(source: Path) -> None:
    """Raise `UserError` for an input that does not exist, or whose reader could wait forever (a pipe)."""
    from normlab.reading import refuse_special, unreadable

    try:
        mode = source.stat().st_mode
    except OSError as error:
        raise unreadable(source, error) from None
    if not stat.S_ISDIR(mode):
        refuse_special(source, mode)


def _print_predictions(run: Any, options: argparse.Namespace, read_as: str, watched: _Watched) -> int:
    """Print predictions in the requested form, or for people."""
    from normlab.cli.answers import as_json, as_text

    if read_as:
        print(f"input read as {read_as}", file=sys.stderr)
    if options.format != "auto":
        with tempfile.TemporaryDirectory(prefix="normlab-predict-") as scratch:
            written = Path(scratch) / "predictions"
            try:
                run.predict_to(options.input, written, options.format, watch=watched.note)
            except UserError as error:
                raise UserError(str(error).replace(str(written), "predict")) from None
            print(written.read_text(encoding="utf-8"), end="")
        return watched.exit_status()
    records = (record for record in watched.passing(run.predict(options.input)) if "error" not in record)
    for line in as_json(records) if options.json else as_text(run.task.name, records):
        print(line)
    for line in watched.changes_of(watched.count):
        print(line, file=sys.stderr)
    return watched.exit_status()


VERBS = (_add_predict,)
