"""An ONNX file that `export` wrote, predicting as the run it came from: labels and image size stand in its metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from normlab.data.image.prediction import describe_input, read_unlabelled
from normlab.data.image.source import AUTO, is_colour
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.reading import refuse_special, unreadable
from normlab.tasks import TASKS
from normlab.tasks.image.predictions import records_of

SUFFIX = ".onnx"
_BATCH = 256


class OnnxModel:
    """An exported image model.

    Args:
        path: the file.
    Raises: UserError if onnxruntime is missing, or the file is none, damaged, or of another program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.task = TASKS.get("image")
        self._session = _session(path)
        about = self._session.get_modelmeta().custom_metadata_map
        if about.get("normlab") is None:
            raise UserError(
                f"{path}: an ONNX file of another program, without labels: "
                "use one that `normlab export RUN --to onnx` wrote"
            )
        if about.get("task") != "image":
            raise UserError(f"{path}: of the task {about.get('task')}: `normlab predict` reads image models as ONNX")
        try:
            self.labels: list[str] = list(json.loads(about["labels"]))
            height, width = json.loads(about["image_size"])
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: its metadata are damaged (labels, image_size): export it again") from None
        if height != width:
            raise UserError(f"{path}: reads images of {height} x {width}, and only square ones are read here")
        self._size = int(height)
        self._background = about.get("background", AUTO)
        if self._background != AUTO and not is_colour(self._background):
            raise UserError(f"{path}: its metadata are damaged (background): export it again")

    def predict(self, source: Path) -> Iterator[dict[str, Any]]:
        """Yield a record for each image of a file, a folder or a CSV, as `normlab predict RUN` does."""
        images = read_unlabelled(source, size=self._size, background=self._background)
        while chunk := list(islice(images, _BATCH)):
            yield from records_of(chunk, self.labels, self._probabilities)

    def predict_to(
        self, source: Path, out: Path, form: str = "auto", *, watch: Callable[[dict[str, Any]], None] | None = None
    ) -> int:
        """Predict into a file; return the number of records. `watch` is called with each of them."""

        def watched() -> Iterator[dict[str, Any]]:
            for record in self.predict(source):
                if watch is not None:
                    watch(record)
                yield record

        return self.task.write_predictions(watched(), out, form, source)

    def read_as(self, source: Path) -> str:
        """Say what of a folder is read and what is left out; "" for a single file."""
        return describe_input(source)

    def _probabilities(self, images: npt.NDArray[np.uint8]) -> list[list[float]]:
        """Return a row of class probabilities for each of uint8 images (N, 3, H, W)."""
        [logits] = self._session.run(["logits"], {"images": images})
        if logits.shape != (len(images), len(self.labels)):
            raise UserError(
                f"{self.path}: gives {logits.shape[1:]} logits for {plural(len(self.labels), 'label')}: export again"
            )
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        rows: list[list[float]] = (shifted / shifted.sum(1, keepdims=True)).tolist()
        return rows


def _session(path: Path) -> Any:
    try:
        refuse_special(path, path.stat().st_mode)
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: reading ONNX needs onnxruntime: pip install 'normlab[export]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its own complaints go to the terminal; ours is the line below
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # onnxruntime's errors have no common class
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: no ONNX file that can be run ({reason}): export it again") from None
