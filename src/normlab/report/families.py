"""Variants that differ in their batch size alone, as one family, for sentences and tables on batch sizes."""

from __future__ import annotations

from normlab.report.palette import Style
from normlab.report.view import StudyView, Variant, variant_label

Family = tuple[str, Style, list[Variant]]
"""Label without the batch size, the style of its line, the variants from the smallest batch to the largest."""


def by_scheme(view: StudyView) -> list[Family]:
    """Return the variants by everything but their batch size, smallest batch first."""
    families: dict[str, Family] = {}
    for variant in view.variants:
        if variant.batch_size is not None and "batch_size" in variant.values:
            label = _label_without_size(variant)
            families.setdefault(label, (label, Style(variant.style.color, "solid"), []))[2].append(variant)
    for _, _, variants in families.values():
        variants.sort(key=lambda variant: variant.values["batch_size"])
    return list(families.values())


def _label_without_size(variant: Variant) -> str:
    named = {axis: value for axis, value in variant.named.items() if axis != "batch_size"}
    return variant_label(named or {axis: value for axis, value in variant.values.items() if axis == "norm"})
