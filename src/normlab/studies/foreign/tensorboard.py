"""TensorBoard's event files: a folder per run, scalars by tag and step. Read with the package `tensorboard`."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.reading import refuse_special, unreadable
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.assemble import Reading
from normlab.studies.foreign.folders import axes_asked, named_trainings, said_of_folders
from normlab.studies.foreign.rows import over_time
from normlab.studies.foreign.training import Training

_EVENTS = "*tfevents*"


def reads(path: Path) -> bool:
    """Say whether a folder holds event files at any depth."""
    return path.is_dir() and next(path.rglob(_EVENTS), None) is not None


def read(path: Path, asked: Asked) -> Reading:
    """Read each folder with event files as a training; its path says variant and seed, or its hyperparameters do.

    Raises: UserError if `tensorboard` is not installed, a folder has no scalars, or nothing tells a run's seed.
    """
    if find_spec("tensorboard") is None:
        raise UserError(
            f"{path}: event files are read with the package tensorboard, which is not installed: "
            "pip install 'normlab[tensorboard]'"
        )
    files = sorted(path.rglob(_EVENTS))
    for file in files:
        _refuse_special(file)
    folders = sorted({file.parent for file in files})
    trainings = [_training(path, folder) for folder in folders]
    trainings = _joined([training for training in trainings if training.finals or training.values])
    if not any(training.finals for training in trainings):
        raise UserError(f"{path}: its event files hold no scalars: give the folder that the program logged numbers to")
    named_trainings(trainings, asked)
    said = said_of_folders(path, "TensorBoard", trainings, "step")
    return Reading(path, trainings, said, "step", axes_asked(trainings, asked))


def _refuse_special(file: Path) -> None:
    """Raise `UserError` for a pipe, on which the package would wait for ever, and for a dead link."""
    try:
        refuse_special(file, file.stat().st_mode)
    except OSError as error:
        raise unreadable(file, error) from None


def _training(path: Path, folder: Path) -> Training:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # its notes on duplicated graphs say nothing here
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    found = events.Tags()
    records: dict[float, dict[str, float]] = {}
    for tag in found["scalars"]:
        for event in events.Scalars(tag):
            records.setdefault(event.step, {})[names.metric_name(tag)] = float(event.value)
    for tag in found["tensors"]:  # what TensorFlow 2 writes
        for event in events.Tensors(tag):
            value = _number(folder, tag, event.tensor_proto)
            if value is not None:
                records.setdefault(event.step, {})[names.metric_name(tag)] = value
    name = str(folder.relative_to(path)) if folder != path else folder.name
    training = Training(str(folder), name, _hyperparameters(events))
    training.records, training.finals = over_time(records)
    return training


def _number(folder: Path, tag: str, tensor: Any) -> float | None:
    """Return the number that a tensor holds, None if it holds none, or several.

    Its shape is looked at first: a tensor of a single stored value may stand for any size.
    Raises: UserError for a tensor that does not hold what it says.
    """
    from tensorboard.util import tensor_util

    if any(axis.size != 1 for axis in tensor.tensor_shape.dim):
        return None
    try:
        value = tensor_util.make_ndarray(tensor)
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{folder}: a damaged tensor '{tag}' in tfevents ({error}): copy the files again") from None
    return float(value.reshape(())) if value.size == 1 and value.dtype.kind in "fiu" else None


def _hyperparameters(events: Any) -> dict[str, Any]:
    """Return what `SummaryWriter.add_hparams` recorded; empty without it."""
    from tensorboard.plugins.hparams import metadata

    try:
        content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    except KeyError:
        return {}
    values = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in metadata.parse_session_start_info_plugin_data(content).hparams.items()
    }
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in values.items()
    }


def _joined(trainings: list[Training]) -> list[Training]:
    """Give the hyperparameters that `add_hparams` writes into a folder of its own to the run above that folder."""
    by_name = {training.name: training for training in trainings}
    joined = []
    for training in trainings:
        above = by_name.get(str(Path(training.name).parent))
        if training.values and above is not None and not above.values and above is not training:
            above.values = training.values
            above.finals = {**training.finals, **above.finals}
        else:
            joined.append(training)
    return joined
