"""One name, one colour and one line style per normalization scheme, in every figure of every report.

The colours are Okabe and Ito's, which stay apart under the common colour blindnesses; the dashes tell lines
apart without any colour. A scheme that is not listed takes the next free pair, the same one for the whole
report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """How a scheme looks: a hex colour that reads on white and on black, and plotly's name of a dash."""

    color: str
    dash: str


NAMES = {
    "torch_batch": "Batch norm (torch)",
    "batch": "Batch norm (own)",
    "instance": "Instance norm",
    "batch_instance": "Batch-instance norm",
    "layer": "Layer norm",
    "group": "Group norm",
    "none": "No normalization",
    "rms": "RMS norm",
    "rms_pixel": "RMS norm per pixel",
    "layer_pixel": "Layer norm per pixel",
    "switchable": "Switchable norm",
    "batch_renorm": "Batch renorm",
    "ghost_batch": "Ghost batch norm",
    "dynamic_tanh": "Dynamic tanh",
    "derf": "Dynamic erf",
    "filter_response": "Filter response norm",
    "evonorm_s0": "EvoNorm-S0",
    "evonorm_b0": "EvoNorm-B0",
}

STYLES = {
    "torch_batch": Style("#1780cf", "solid"),
    "batch": Style("#56b4e9", "dash"),
    "instance": Style("#009e73", "dashdot"),
    "batch_instance": Style("#cc79a7", "solid"),
    "layer": Style("#e69f00", "dash"),
    "group": Style("#d55e00", "longdash"),
    "none": Style("#808890", "dot"),
}

# So many colours do not stay apart for every eye: near ones differ in their dashes.
_LATER_STYLES = {
    "rms": Style("#a0793d", "solid"),
    "rms_pixel": Style("#c0955a", "dot"),
    "layer_pixel": Style("#b8a500", "dashdot"),
    "switchable": Style("#c0407a", "dash"),
    "batch_renorm": Style("#5a63c4", "longdashdot"),
    "ghost_batch": Style("#2f7f9f", "dot"),
    "dynamic_tanh": Style("#4f9da6", "solid"),
    "derf": Style("#7fb03f", "longdash"),
    "filter_response": Style("#c97b63", "longdashdot"),
    "evonorm_s0": Style("#8f4fb5", "dash"),
    "evonorm_b0": Style("#a678c9", "longdash"),
}

_FURTHER = [
    Style("#8a63d2", "solid"),
    Style("#a0793d", "dashdot"),
    Style("#b8a500", "longdash"),
    Style("#c0407a", "dot"),
    Style("#4f9da6", "dash"),
]

# For kinds of things rather than lines: entity types, say.
CATEGORY_COLORS = [style.color for style in (*STYLES.values(), *_FURTHER)]

# The middle of viridis (Smith & van der Walt 2015): even steps of lightness, for any colour vision.
_LADDER = ["#c9a400", "#7fb03f", "#2fa27c", "#2b80a8", "#5a63c4", "#8f4fb5"]

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def name_of(scheme: str) -> str:
    """Return a scheme's name for people; an unknown one keeps its own, one from a file without the file."""
    return NAMES.get(scheme, scheme.rpartition(":")[2])


def styles_for(schemes: Iterable[str]) -> dict[str, Style]:
    """Return a style for each scheme: its fixed one, or one of the further ones in order of appearance."""
    chosen: dict[str, Style] = {}
    unknown = 0
    for scheme in schemes:
        if scheme in chosen:
            continue
        if scheme in STYLES or scheme in _LATER_STYLES:
            chosen[scheme] = STYLES.get(scheme) or _LATER_STYLES[scheme]
        else:
            chosen[scheme] = _further(unknown)
            unknown += 1
    return chosen


def _further(index: int) -> Style:
    """Return the style of the index-th unlisted scheme: after the free pairs, all colours again with other dashes."""
    if index < len(_FURTHER):
        return _FURTHER[index]
    round_, index_of_color = divmod(index - len(_FURTHER), len(CATEGORY_COLORS))
    return Style(CATEGORY_COLORS[index_of_color], DASHES[(index_of_color + round_) % len(DASHES)])


def faint_to_strong(count: int) -> list[str]:
    """Return colours for an ordered row of lines: from yellow over green to violet, none lost on white or on black."""
    if count == 1:
        return [_LADDER[-2]]
    positions = [index * (len(_LADDER) - 1) / (count - 1) for index in range(count)]
    return [
        _between(_LADDER[int(position)], _LADDER[min(int(position) + 1, len(_LADDER) - 1)], position % 1)
        for position in positions
    ]


def _between(a: str, b: str, share: float) -> str:
    mixed = (round((1 - share) * int(a[i : i + 2], 16) + share * int(b[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def faded(color: str, alpha: float) -> str:
    """Return a hex colour as rgba with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
