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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from normlab.apps.export.image import image_export
from normlab.apps.export.program import Exportable, Inputs
from normlab.apps.export.tagger import tagger_export
from normlab.engine.api import Run
from normlab.errors import UserError, did_you_mean
from normlab.runs.atomic import atomic_binary
from normlab.runs.model_file import save_model
from normlab.version import __version__

FORMATS = ("onnx", "torch", "safetensors")
TOLERANCE = 1e-3  # of logits: absolute, plus the same share of the value; sums are added in another order
_INSTALL = "exporting to ONNX needs onnx, onnxscript and onnxruntime: pip install 'normlab[export]'"

Program = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        compared: what was compared with the model, in words; "" for safetensors, which holds the same numbers.
        largest_difference: of a logit or an emission; None for safetensors.
        seconds, torch_seconds: of the first batch (at most 256 images) on one thread, in the file and in torch.
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
    if run.task.name not in _TASKS:
        why = _NOT_EXPORTED.get(run.task.name, f"only {' and '.join(_TASKS)} models are exported so")
        raise UserError(f"{run.path}: is a run of {run.task.name}, and {why}: use --to safetensors")
    run.result  # noqa: B018 - an unfinished run has none, and says so
    if form == "onnx":
        _refuse_missing_packages()
    exportable = _TASKS[run.task.name](run)
    about = {"normlab": __version__, "task": run.task.name, **exportable.about}
    with tempfile.TemporaryDirectory(prefix="normlab-export-") as scratch:
        file = Path(scratch) / ("model.onnx" if form == "onnx" else "model.pt2")  # torch warns of other suffixes
        reopened = (_write_onnx if form == "onnx" else _write_torch)(exportable, about, file)
        difference = _compare(reopened, exportable, run.path)
        first = exportable.batches[0]
        times = _seconds(reopened, first), _seconds(lambda *batch: _computed(exportable.program, batch), first)
        with atomic_binary(out) as target:
            target.write(file.read_bytes())
    return Exported(str(out), form, exportable.described, difference, *times)


_TASKS: dict[str, Callable[[Run], Exportable]] = {"image": image_export, "ner": tagger_export}
_NOT_EXPORTED = {
    "text2sql": "what its network is given and may write at each step (links, cells, the grammar) is Python that no "
    "such program holds"
}


def _recorded(exportable: Exportable) -> torch.export.ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(exportable.program, exportable.example, dynamic_shapes=exportable.dynamic)


def _write_torch(exportable: Exportable, about: dict[str, Any], file: Path) -> Program:
    torch.export.save(_recorded(exportable), str(file), extra_files={"normlab.json": json.dumps(about)})
    reopened = torch.export.load(str(file)).module()
    return lambda *inputs: _computed(reopened, inputs)


def _refuse_missing_packages() -> None:
    if any(find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")):
        raise UserError(_INSTALL)


def _write_onnx(exportable: Exportable, about: dict[str, Any], file: Path) -> Program:
    import onnx
    import onnxruntime

    # It warns once per operator of torchvision that torchvision is missing, which is wanted so.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = torch.onnx.export(
            _recorded(exportable),
            input_names=list(exportable.inputs),
            output_names=[exportable.output],
            dynamo=True,
            verbose=False,
        )
    assert written is not None
    model = written.model_proto
    for name, value in (about | {"opset": max(entry.version for entry in model.opset_import)}).items():
        model.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = exportable.inputs
    return lambda *inputs: session.run([exportable.output], dict(zip(names, inputs, strict=True)))[0]


def _compare(reopened: Program, exportable: Exportable, where: os.PathLike[str]) -> float:
    """Return the largest difference of an output. Raises: UserError if the program is not the model."""
    largest = 0.0
    for batch in exportable.batches:
        got, expected = reopened(*batch), _computed(exportable.program, batch)
        if not np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
            raise UserError(
                f"{where}: the exported program differs from the model by up to {np.abs(got - expected).max():.2g}, "
                "so nothing was written: use --to safetensors, and report the model's settings"
            )
        largest = max(largest, float(np.abs(got - expected).max()))
    return largest


@torch.inference_mode()
def _computed(program: Callable[..., Tensor], inputs: Inputs) -> np.ndarray:
    result: np.ndarray = program(*map(torch.from_numpy, inputs)).numpy()
    return result


def _seconds(program: Program, inputs: Inputs) -> float:
    """Return the least of three times of a batch on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            program(*inputs)
            times.append(time.perf_counter() - begun)
        return min(times)
    finally:
        torch.set_num_threads(threads)
