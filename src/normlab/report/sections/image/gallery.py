"""The test images that the leading variant got wrong with most confidence, as its run folder keeps them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from normlab.errors import UserError
from normlab.json_file import read_json
from normlab.plurals import plural
from normlab.report.blocks import Block, Gallery, Picture, Section, Text
from normlab.report.comparing import leading
from normlab.report.view import CellView, StudyView

_MOST, _LONGEST = 24, 40_000  # images, and characters of one: what a report has room for
_PNG = b"\x89PNG\r\n\x1a\n"
_HELP = (
    "The misclassified images to whose wrong class the model gave the largest probability, of the leading variant's "
    "first finished seed. Below an image: the predicted class with its probability, then the true class. Some are "
    "hard, some are mislabelled, and some show a mistake that the model makes often. Runs of images of more than 64 "
    "pixels a side keep none."
)


def section(view: StudyView) -> Section | None:
    """Show the images; None where the run kept none."""
    best = leading(view)
    for cell in best.trained if best else []:
        pictures, damage = kept_pictures(view, cell)
        if best and (pictures or damage):
            title = f"Most confident mistakes: {best.label}"
            blocks: list[Block] = [Gallery("wrong", pictures)] if pictures else []
            return Section("gallery", title, [*blocks, *([Text(damage)] if damage else [])], help=_HELP)
    return None


def kept_pictures(view: StudyView, cell: CellView) -> tuple[list[Picture], str]:
    """Return the images of `predictions/wrong.json`, and a sentence on what of it is damaged and left out."""
    folder = next(each.folder for each in view.study.cells if each.name == cell.name)
    path = folder.predictions / "wrong.json"
    if not path.is_file():
        return [], ""
    try:
        content = read_json(path)
    except UserError as error:
        return [], f"The images cannot be shown: {error}."
    images = content.get("images") if isinstance(content, dict) else None
    classes = [str(name) for name in cell.card.get("classes", [])]
    if not isinstance(images, list):
        return [], f"The images cannot be shown: {path}: expected an object with a list of images."
    entries = [_picture(entry, classes) for entry in images[:_MOST]]
    pictures = [picture for picture in entries if picture is not None]
    lost = len(entries) - len(pictures)
    return pictures, f"{path}: {plural(lost, 'entry', 'entries')} left out as damaged." if lost else ""


def _picture(entry: Any, classes: list[str]) -> Picture | None:
    """Return an entry as it is shown; None if it is not what the image task writes."""
    try:
        text, truth, prediction = str(entry["png"]), classes[entry["label"]], classes[entry["prediction"]]
        probability, index = float(entry["probability"]), int(entry["index"])
        content = base64.b64decode(text, validate=True)
    except (KeyError, IndexError, TypeError, ValueError, binascii.Error):
        return None
    if len(text) > _LONGEST or not content.startswith(_PNG):
        return None
    return Picture(text, f"{prediction} ({100 * probability:.0f} %)", f"true: {truth}", f"image {index} of the split")
