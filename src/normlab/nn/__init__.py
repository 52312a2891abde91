"""Blocks that know no task, imported on first use: `normlab.nn.ResNet`, and so on.

`resnet.py`, `preact_resnet.py`, `convnext.py`, `vit.py` and `sprint.py`, by name in `networks.py` (`classifier.py`:
what they have in common); `output.py`; `standardized.py` (weight standardization) and `normalizer_free.py`
(residual branches without norms); `lstm.py` with `lstm_reference.py`
(its plain formula) and `lstm_cell.py` (one step, for decoders); `crf.py` with `crf_lattice.py` (sums over tag
sequences) and `crf_decoding.py`; `attention.py`; `beam.py` (search); `word_embedding.py`; `pretrained.py`
(transformers encoders).
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "ResNet": "normlab.nn.resnet",
    "PreActResNet": "normlab.nn.preact_resnet",
    "ConvNeXt": "normlab.nn.convnext",
    "SprintNet": "normlab.nn.sprint",
    "VisionTransformer": "normlab.nn.vit",
    "standardize_weights": "normlab.nn.standardized",
    "LayerNormLSTM": "normlab.nn.lstm",
    "LinearChainCRF": "normlab.nn.crf",
    "beam_search": "normlab.nn.beam",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'normlab.nn' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
