"""The images below a folder, by suffix or else by content, and everything else by name.

Hidden files are counted only. A pipe or a dead link is never opened.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from normlab.data.image.pixels import IMAGE_SUFFIXES, is_image
from normlab.data.left_out import LeftOut
from normlab.file_kind import HEAD


class Scan(NamedTuple):
    """Image files sorted by path, and what lies beside them: (reason, name below the root)."""

    images: list[Path]
    left_out: LeftOut


def scan_images(folder: Path, root: Path | None = None) -> Scan:
    """Find the image files anywhere below `folder`; names of what is left out are relative to `root`.

    Linked folders below it are not entered, since links may go in circles; they are among what is left out.
    """
    root = folder if root is None else root
    images, left_out = list[Path](), LeftOut()

    def unreadable(error: OSError) -> None:
        left_out.append(("folder that cannot be read", _below(Path(str(error.filename)), root)))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        for name in sorted(folders):
            if name.startswith("."):
                left_out.append(("hidden", _below(Path(parent, name), root)))
            elif Path(parent, name).is_symlink():
                left_out.append(("linked folder", _below(Path(parent, name), root)))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            reason = reason_against(file)
            if reason:
                left_out.append((reason, _below(file, root)))
            else:
                images.append(file)
    images.sort(key=lambda file: file.relative_to(folder).parts)
    left_out.sort(key=lambda pair: pair[1])
    return Scan(images, left_out)


def reason_against(file: Path) -> str:
    """Say why a file is taken for no image; "" if it is taken for one.

    A suffix of ours is believed, so that a damaged image is noticed. Any other file is judged by its first bytes.
    """
    if file.name.startswith("."):
        return "hidden"
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            return "no regular file"
        if file.suffix.lower() in IMAGE_SUFFIXES:
            return ""
        with open(file, "rb") as opened:
            if is_image(opened.read(HEAD)):
                return ""
    except FileNotFoundError:
        return "dead link"
    except OSError:
        return "unreadable"
    return file.suffix.lower() or "no suffix"


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
