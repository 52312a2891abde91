"""A run folder as plain bytes, to travel to a machine that does not see the disk it lies on.

A parcel may be made while the run goes on, and it may arrive where an older copy lies. Both need an order. The
checkpoint is read before the log of epochs, so the log always reaches as far as the checkpoint, and resuming drops
what is beyond it. It is written after the log and before `result.json`, which means "done" and comes last.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from normlab.runs.atomic import write_bytes

Parcel = dict[str, bytes]  # path inside the run folder, with slashes -> content

_CHECKPOINT = "checkpoints/last.safetensors"
_RESULT = "result.json"


def pack(folder: Path) -> Parcel:
    """Read a run folder; the lock and unfinished temporary files stay behind."""
    parcel: Parcel = {}
    for name in sorted(_names(folder), key=lambda name: name != _CHECKPOINT):
        try:
            parcel[name] = (folder / name).read_bytes()
        except FileNotFoundError:  # its writer has just replaced it
            continue
    return parcel


def unpack(parcel: Parcel, folder: Path) -> None:
    """Write a parcel into a run folder, each file whole or not at all.

    Raises: ValueError if a name leads out of the folder.
    """
    for name in sorted(parcel, key=lambda name: (name == _RESULT, name == _CHECKPOINT)):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{name}: leads out of the run folder")
        write_bytes(folder / path, parcel[name])


def _names(folder: Path) -> list[str]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".tmp")]
    return [path.relative_to(folder).as_posix() for path in paths if path.name != ".lock"]
