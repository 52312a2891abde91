"""The verb `course`: the commands of a deep-learning course, with the flags that its assignments publish.

The flags of an assignment come first and keep their names, underscores included. What the commands do is in
`course_training.py` and `course_predicting.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from normlab.cli.course_predicting import add_infer, add_save_model, add_test_cifar, add_test_ner
from normlab.cli.course_training import add_train_cifar, add_train_ner
from normlab.cli.parser import Parser, add_verb, no_action


def _add_course(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "course", "the course's commands, with the flags of its assignments", no_action)
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


_COMMANDS: tuple[tuple[str, str, Callable[[Parser, list[str]], None]], ...] = (
    ("train_cifar", "train an image classifier", add_train_cifar),
    ("test_cifar", "write the class of each image", add_test_cifar),
    ("train_ner", "train a tagger", add_train_ner),
    ("test_ner", "write the tag of each word", add_test_ner),
    ("infer", "predict with an image classifier or a text-to-SQL model", add_infer),
    ("save_model", "write a finished run as one model file", add_save_model),
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
