"""Which normalization to use: a scheme, the reasons for it, and what they are worth.

It starts from published results about batch size and architecture. The user's own studies replace them where they
find a difference between schemes. It is a rule with its reasons written out, not a model: every sentence has a source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from normlab.errors import UserError, did_you_mean
from normlab.plurals import plural
from normlab.studies.comparisons import SchemeComparison, comparisons
from normlab.studies.study import Study
from normlab.studies.tables import axis_values, final_metrics, study_table

TASKS = ("image", "ner", "text2sql")
METRIC = "test/accuracy"
SMALL_BATCH, LARGE_BATCH = 4, 16  # batch norm loses in published results up to the first, and not from the second on
_KIB_PER_IMAGE = 1048  # activations that a ResNet-14 keeps per 32 x 32 image in float32


@dataclass
class Recommendation:
    """A scheme for a setting.

    Attributes:
        scheme: a name of `NORMS`.
        reasons: why, one sentence each: published facts first, then the given studies.
        limits: where the reasons may not hold.
    """

    scheme: str
    reasons: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)


def recommend(
    *,
    batch_size: int,
    task: str = "image",
    memory_gib: float | None = None,
    device: str | None = None,
    data: str | None = None,
    evidence: Sequence[Study] = (),
) -> Recommendation:
    """Recommend a normalization scheme.

    Args:
        batch_size: examples per step on one device.
        memory_gib: memory of that device; decides whether the batch fits.
        device: "cpu", "cuda", ...; adds the limits that hold on it.
        data: name or path of the data set; studies of other data are ignored.
        evidence: studies of the same task that compare norms; those near this batch size come before published results.
    Raises: UserError for an unknown task or device, or a batch size or memory that is not positive.
    """
    _refuse_nonsense(batch_size, task, memory_gib, device)
    if task != "image":
        return _recurrent(task)
    fitting = _fitting_batch(batch_size, memory_gib)
    answer = _from_published_results(fitting)
    if fitting < batch_size:
        answer.reasons.insert(0, f"{memory_gib:g} GiB hold about {plural(fitting, 'image')} a step, not {batch_size}.")
        answer.limits.append("The memory estimate is for the ResNet with 14 layers at 32 x 32 pixels in float32.")
    used = [_use_study(answer, study, fitting, data) for study in evidence if study.task == task]
    if not any(used):
        answer.limits.append(
            "No study of yours with about this batch size was given: this is based on published results only."
        )
    answer.limits[:0] = _limits_of(answer.scheme, device)  # last, because a study may have chosen another scheme
    return answer


def _refuse_nonsense(batch_size: int, task: str, memory_gib: float | None, device: str | None) -> None:
    if device is not None and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise UserError(f"unknown device '{device}': use auto, cpu, cuda, cuda:1 or mps")
    if task not in TASKS:
        raise UserError(f"unknown task '{task}': {did_you_mean(task, TASKS)}")
    if batch_size < 1:
        raise UserError(f"batch size must be at least 1, got {batch_size}")
    if memory_gib is not None and memory_gib <= 0:
        raise UserError(f"memory must be positive, got {memory_gib:g} GiB")


def _fitting_batch(batch_size: int, memory_gib: float | None) -> int:
    """Return the batch size that fits: half the memory is left to weights, data and the framework."""
    if memory_gib is None:
        return batch_size
    return max(1, min(batch_size, int(0.5 * memory_gib * 2**20 / _KIB_PER_IMAGE)))


def _from_published_results(batch_size: int) -> Recommendation:
    if batch_size <= SMALL_BATCH:
        return _few_images(batch_size)
    if batch_size >= LARGE_BATCH:
        reason = (
            f"At {plural(batch_size, 'image')} a step, batch norm has enough images for statistics: on ImageNet it "
            "led group norm from 16 images a GPU on (76.3 against 75.8 %; Luo et al. 2019)."
        )
        return Recommendation("batch", [reason])
    reason = (
        f"At {plural(batch_size, 'image')} a step of 32 x 32 pixels, batch norm still averages over {batch_size * 64} "
        "values per channel in the last stage (N x H x W)."
    )
    contested = (
        "Between 5 and 15 images a step published runs contradict each other, with one seed each: batch norm "
        "at 8 gained 1.6 points in one and lost 13 in another. Run the study `batch_size`, or take `group`."
    )
    return Recommendation("batch", [reason], [contested])


def _few_images(batch_size: int) -> Recommendation:
    reasons = [
        f"At {plural(batch_size, 'image')} a step, batch norm has too few images for its statistics: on ImageNet "
        "(ResNet-50, from 32 to 2 images a GPU) it fell from 76.4 to 65.3 %, while group norm stayed at "
        "75.9 % (Luo et al. 2019).",
        "Group norm's statistics are of one image: training and prediction compute the same (Wu & He 2018).",
    ]
    return Recommendation("group", reasons)


def _recurrent(task: str) -> Recommendation:
    reason = (
        f"Task {task} trains an LSTM: layer norm needs no statistics over sentences of unequal length, and "
        "works at any batch size (Ba et al. 2016)."
    )
    return Recommendation(
        "layer", [reason], ["Schemes that pool over the batch or over space are not offered inside the LSTM."]
    )


def _limits_of(scheme: str, device: str | None) -> list[str]:
    """Return what holds against a scheme wherever it is used, and on this device."""
    if scheme == "group":
        return ["The groups must divide every layer's channels; one group is layer norm, C groups are instance norm."]
    if "batch" not in scheme:
        return []
    limits = ["Batch norm predicts with running averages: a prediction may differ from what training saw."]
    if device is not None and device.startswith("cuda"):
        limits.append("Over several GPUs each one normalizes its own part of the batch: count the images per GPU.")
    return limits


def _use_study(answer: Recommendation, study: Study, batch_size: int, wanted: str | None) -> bool:
    """Let a study confirm or replace the answer; return False if it says nothing about this setting."""
    axes = axis_values(study)
    if "norm" not in axes or METRIC not in final_metrics(study):
        return False
    data = next((_name_of(str(cell.folder.config().get("data", ""))) for cell in study.finished()), "")
    if wanted is not None and data != _name_of(wanted):
        answer.limits.append(f"Study {study.name} was trained on {data}, not on {_name_of(wanted)}: it is ignored.")
        return False
    nearest = _nearest_batch(study, axes, batch_size)
    if nearest is None or answer.scheme not in axes["norm"]:
        return False
    compared = [
        each
        for each in comparisons(study, METRIC, axis="norm", reference=answer.scheme)
        if each.reference.get("batch_size", nearest) == nearest
    ]
    setting = ", ".join(part for part in (study.scale, data) if part)
    study_name = f"Study {study.name} ({setting}, batch size {nearest})"
    if not any(_is_informative(each) for each in compared):
        answer.limits.append(f"{study_name} has fewer than two seeds, which show no spread.")
        return False
    better = [each for each in compared if each.winner == "values"]
    if better:
        best = max(better, key=_gain)
        answer.scheme = best.values["norm"]
        answer.reasons.append(f"{study_name} found a better one: {best.sentence}.")
    else:
        beaten = sum(each.winner == "reference" for each in compared)
        schemes = len({each.values["norm"] for each in compared})
        where = "" if len(compared) == schemes else f" in {plural(len(compared), 'comparison')}"
        answer.reasons.append(
            f"{study_name}: {answer.scheme} lost to none of {plural(schemes, 'scheme')}{where} and beat "
            f"{beaten or 'none'}."
        )
        answer.limits.extend(_undecided(compared, answer.scheme, study_name))
    answer.reasons.extend(_time(study, answer.scheme, nearest))
    if nearest != batch_size:
        answer.limits.append(f"{study_name} has the trained batch size nearest to {batch_size}.")
    return True


def _name_of(data: str) -> str:
    """Return what a data set is called: the last part of its path."""
    return data.rstrip("/").rpartition("/")[2]


def _undecided(compared: list[SchemeComparison], scheme: str, study_name: str) -> list[str]:
    """Say which schemes are undecided against the chosen one, and how many more seeds would decide."""
    undecided = [each for each in compared if each.winner is None and each.adjusted is not None]
    if not undecided:
        return []
    more = [each.adjusted.more_seeds for each in undecided if each.adjusted and each.adjusted.more_seeds]
    seeds = plural(min(more), "more seed") if more else ""
    rest = f"; about {seeds} would decide the first of them" if more else ""
    names = ", ".join(dict.fromkeys(str(each.values["norm"]) for each in undecided))
    return [f"{study_name} leaves {scheme} against {names} undecided{rest}."]


def _is_informative(each: SchemeComparison) -> bool:
    paired = each.comparison.n if each.comparison else 0
    return paired > 1 or each.diverged > 0 or each.reference_diverged > 0


def _gain(each: SchemeComparison) -> float:
    """Order winners: first those against which the reference diverged, then by mean difference."""
    return math.inf if each.comparison is None else each.comparison.difference.mean


def _nearest_batch(study: Study, axes: dict[str, list[Any]], batch_size: int) -> int | None:
    """Return the trained batch size nearest in ratio; None if it is off by more than a factor of two."""
    sizes = axes.get("batch_size") or [cell.folder.config().get("batch_size") for cell in study.finished()][:1]
    nearest = min((size for size in sizes if size), key=lambda size: abs(math.log2(size / batch_size)), default=None)
    if nearest is None or abs(math.log2(nearest / batch_size)) > 1:
        return None
    return int(nearest)


def _time(study: Study, scheme: str, batch_size: int) -> list[str]:
    """Say what the scheme costs beside the fastest, on the machine of the study."""
    rows = [row for row in study_table(study, ["seconds"]) if row.values.get("batch_size", batch_size) == batch_size]
    seconds = {row.values["norm"]: interval.mean for row in rows if (interval := row.metrics["seconds"]) is not None}
    if scheme not in seconds or len(seconds) < 2:
        return []
    fastest = min(seconds, key=lambda name: seconds[name])
    if fastest == scheme:
        return [f"It was the fastest to train there ({seconds[scheme]:.0f} s)."]
    ratio = seconds[scheme] / seconds[fastest]
    if ratio < 1.05:
        return [f"It trained about as fast there as {fastest}, the fastest."]
    return [f"It took {ratio:.1f} times as long to train as {fastest}, the fastest there."]
