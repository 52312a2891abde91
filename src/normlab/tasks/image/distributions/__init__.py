"""Statistics of an image network's layers, measured after each epoch: percentiles, dead channels, gates."""

from __future__ import annotations

from normlab.tasks.image.distributions.gates import gate_histograms
from normlab.tasks.image.distributions.sketch import PercentileSketch
from normlab.tasks.image.distributions.watch import LayerWatch

__all__ = ["LayerWatch", "PercentileSketch", "gate_histograms"]
