"""The files of a run's corpus, their sentences, and notes about them for the user."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.corpus import open_sentences
from normlab.data.tagging.corpus_folder import corpus_folder, listed, role_of
from normlab.data.tagging.sentences import Sentence, SentenceFile, doubts
from normlab.errors import UserError, excerpt
from normlab.plurals import plural
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.generated import NAME as GENERATED
from normlab.tasks.ner.generated import generated_sentences

_COLUMNS = ["word", "tag"]  # of a column file to predict, if training read no column file


def read_corpus(config: NerConfig) -> tuple[dict[str, list[Sentence]], list[str], list[str]]:
    """Return the splits' sentences, the training file's columns, and notes about the files."""
    if config.data == GENERATED:
        return {split: list(generated_sentences(split)) for split in ("train", "val", "test")}, _COLUMNS, []
    corpus: dict[str, list[Sentence]] = {}
    columns, notes = _COLUMNS, []
    known: set[str] = set()
    files, left_out = _files(config)
    read_as: dict[str, list[str]] = {}
    for split, path in files.items():
        reader = _reader(path, config, None)
        corpus[split] = [_tagged(sentence, reader) for sentence in reader]
        read_as.setdefault(reader.read_as(), []).append(path.name)
        notes += _file_notes(reader, corpus[split])
        if split != "train":
            notes += _unseen_note(path, corpus[split], known)
        else:
            known = _known_tags(corpus[split], path)
            columns = list(reader.layout().columns) if isinstance(reader, ColumnFile) else _COLUMNS
    layouts = [f"{', '.join(names)}: {layout}" for layout, names in read_as.items() if layout]
    return corpus, columns, [_sizes_note(config, files, corpus, left_out), *layouts, *notes]


def read_tagged(path: Path, config: NerConfig, *, known_tags: set[str]) -> tuple[list[Sentence], list[str]]:
    """Return the sentences of one tagged file, and notes about it.

    Raises: UserError for a tag outside `known_tags`, with file and line.
    """
    reader = _reader(path, config, known_tags)
    sentences = [_tagged(sentence, reader) for sentence in reader]
    layout = [f"{path.name}: {reader.read_as()}"] if reader.read_as() else []
    return sentences, [*layout, *_file_notes(reader, sentences)]


def split_file(config: NerConfig, split: str, *, whole: bool) -> Path:
    """Return the file of one split: the folder's, or with `whole` the one file that is named.

    Raises: UserError if there is none.
    """
    data = Path(config.data).expanduser()
    if whole and data.is_file():
        return data
    named = {"val": config.dev, "test": config.test}.get(split, "") if not whole else ""
    path = Path(named).expanduser() if named else None
    if path is None and data.is_dir():
        path = corpus_folder(data, {}).files.get(split)
    if path is None:
        stems = {"train": "train", "val": "dev", "test": "test"}
        where = f"{data}: holds no {stems[split]}.txt (nor .csv, .jsonl, .conll)"
        where = where if data.is_dir() else f"{data}: no such file or folder"
        where = f"{data}: has no {split} file beside it" if data.is_file() else where
        raise UserError(f"{where}: give --data the tagged file itself")
    return path


def _sizes_note(
    config: NerConfig, files: dict[str, Path], corpus: dict[str, list[Sentence]], left_out: list[str]
) -> str:
    """Return sizes of splits and unused files: "train 40 (train.txt), dev none (a tenth is held out), ..."."""
    parts = [f"train {len(corpus['train'])} ({files['train'].name})"]
    if "val" in files:
        parts.append(f"dev {len(corpus['val'])} ({files['val'].name})")
    else:
        held_out = round(config.validation * len(corpus["train"]))
        parts.append(f"dev none ({held_out} of these are held out; --dev names a file)")
    parts.append(f"test {len(corpus['test'])} ({files['test'].name})" if "test" in files else "test none")
    note = f"sentences: {', '.join(parts)}"
    if left_out:
        note += f"; left out: {listed(left_out)} (name a file train.txt, dev.txt or test.txt, or give --dev, --test)"
    return note


def _file_notes(reader: SentenceFile, sentences: list[Sentence]) -> list[str]:
    """Return notes on what was changed and left out in a file, and on what looks wrong in it."""
    parts = []
    if reader.repaired:
        parts.append(f"--fix-tags repaired {reader.repaired} of {plural(sum(map(len, sentences)), 'tag')}")
    if left_out := reader.left_out():
        parts.append(f"left out: {left_out}")
    return [f"{reader.path.name}: {part}" for part in [*parts, *doubts(sentences)]]


def _unseen_note(path: Path, sentences: list[Sentence], known: set[str]) -> list[str]:
    """Tell the tags that training never shows: nobody can learn them, so they are errors, and may be misspelt."""
    unseen = Counter(tag for s in sentences for tag in s.tags or () if tag not in known)
    if not unseen:
        return []
    named = listed([f"{tag} {count}" for tag, count in unseen.most_common()])
    first = next(tag for tag in unseen)
    near = get_close_matches(first, sorted(known), 1)
    hint = f"; is '{excerpt(first)}' a misspelt '{near[0]}'?" if near else ""
    words = plural(unseen.total(), "word has a tag", "words have tags")
    return [f"{path.name}: {words} that training never shows ({named}): each counts as an error{hint}"]


def _known_tags(sentences: list[Sentence], path: Path) -> set[str]:
    """Return the tags of the training file. Raises: UserError if all tags are the same."""
    known = {tag for s in sentences for tag in s.tags or ()}
    if len(known) == 1:
        raise UserError(
            f"{path}: every word has the tag '{known.pop()}', so there is nothing to learn: are the tags in another "
            "column (--columns), or another file?"
        )
    return known


def _reader(path: Path, config: NerConfig, known_tags: set[str] | None) -> SentenceFile:
    options: dict[str, Any] = {"scheme": config.file_scheme, "fix_tags": config.fix_tags, "known_tags": known_tags}
    if config.encoding is not None:
        options["encoding"] = config.encoding
    if config.columns is not None:
        options["columns"] = config.columns
    return open_sentences(path, **options)


def _files(config: NerConfig) -> tuple[dict[str, Path], list[str]]:
    """Return split -> file, a folder's by name, and the names of files that look like data and are not used."""
    data = Path(config.data).expanduser()
    if not config.data or not data.exists():
        problem = f"{data}: no such file or folder" if config.data else "no data named"
        raise UserError(f"{problem}: give --data a folder with train.txt and dev.txt, a training file, or generated")
    named = {"val": config.dev, "test": config.test}
    given = {split: Path(name).expanduser() for split, name in named.items() if name}
    if data.is_dir():
        folder = corpus_folder(data, given)
        if "train" not in folder.files:
            others = f"; it holds {listed(folder.left_out)}" if folder.left_out else ""
            raise UserError(
                f"{data}: holds no train.txt (nor .csv, .jsonl, .conll): name the training file itself{others}"
            )
        return folder.files, folder.left_out
    try:
        neighbours = sorted(data.parent.iterdir())
    except OSError:  # a folder may be closed though its files can be read
        neighbours = []
    beside = [path.name for path in neighbours if path.is_file() and role_of(path) in named]
    used = {path.resolve() for path in given.values()} | {data.resolve()}
    unused = [name for name in beside if (data.parent / name).resolve() not in used]
    return {"train": data, **given}, [f"{name} beside it" for name in unused]


def _tagged(sentence: Sentence, reader: SentenceFile) -> Sentence:
    if sentence.tags is None:
        seen = reader.keys_seen()
        raise UserError(
            f"{reader.path}:{sentence.line}: sentence {sentence.number} has no tags: training needs them"
            f"{f'; {seen}' if seen else ''}"
        )
    return sentence
