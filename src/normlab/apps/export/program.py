"""What a task hands over to be written: a module of plain operations, what describes it, and inputs to compare on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

Inputs = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Exportable:
    """A program and what belongs to it.

    Attributes:
        program: takes `inputs` in their order and returns `output`.
        example: inputs with which it is recorded.
        dynamic: for each input, axis -> `torch.export.Dim`.
        batches: inputs on which the written program must answer as `program` does.
        described: what these are, in words.
        about: metadata, plain values by their names.
    """

    program: nn.Module
    inputs: tuple[str, ...]
    output: str
    example: tuple[Tensor, ...]
    dynamic: tuple[Mapping[int, Any], ...]
    batches: Sequence[Inputs]
    described: str
    about: Mapping[str, Any]
