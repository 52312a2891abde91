"""Which scheme to use, for the data, batch size and device of this study: with reasons and their limits."""

from __future__ import annotations

from collections import Counter

from normlab.report.blocks import Advice, Block, Cell, Column, Section, Table, Text
from normlab.report.numbers import DASH
from normlab.report.palette import STYLES, name_of
from normlab.report.view import StudyView
from normlab.studies.recommend import Recommendation, recommend

_HELP = (
    "It starts from what papers say about the batch size and is overruled by this study where its paired "
    "differences, Holm-corrected, tell schemes apart. It is a rule, for this "
    "network, this data and this length of training; `normlab recommend STUDY --batch-size N --memory GIB` asks "
    "it about another batch or device."
)


def section(view: StudyView) -> Section | None:
    """Show the advice once a study of schemes has a result."""
    sizes = Counter(size for variant in view.variants if (size := variant.batch_size))
    if view.study.task != "image" or "norm" not in view.study.axes or not sizes:
        return None
    if not any(cell.trained for cell in view.cells):
        return None
    answers = {size: _ask(view, size) for size in sorted(sizes)}
    main = max(sizes, key=lambda size: (sizes[size], size))
    setting = ", ".join(part for part in (view.data_name, f"batch size {main}", _device(view) or "") if part)
    advice = answers[main]
    style = STYLES.get(advice.scheme)
    blocks: list[Block] = [Advice(name_of(advice.scheme), setting, style, advice.reasons, advice.limits)]
    if len(answers) > 1:
        blocks += [Text("At the other batch sizes of this study:"), _table(answers, main)]
    return Section("recommendation", "Recommendation", blocks, help=_HELP)


def _ask(view: StudyView, batch_size: int) -> Recommendation:
    device = _device(view)
    return recommend(
        batch_size=batch_size,
        memory_gib=_memory(view),
        device=device if device in {None, "cpu", "mps"} else "cuda",  # a run records the name of its GPU
        evidence=[view.study],
    )


def _table(answers: dict[int, Recommendation], main: int) -> Table:
    columns = [Column("Batch size"), Column("Scheme", numeric=False), Column("Because", numeric=False)]
    columns.append(Column("But", numeric=False))
    rows = [
        [
            Cell(str(size)),
            Cell(name_of(answer.scheme)),
            Cell(" ".join(answer.reasons)),
            Cell(" ".join(answer.limits) or DASH),
        ]
        for size, answer in answers.items()
        if size != main
    ]
    return Table("recommendation", columns, rows)


def _device(view: StudyView) -> str | None:
    """Return the device that the cells ran on; None if there were several."""
    devices = {str(cell.result["device"]) for cell in view.cells if cell.result.get("device")}
    return devices.pop() if len(devices) == 1 else None


def _memory(view: StudyView) -> float | None:
    """Return the machine's memory in GiB where the cells ran on its processor; a GPU's is not recorded."""
    if _device(view) != "cpu":
        return None
    sizes = [memory for cell in view.cells if (memory := cell.environment.get("memory_gib"))]
    return min(sizes, default=None)
