"""The course's commands that train: `train_cifar` and `train_ner`.

The flags of an assignment are followed by every other setting of the task, for quick tries and other protocols.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from normlab.acting import refuse_ignored
from normlab.cli.course_flags import add_path, add_switches, as_published, switches
from normlab.cli.parser import Parser, add_fields, at_least, field_values, wants_help
from normlab.errors import WriteError


def _add_quick(parser: Parser, task: str, fixed: Sequence[str], arguments: list[str]) -> None:
    """Add what no assignment has: the scale, the run folder, and the task's other settings."""
    from normlab.tasks import task_settings

    settings = task_settings(task)
    group = parser.add_argument_group("besides")
    group.add_argument("--scale", choices=["smoke", "demo", "full"], help="smoke: a try of seconds [full]")
    add_path(group, "run_dir", "the run folder: curves, scores, checkpoints [OUTPUT_FILE.run]")
    group.add_argument("--json", action="store_true", help="print the result as JSON")
    values = settings.make("full", {}, "command line").model_dump() if wants_help(arguments) else {}
    add_fields(parser, settings.config_class, values, "by the assignment's protocol", without=fixed)


def add_train_cifar(parser: Parser, arguments: list[str]) -> None:
    """Add the flags of training an image classifier, and what runs it."""
    from normlab.apps.course import cifar

    group = as_published(parser)
    group.add_argument(
        "--normalization", choices=list(cifar.NORMALIZATIONS), required=True, help="after each convolution"
    )
    group.add_argument(
        "--data_dir", required=True, metavar="DIR", help="CIFAR-10's folder or archive, or a folder of images by class"
    )
    add_path(group, "output_file", "the model, one safetensors file", required=True)
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


def add_train_ner(parser: Parser, arguments: list[str]) -> None:
    """Add the flags of training a tagger, and what runs it."""
    from normlab.apps.course import ner

    group = as_published(parser)
    group.add_argument("--initialization", choices=ner.INITIALIZATIONS, required=True, help="of the word vectors")
    add_switches(group, required=True)
    add_path(group, "output_file", "the model, one safetensors file", required=True)
    group.add_argument("--data_dir", required=True, metavar="DIR", help="folder with train.txt and dev.txt")
    group.add_argument(
        "--glove_embeddings_file",
        metavar="FILE",
        help="read with `--initialization glove` [looked for beside the data]",
    )
    add_path(group, "vocabulary_output_file", "words, characters and tags of the model, as JSON")
    _add_quick(parser, "ner", ner.FIXED, arguments)
    parser.set_defaults(run=_train_ner)


def _train_ner(options: argparse.Namespace) -> int:
    from normlab.apps.course import ner
    from normlab.tasks.ner.config import NerConfig

    further = field_values(options, NerConfig)
    config = ner.training_settings(
        options.initialization,
        options.data_dir,
        **switches(options),
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
