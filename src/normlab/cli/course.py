"""The verb `course`: the commands of a deep-learning course, with the flags that its assignments publish.

The flags of an assignment come first and keep their names, underscores included. Those of training are followed by
every other setting of the task, for quick tries and other protocols.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from normlab.acting import refuse_ignored
from normlab.cli.parser import Parser, add_fields, add_verb, at_least, field_values, wants_help
from normlab.errors import UserError, WriteError


def _add_course(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "course", "the course's commands, with the flags of its assignments", _train_cifar)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_CourseParser)
    for name, text, add in _COMMANDS:
        child = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        child.usage = f"normlab course {name} {_USAGES[name]}"
        if arguments[:1] == ["course"] and name in arguments:
            add(child, arguments)


class _CourseParser(Parser):
    """A parser that takes a flag after one dash or two, with underscores or dashes in its name."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, each flag spelled as it is known; an unknown flag is told before a missing one."""
        words = None if args is None else [self._known_spelling(word) for word in args]
        for word in words or ():
            if word.startswith("--") and word.partition("=")[0] not in self.known_flags():
                self._refuse(word)
        return super().parse_known_args(words, namespace)

    def _known_spelling(self, word: str) -> str:
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not name[:1].isalpha() or word == "-h":
            return word
        known = self.known_flags()
        spellings = (f"--{name}", f"--{name.replace('-', '_')}", f"--{name.replace('_', '-')}")
        return next((flag for flag in spellings if flag in known), f"--{name}") + equals + value


def _published(parser: Parser) -> Any:
    return parser.add_argument_group("as published")


def _path(group: Any, name: str, text: str, *, required: bool = False) -> None:
    metavar = "DIR" if name in ("run_dir", "databases") else "FILE"
    group.add_argument(f"--{name}", type=Path, required=required, metavar=metavar, help=text)


def _add_quick(parser: Parser, task: str, fixed: Sequence[str], arguments: list[str]) -> None:
    """Add what no assignment has: the scale, the run folder, and the task's other settings."""
    from normlab.tasks import task_settings

    settings = task_settings(task)
    group = parser.add_argument_group("besides")
    group.add_argument("--scale", choices=["smoke", "demo", "full"], help="smoke: a try of seconds [full]")
    _path(group, "run_dir", "the run folder: curves, scores, checkpoints [OUTPUT_FILE.run]")
    group.add_argument("--json", action="store_true", help="print the result as JSON")
    values = settings.make("full", {}, "command line").model_dump() if wants_help(arguments) else {}
    add_fields(parser, settings.config_class, values, "by the assignment's protocol", without=fixed)


def _add_train_cifar(parser: Parser, arguments: list[str]) -> None:
    from normlab.apps.course import cifar

    group = _published(parser)
    group.add_argument(
        "--normalization", choices=list(cifar.NORMALIZATIONS), required=True, help="after each convolution"
    )
    group.add_argument(
        "--data_dir", required=True, metavar="DIR", help="CIFAR-10's folder or archive, or a folder of images by class"
    )
    _path(group, "output_file", "the model, one safetensors file", required=True)
    group.add_argument("--n", type=int, metavar="N", help="the network has 6n+2 layers [2]")
    group.add_argument("--r", type=int, metavar="N", help="number of classes, compared with the data [theirs]")
    _add_quick(parser, "image", cifar.FIXED, arguments)
    parser.set_defaults(run=_train_cifar)


def _train_cifar(options: argparse.Namespace) -> int:
    from normlab.apps.course import cifar
    from normlab.tasks.image.config import ImageConfig

    further = field_values(options, ImageConfig)
    at_least(1, n=options.n, r=options.r)
    config = cifar.training_settings(
        options.normalization, options.data_dir, n=options.n, scale=options.scale, further=further
    )
    refuse_ignored([config], further)
    cifar.refuse_other_count(config, options.r)
    return _train("image", config, options)


def _add_train_ner(parser: Parser, arguments: list[str]) -> None:
    from normlab.apps.course import ner

    group = _published(parser)
    group.add_argument("--initialization", choices=ner.INITIALIZATIONS, required=True, help="of the word vectors")
    _add_switches(group, required=True)
    _path(group, "output_file", "the model, one safetensors file", required=True)
    group.add_argument("--data_dir", required=True, metavar="DIR", help="folder with train.txt and dev.txt")
    group.add_argument(
        "--glove_embeddings_file",
        metavar="FILE",
        help="read with `--initialization glove` [looked for beside the data]",
    )
    _path(group, "vocabulary_output_file", "words, characters and tags of the model, as JSON")
    _add_quick(parser, "ner", ner.FIXED, arguments)
    parser.set_defaults(run=_train_ner)


def _add_switches(group: Any, *, required: bool) -> None:
    texts = {
        "char_embeddings": "read each word's characters too",
        "layer_normalization": "layer-normalise the LSTMs",
        "crf": "linear-chain CRF on top",
    }
    for name, text in texts.items():
        group.add_argument(f"--{name}", choices=["0", "1"], required=required, help=text)


def _train_ner(options: argparse.Namespace) -> int:
    from normlab.apps.course import ner
    from normlab.tasks.ner.config import NerConfig

    further = field_values(options, NerConfig)
    config = ner.training_settings(
        options.initialization,
        options.data_dir,
        **_switches(options),
        glove_embeddings_file=options.glove_embeddings_file,
        scale=options.scale,
        further=further,
    )
    refuse_ignored([config], further)
    return _train("ner", config, options)


def _train(task: str, config: Any, options: argparse.Namespace) -> int:
    """Train, then write the model file and, for the tagger, the vocabulary."""
    from normlab.apps.course import ner, training
    from normlab.cli.runs import show_on_rank0
    from normlab.engine.distributed import is_rank0
    from normlab.runs.model_file import save_model

    vocabulary: Path | None = getattr(options, "vocabulary_output_file", None)
    training.refuse_unwritable(options.output_file, vocabulary)
    folder = options.run_dir or training.run_folder_for(options.output_file, task, config)
    run_folder = training.train_in(task, config, folder, quiet=options.json)
    code = show_on_rank0(run_folder, as_json=options.json)
    if code == 0 and is_rank0():
        try:
            save_model(run_folder, options.output_file)
        except WriteError as error:
            error.next_step = f"run `normlab course save_model {run_folder.path} --output_file {options.output_file}`"
            raise
        if vocabulary is not None:
            ner.write_vocabulary(run_folder.card(), vocabulary)
        if not options.json:
            print(f"the model is in {options.output_file}")
    return code


def _switches(options: argparse.Namespace) -> dict[str, Any]:
    names = ("char_embeddings", "layer_normalization", "crf")
    values = {name: getattr(options, name) for name in names}
    return {name: None if value is None else value == "1" for name, value in values.items()}


def _add_files(parser: Parser, tests: str, written: str) -> Any:
    """Add the flags of a prediction: the model, what to read, what to write."""
    group = _published(parser)
    flags = {"model_file": "the model: a file, or a run folder", "test_data_file": tests, "output_file": written}
    for name, text in flags.items():
        _path(group, name, text, required=True)
    besides = parser.add_argument_group("besides")
    besides.add_argument("--device", help="auto, cpu, cuda, ...")
    besides.add_argument("--json", action="store_true", help="print what was done as JSON")
    return group


def _add_test_cifar(parser: Parser, arguments: list[str]) -> None:
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


def _add_test_ner(parser: Parser, arguments: list[str]) -> None:
    group = _add_files(parser, "columns as in the training file, any tags in the last", "the same, tags predicted")
    _add_switches(group, required=False)
    group.add_argument("--glove_embeddings_file", metavar="FILE", help="not read: the model has its vectors")
    _path(group, "vocabulary_input_file", "what training wrote; another model's is refused")
    parser.set_defaults(run=_test_ner)


def _test_ner(options: argparse.Namespace) -> int:
    from normlab.apps.course import ner

    _refuse_folder(options.output_file)
    count = ner.tag(
        options.model_file,
        options.test_data_file,
        options.output_file,
        **_switches(options),
        vocabulary_input_file=options.vocabulary_input_file,
        device=options.device,
    )
    return _say(count, "sentence", options)


def _add_infer(parser: Parser, arguments: list[str]) -> None:
    from normlab.apps.course import sql

    tests = "image models: as for test_cifar; text-to-SQL: a CSV with columns question and db_id"
    group = _add_files(parser, tests, "class numbers, or queries, one a line")
    _add_architecture(group)
    group.add_argument("--model_type", choices=list(sql.MODEL_TYPES), help="of a text-to-SQL model")
    group.add_argument("--beam_size", type=int, metavar="N", help="text-to-SQL: hypotheses [the model's own]")
    _path(group, "databases", "text-to-SQL: folder of DB_ID/DB_ID.sqlite [`database` beside the file]")
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


def _add_save_model(parser: Parser, arguments: list[str]) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a finished run of any task")
    _path(parser, "output_file", "the model, one safetensors file", required=True)
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
_COMMANDS: tuple[tuple[str, str, Callable[[Parser, list[str]], None]], ...] = (
    ("train_cifar", "train an image classifier", _add_train_cifar),
    ("test_cifar", "write the class of each image", _add_test_cifar),
    ("train_ner", "train a tagger", _add_train_ner),
    ("test_ner", "write the tag of each word", _add_test_ner),
    ("infer", "predict with an image classifier or a text-to-SQL model", _add_infer),
    ("save_model", "write a finished run as one model file", _add_save_model),
)
_SWITCHES = "[--char_embeddings 0|1] [--layer_normalization 0|1] [--crf 0|1]"
_USAGES = {
    "train_cifar": "--normalization NAME --data_dir DIR --output_file FILE [--n N] [--r R] [--SETTING VALUE ...]",
    "test_cifar": "--model_file FILE [--normalization NAME] [--n N] --test_data_file FILE --output_file FILE",
    "train_ner": "--initialization random|glove --char_embeddings 0|1 --layer_normalization 0|1 --crf 0|1 "
    "--output_file FILE --data_dir DIR [--glove_embeddings_file FILE] [--vocabulary_output_file FILE] "
    "[--SETTING VALUE ...]",
    "test_ner": f"--model_file FILE {_SWITCHES} --test_data_file FILE --output_file FILE "
    "[--glove_embeddings_file FILE] [--vocabulary_input_file FILE]",
    "infer": "-model_file FILE -test_data_file FILE -output_file FILE [--normalization NAME] [--n N] "
    "[--model_type NAME] [--beam_size N]",
    "save_model": "RUN --output_file FILE",
}
VERBS = (_add_course,)
