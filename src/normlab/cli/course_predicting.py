"""The course's commands that use a model: `test_cifar`, `test_ner`, `infer` and `save_model`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from normlab.cli.course_flags import add_path, add_switches, as_published, switches
from normlab.cli.parser import Parser, at_least
from normlab.errors import UserError


def _add_files(parser: Parser, tests: str, written: str) -> Any:
    """Add the flags of a prediction: the model, what to read, what to write."""
    group = as_published(parser)
    flags = {"model_file": "the model: a file, or a run folder", "test_data_file": tests, "output_file": written}
    for name, text in flags.items():
        add_path(group, name, text, required=True)
    besides = parser.add_argument_group("besides")
    besides.add_argument("--device", help="auto, cpu, cuda, ...")
    besides.add_argument("--json", action="store_true", help="print what was done as JSON")
    return group


def add_test_cifar(parser: Parser, arguments: list[str]) -> None:
    """Add the flags of classifying images, and what runs it."""
    group = _add_files(parser, "a CSV, an image a line; or a folder of images", "class numbers, one a line")
    _add_architecture(group)
    parser.set_defaults(run=_test_cifar)


def _add_architecture(group: Any) -> None:
    from normlab.apps.course import cifar

    text = "what the model was trained with; another is refused"
    group.add_argument("--normalization", choices=list(cifar.NORMALIZATIONS), help=text)
    group.add_argument("--n", type=int, metavar="N", help=text)


def _test_cifar(options: argparse.Namespace) -> int:
    from normlab.apps.course import cifar

    _refuse_folder(options.output_file)
    count = cifar.classify(
        options.model_file,
        options.test_data_file,
        options.output_file,
        normalization=options.normalization,
        n=options.n,
        device=options.device,
    )
    return _say(count, "image", options)


def add_test_ner(parser: Parser, arguments: list[str]) -> None:
    """Add the flags of tagging a file of columns, and what runs it."""
    group = _add_files(parser, "columns as in the training file, any tags in the last", "the same, tags predicted")
    add_switches(group, required=False)
    group.add_argument("--glove_embeddings_file", metavar="FILE", help="not read: the model has its vectors")
    add_path(group, "vocabulary_input_file", "what training wrote; another model's is refused")
    parser.set_defaults(run=_test_ner)


def _test_ner(options: argparse.Namespace) -> int:
    from normlab.apps.course import ner

    _refuse_folder(options.output_file)
    count = ner.tag(
        options.model_file,
        options.test_data_file,
        options.output_file,
        **switches(options),
        vocabulary_input_file=options.vocabulary_input_file,
        device=options.device,
    )
    return _say(count, "sentence", options)


def add_infer(parser: Parser, arguments: list[str]) -> None:
    """Add the flags of predicting with a model of images or of text-to-SQL, and what runs it."""
    from normlab.apps.course import sql

    tests = "image models: as for test_cifar; text-to-SQL: a CSV with columns question and db_id"
    group = _add_files(parser, tests, "class numbers, or queries, one a line")
    _add_architecture(group)
    group.add_argument("--model_type", choices=list(sql.MODEL_TYPES), help="of a text-to-SQL model")
    group.add_argument("--beam_size", type=int, metavar="N", help="text-to-SQL: hypotheses [the model's own]")
    add_path(group, "databases", "text-to-SQL: folder of DB_ID/DB_ID.sqlite [`database` beside the file]")
    parser.set_defaults(run=_infer)


def _infer(options: argparse.Namespace) -> int:
    from normlab.apps.course import model, sql

    task = model.task_of(options.model_file)
    if task == "ner":
        raise UserError(f"{options.model_file}: is a tagger: use `normlab course test_ner`")
    others = ("normalization", "n") if task == "text2sql" else ("model_type", "beam_size", "databases")
    for name in others:
        if getattr(options, name) is not None:
            raise UserError(f"--{name}: the model in {options.model_file} is {model.KINDS[task]}: leave the flag out")
    if task == "image":
        return _test_cifar(options)
    at_least(1, beam_size=options.beam_size)
    _refuse_folder(options.output_file)
    count = sql.answer(
        options.model_file,
        options.test_data_file,
        options.output_file,
        model_type=options.model_type,
        databases=options.databases,
        beam_size=options.beam_size,
        device=options.device,
    )
    return _say(count, "query", options)


def add_save_model(parser: Parser, arguments: list[str]) -> None:
    """Add the flags of writing a finished run as one file, and what runs it."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a finished run of any task")
    add_path(parser, "output_file", "the model, one safetensors file", required=True)
    parser.set_defaults(run=_save_model)


def _save_model(options: argparse.Namespace) -> int:
    from normlab.runs import RunFolder
    from normlab.runs.model_file import save_model

    _refuse_folder(options.output_file)
    save_model(RunFolder.open(options.run_folder), options.output_file)
    print(f"the model is in {options.output_file}")
    return 0


def _refuse_folder(path: Path) -> None:
    from normlab.apps.course.training import refuse_unwritable

    refuse_unwritable(path)


def _say(count: int, what: str, options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps({"out": str(options.output_file), "records": count}))
    else:
        print(f"{count} {what if count == 1 else _PLURALS[what]} predicted in {options.output_file}")
    return 0


_PLURALS = {"image": "images", "sentence": "sentences", "query": "queries"}
