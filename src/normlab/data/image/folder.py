"""A folder of images by class: `train/<class>/*` with `val/<class>/*` and `test/<class>/*` beside it, or `<class>/*`.

Classes are the folders' names, sorted. `val`, `valid`, `validation` or `dev` serves as validation. Where there is
neither test nor validation, a sixth of every class is drawn for testing from the seed (CIFAR's own share). Images of
any size are resized to a square. Needs Pillow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from normlab.data.image.drawn_test import with_test
from normlab.data.image.folder_scan import reason_against, scan_images
from normlab.data.image.pixels import decode_all, decode_file, require
from normlab.data.image.source import SPLITS, Chunk, ImageSource, Reading, file_identity
from normlab.data.left_out import LeftOut, absent_notes, left_out_note, some
from normlab.errors import UserError
from normlab.plurals import plural

DEFAULT_SIZE = 32
FOLDER_KIND = "folder of images"
SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}

Examples = list[tuple[Path, int]]  # files with their labels
ByClass = dict[str, list[Path]]  # class name -> its images, both sorted


class _Splits(NamedTuple):
    classes: tuple[str, ...]
    examples: dict[str, Examples]
    left_out: LeftOut
    notes: list[str]
    own: tuple[str, ...]  # the splits that have a folder


class NoClassFoldersError(UserError):
    """The folders hold images of several classes, and do not say which."""


def find_image_folder(path: Path, reading: Reading) -> ImageSource | None:
    """Describe the images by class under `path`; None if there are none.

    Raises: UserError if there are images but no training images by class, or too few to be split.
    """
    if not path.is_dir():
        return None
    require("PIL.Image", "reading images")
    splits = _given(path, reading) or _drawn(path, reading)
    if splits is None:
        return None
    classes, examples, left_out, notes, own_splits = splits
    size = reading.size or DEFAULT_SIZE
    files = [file for split in examples for file, _ in examples[split]]
    labels = {split: [label for _, label in part] for split, part in examples.items()}
    return ImageSource(
        kind=FOLDER_KIND,
        name=path.resolve().name,
        classes=classes,
        identity={"folder": file_identity(files), "labels": labels, "size": size, **reading.identity()},
        chunks=lambda: chunks_of_files(examples, size, reading.background),
        size=size,
        own_splits=own_splits,
        skip_broken=reading.skip_broken,
        notes=tuple(note for note in (*_found(classes, labels), *notes, left_out_note(left_out)) if note),
    )


def _by_class(folder: Path, root: Path) -> tuple[ByClass, LeftOut]:
    """Return the images of each class folder; folders without images are no classes."""
    by_class, left_out = ByClass(), LeftOut()
    for entry in sorted(folder.iterdir()):
        name = entry.relative_to(root).as_posix()
        if entry.name.startswith("."):
            left_out.append(("hidden", name))
        elif entry.is_dir():
            images, others = scan_images(entry, root)
            left_out += others
            if images:
                by_class[entry.name] = images
            elif not others:
                left_out.append(("folder without images", name))
        else:
            left_out.append((reason_against(entry) or "image in no class's folder", name))
    return by_class, left_out


def split_folders(path: Path) -> dict[str, Path]:
    """Return the folders that are named like a split; of several for one split, the first of `SPLIT_NAMES`."""
    folders = {entry.name.lower(): entry for entry in sorted(path.iterdir()) if entry.is_dir()}
    return {
        split: folders[next(name for name in names if name in folders)]
        for split, names in SPLIT_NAMES.items()
        if any(name in folders for name in names)
    }


def _given(path: Path, reading: Reading) -> _Splits | None:
    """Read the layout train/<class>/ and so on; None if no folder of a split's name holds folders of images."""
    folders = split_folders(path)
    read = {split: _by_class(folder, path) for split, folder in folders.items()}
    by_class = {split: labelled for split, (labelled, _) in read.items() if labelled}
    if not by_class:
        return None
    if "train" not in by_class:
        given = ", ".join(folders[split].name for split in by_class)
        raise UserError(f"{path}: holds {given}/<class>/ but no train/<class>/ with images: add it")
    left_out = [pair for _, others in read.values() for pair in others]
    left_out += [_beside(entry) for entry in sorted(path.iterdir()) if entry not in folders.values()]
    classes = tuple(sorted(set().union(*by_class.values())))
    examples = {split: _examples(by_class[split], classes) for split in SPLITS if split in by_class}
    renamed = [f"{folders[split].name}/ as {split}" for split in examples if folders[split].name != split]
    notes = [f"took {', '.join(renamed)}"] if renamed else []
    own = tuple(examples)
    if len(examples) == 1:
        examples, drawn = with_test(path, examples["train"], reading)
        return _Splits(classes, examples, left_out, [*notes, *drawn], own)
    if "test" not in examples:
        notes.append(f"no test images: {folders['val'].name}/ is validation, and results are measured on it")
    return _Splits(classes, examples, left_out, notes, own)


def _beside(entry: Path) -> tuple[str, str]:
    """Name what lies beside the folders of the splits."""
    if entry.name.startswith("."):
        return "hidden", entry.name
    return ("folder beside train/" if entry.is_dir() else reason_against(entry) or "image in no class's folder"), (
        entry.name
    )


def _drawn(path: Path, reading: Reading) -> _Splits | None:
    """Read the layout <class>/ and draw test images; None if no folder holds images."""
    by_class, left_out = _by_class(path, path)
    if not by_class:
        return None
    split_names = {name for names in SPLIT_NAMES.values() for name in names}
    named_as_splits = [name for name in by_class if name.lower() in split_names]
    if len(named_as_splits) == len(by_class):
        raise NoClassFoldersError(
            f"{path}: {', '.join(f'{name}/' for name in by_class)} hold images but no folder for each class, and class "
            f"names are read from nothing else{_ignored(left_out)}: sort the images into train/<class>/"
        )
    if len(by_class) == 1 and (inner := _inner_layout(path / next(iter(by_class)))):
        raise UserError(f"{path}: holds the one folder {inner.name}/ with the classes in it: give {inner}")
    classes = tuple(by_class)
    examples, notes = with_test(path, _examples(by_class, classes), reading)
    if named_as_splits:
        notes.append(f"{some(named_as_splits)}: taken for a class, like the folders beside it")
    return _Splits(classes, examples, left_out, notes, ())


def _inner_layout(folder: Path) -> Path | None:
    """Return a lone folder, such as an archive leaves, if its own folders hold images."""
    return folder if len(_by_class(folder, folder)[0]) > 1 else None


def _ignored(left_out: LeftOut) -> str:
    tables = [name for reason, name in left_out if reason in (".csv", ".json", ".jsonl", ".txt", ".tsv", ".xml")]
    return f" ({some(tables)} neither)" if tables else ""


def _examples(by_class: ByClass, classes: tuple[str, ...]) -> Examples:
    return [(file, label) for label, name in enumerate(classes) for file in by_class.get(name, ())]


def _found(classes: tuple[str, ...], labels: Mapping[str, list[int]]) -> Iterator[str]:
    """Say what was found, and which classes a split has no images of."""
    counts = ", ".join(f"{split} {len(part)}" for split, part in labels.items())
    yield f"{counts} images; {plural(len(classes), 'class', 'classes')}, the folders' names"
    if len(classes) == 1:
        yield "one class only: there is nothing to tell apart"
    yield from absent_notes(classes, labels)


def chunks_of_files(examples: Mapping[str, Examples], size: int, background: str) -> Iterator[Chunk]:
    """Decode image files, split by split."""
    for split, files in examples.items():
        for batch in decode_all(files, lambda example: decode_file(example[0], size=size, background=background)):
            labels = np.array([label for _, label in batch.items], dtype=np.int64)
            yield Chunk(split, batch.images, labels, batch.changes, batch.failures)
