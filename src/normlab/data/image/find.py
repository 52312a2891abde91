"""Recognising the form of the images at a path.

Each reader has a function that looks at a path and gives an `ImageSource` or None; they are asked in turn.
A new form needs one reader and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from normlab.data.image.arrays import find_arrays
from normlab.data.image.cifar import find_cifar
from normlab.data.image.folder import FOLDER_KIND, NoClassFoldersError, find_image_folder
from normlab.data.image.folder_scan import scan_images
from normlab.data.image.manifest import find_manifest, names_images
from normlab.data.image.parquet import find_parquet
from normlab.data.image.source import ImageSource, Reading
from normlab.data.left_out import left_out_note
from normlab.errors import UserError
from normlab.file_kind import PACKED, kind_of_file
from normlab.plurals import plural

FINDERS: tuple[Callable[[Path, Reading], ImageSource | None], ...] = (
    find_cifar,
    find_manifest,
    find_arrays,
    find_parquet,
    find_image_folder,
)
LOOKED_FOR = (
    "cifar-10-batches-py/ or -bin/, cifar-100-python/ or -binary/, their .tar.gz, train*.parquet and test*.parquet, "
    "a saved Hugging Face data set, arrays (.npz, or images.npy and labels.npy), train/<class>/ and val/<class>/ or "
    "test/<class>/ with images, <class>/ with images, or a table (CSV, TSV, parquet) with columns path and label"
)


def find_source(path: Path, reading: Reading) -> ImageSource:
    """Return the data set at `path`.

    Raises: UserError listing what was looked for, if there is none.
    """
    path = path.expanduser()
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: a dead link; give a path that is there")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: no regular file and no folder; give a path to one")
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give a path, or one of digits, cifar10, cifar100")
    try:
        found = (find(path, reading) for find in FINDERS)
        source = next((source for source in found if source is not None), None)
    except NoClassFoldersError:
        _refuse_table_beside(path)
        raise
    except OSError as error:
        unreadable = error.filename or path
        raise UserError(f"{unreadable}: cannot be read ({error.strerror}); check it and its permissions") from error
    if source is None:
        raise UserError(f"{path}: {_nothing(path)}; looked for {LOOKED_FOR}")
    if source.kind == FOLDER_KIND and len(source.classes) == 1:
        _refuse_table_beside(path)
    return source


def _refuse_table_beside(folder: Path) -> None:
    """Raise UserError if a folder has a table with the classes of its images, which lie together."""
    for file in sorted(folder.iterdir()):
        try:
            is_table = names_images(file)
        except UserError:  # a table that cannot be read names nothing
            continue
        if is_table:
            raise UserError(f"{folder}: its images lie together, and {file.name} names their classes: give {file}")


def _nothing(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        return (
            "a CSV holds images without labels, so it serves for prediction only, unless it has columns path and label"
        )
    if path.is_file():
        kind = kind_of_file(path)
        advice = " (unpack it and give the folder)" if kind in PACKED else ""
        return f"one file that holds {kind}{advice}, no labelled images" if kind else "no labelled images found"
    scan = scan_images(path)
    problem = (
        f"{plural(len(scan.images), 'image')} but none in a folder of its class"
        if scan.images
        else "no labelled images found"
    )
    note = left_out_note(scan.left_out)
    return f"{problem} ({note})" if note else problem
