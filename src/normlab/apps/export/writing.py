"""Write a program, read it back, compare it with the model, and only then put it where it was asked for."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from normlab.apps.export.image import ImageProgram, comparison_images
from normlab.engine.api import Run
from normlab.errors import UserError, did_you_mean
from normlab.runs.atomic import atomic_binary
from normlab.runs.model_file import save_model
from normlab.version import __version__

FORMATS = ("onnx", "torch", "safetensors")
TOLERANCE = 1e-3  # of logits: absolute, plus the same share of the value; sums are added in another order
_BATCH = 256
_INSTALL = "exporting to ONNX needs onnx, onnxscript and onnxruntime: pip install 'normlab[export]'"

Program = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        compared: what was compared with the model, in words; "" for safetensors, which holds the same numbers.
        largest_difference: of a logit; None for safetensors.
        seconds, torch_seconds: of one batch of 256 on one thread, in the file's program and in torch.
    """

    path: str
    format: str
    compared: str = ""
    largest_difference: float | None = None
    seconds: float | None = None
    torch_seconds: float | None = None


def export(run: Run, form: str, out: Path) -> Exported:
    """Export a finished run's model.

    Raises: UserError for an unknown format, a task that the format does not take, a missing package, and if the
        exported program does not answer as the model does; then nothing is written.
    """
    if form not in FORMATS:
        raise UserError(f"unknown format '{form}': {did_you_mean(form, FORMATS)}")
    if form == "safetensors":
        save_model(run.folder, out)
        return Exported(str(out), form)
    if run.task.name != "image":
        raise UserError(
            f"{run.path}: is a run of {run.task.name}, and only image models are exported so: use --to safetensors"
        )
    run.result  # noqa: B018 - an unfinished run has none, and says so
    program = ImageProgram(run.model.cpu().float(), run.folder.card()).eval()
    with tempfile.TemporaryDirectory(prefix="normlab-export-") as scratch:
        file = Path(scratch) / f"model.{form}"
        reopened = (_write_onnx if form == "onnx" else _write_torch)(program, run, file)
        images, described = comparison_images(run)
        difference = _compare(reopened, program, images, run.path)
        times = _seconds(reopened, images), _seconds(lambda batch: _logits(program, batch), images)
        with atomic_binary(out) as target:
            target.write(file.read_bytes())
    return Exported(str(out), form, described, difference, *times)


def _recorded(program: ImageProgram, run: Run) -> torch.export.ExportedProgram:
    height, width = run.folder.card()["image_size"]
    example = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(program, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def _write_torch(program: ImageProgram, run: Run, file: Path) -> Program:
    torch.export.save(_recorded(program, run), str(file), extra_files={"normlab.json": json.dumps(_about(run))})
    reopened = torch.export.load(str(file)).module()
    return lambda images: _logits(reopened, images)


def _write_onnx(program: ImageProgram, run: Run, file: Path) -> Program:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError:
        raise UserError(_INSTALL) from None
    # It warns once per operator of torchvision that torchvision is missing, which is wanted so.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = torch.onnx.export(
            _recorded(program, run), input_names=["images"], output_names=["logits"], dynamo=True, verbose=False
        )
    assert written is not None
    model = written.model_proto
    about = _about(run) | {"opset": max(entry.version for entry in model.opset_import)}
    for name, value in about.items():
        model.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def _about(run: Run) -> dict[str, Any]:
    card = run.folder.card()
    return {
        "normlab": __version__,
        "task": run.task.name,
        "labels": card["classes"],
        "inputs": "images: uint8 (N, 3, height, width), RGB; the program normalises them",
        **{name: card[name] for name in ("image_size", "mean", "std")},
    }


def _compare(reopened: Program, program: ImageProgram, images: np.ndarray, where: os.PathLike[str]) -> float:
    """Return the largest difference of a logit. Raises: UserError if the program is not the model."""
    largest = 0.0
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        got, expected = reopened(batch), _logits(program, batch)
        if not np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
            raise UserError(
                f"{where}: the exported program differs from the model by up to {np.abs(got - expected).max():.2g}, "
                "so nothing was written: use --to safetensors, and report the model's settings"
            )
        largest = max(largest, float(np.abs(got - expected).max()))
    return largest


@torch.inference_mode()
def _logits(program: Callable[[Tensor], Tensor], images: np.ndarray) -> np.ndarray:
    result: np.ndarray = program(torch.from_numpy(images)).numpy()
    return result


def _seconds(program: Program, images: np.ndarray) -> float:
    """Return the least of three times of a batch on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            program(images[:_BATCH])
            times.append(time.perf_counter() - begun)
        return min(times)
    finally:
        torch.set_num_threads(threads)
