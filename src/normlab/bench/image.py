"""Training a ResNet-14: cost of each scheme, memory layouts, and training compared with a course program.

The images are made up (CIFAR's shape): their content does not affect the time. A step includes everything from pixels
to updated weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from normlab.bench.apart import Apart
from normlab.bench.limits import Floor, Limits, convolution_work
from normlab.bench.row import Goal, Row, cost, faster, missing
from normlab.bench.student_images import StudentTraining
from normlab.bench.timing import Settings, compare
from normlab.bench.training import OwnTraining
from normlab.engine.device import choose_placement
from normlab.engine.rng import initialise
from normlab.nn.resnet import ResNet
from normlab.norms import NORMS
from normlab.tasks.image.config import SETTINGS, ImageConfig
from normlab.tasks.image.data import ImageData
from normlab.tasks.image.metrics import classification_metrics, confusion_matrix
from normlab.tasks.image.task import TASK

STEP_COST, TRAINING, WATCH_COST = Goal(at_most=1.25), Goal(at_least=3.0), Goal(at_most=1.25)
COMPILED = Goal(at_least=1.0)
# The published comparison's, so that a record stays comparable with older ones.
SCHEMES = ("torch_batch", "batch", "instance", "batch_instance", "layer", "group", "none")
_IMAGES = 1024


def rows(settings: Settings) -> Iterator[Row]:
    """Yield what schemes cost, layouts, training as a whole, and scores."""
    limits, data = Limits(settings), made_up_images()
    batches = (8,) if settings.quick else (128, 8)
    for batch in batches:
        yield from scheme_rows(batch, data, settings, limits)
    for batch in batches:
        yield training_row(batch, data, settings, limits)
    yield watch_row(data, settings)
    if not settings.quick:
        yield compiled_row(settings)
        yield from layout_rows(settings)
    yield score_row(settings)


def made_up_images() -> ImageData:
    """Return noise in the shape of CIFAR-10."""
    torch.manual_seed(0)
    return ImageData(
        card={
            "data": "noise",
            "classes": [str(label) for label in range(10)],
            "image_size": [32, 32],
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
        },
        fingerprint="noise",
        sizes={"train": _IMAGES, "val": _IMAGES},
        images={"train": torch.randint(256, (_IMAGES, 3, 32, 32), dtype=torch.uint8)},
        labels={"train": torch.randint(10, (_IMAGES,))},
        rows={split: ("train", torch.arange(_IMAGES)) for split in ("train", "val")},
    )


def own_training(norm: str, batch: int, data: ImageData, settings: Settings, steps: int) -> OwnTraining:
    """Return normlab's training of a ResNet-14 under a scheme, in the precision that this machine is given."""
    values = {"norm": norm, "batch_size": batch, "threads": settings.threads, "device": "cpu"}
    values |= {"groups": 8} if norm == "group" else {}
    config = SETTINGS.make(None, values, "bench")
    assert isinstance(config, ImageConfig)
    return OwnTraining(TASK, config, data, steps)


def scheme_rows(batch: int, data: ImageData, settings: Settings, limits: Limits) -> Iterator[Row]:
    """A training step under each scheme beside the step without normalization; at 128, also of every later scheme."""
    steps = 1 if batch >= 128 else 4
    none = own_training("none", batch, data, settings, steps)
    later = [name for name in NORMS.names() if name not in SCHEMES] if batch >= 128 else []
    for norm in (*SCHEMES, *later):
        if norm != "none":
            ours = own_training(norm, batch, data, settings, steps)
            comparison = compare(none, ours, settings)
            yield cost(
                f"ResNet-14 step, {norm}, batch {batch}, {ours.placement.precision}",
                "the step without normalization",
                comparison,
                goal=None if norm == "torch_batch" else STEP_COST,
                floor=_floor(ours, batch, steps, limits),
            )


def training_row(batch: int, data: ImageData, settings: Settings, limits: Limits) -> Row:
    """Training as a whole beside a course program, in images a second."""
    steps = 2 if batch >= 128 else 12
    ours = own_training("batch", batch, data, settings, steps)
    course = StudentTraining, data.images["train"], data.labels["train"], batch, steps
    with Apart(*course, threads=settings.threads, clock=settings.clock) as student:
        comparison = compare(student, ours, settings)
    return faster(
        f"ResNet-14 training, batch norm, batch {batch}, {ours.placement.precision}",
        "a course program (DataLoader, transforms per image, float32)",
        comparison,
        goal=TRAINING,
        floor=_floor(ours, batch, steps, limits),
        details={
            "normlab_images_per_s": steps * batch / comparison.own.median,
            "baseline_images_per_s": steps * batch / comparison.baseline.median,
        },
    )


def _floor(ours: OwnTraining, batch: int, steps: int, limits: Limits) -> Floor:
    flops, moved = convolution_work(ours.model, torch.zeros(batch, 3, 32, 32))
    dtype = ours.placement.dtype
    size = torch.empty(0, dtype=dtype).element_size()
    return limits.floor(moved=steps * moved * size, flops=steps * flops, dtype=dtype)


def watch_row(data: ImageData, settings: Settings) -> Row:
    """An evaluation that takes the percentiles of every layer beside one that takes none."""
    plain, watched = (evaluation(record, data, settings) for record in ("off", "all"))
    precision = choose_placement(ImageConfig(device="cpu", threads=settings.threads)).precision
    comparison = compare(plain, watched, settings)
    what = f"ResNet-14 evaluation with the percentiles of every layer, {_IMAGES:,} images, {precision}"
    return cost(what, "the evaluation alone", comparison, goal=WATCH_COST)


def evaluation(record: str, data: ImageData, settings: Settings) -> Callable[[], object]:
    """Return an evaluation of a ResNet-14 with batch norm that records `off`, `penultimate` or `all`."""
    values = {"norm": "batch", "distributions": record, "threads": settings.threads, "device": "cpu"}
    config = SETTINGS.make(None, values, "bench")
    assert isinstance(config, ImageConfig)
    placement = choose_placement(config)
    model: Any = TASK.build(config, data.card)
    model.to(memory_format=torch.channels_last).eval()
    initialise(model, config.seed)

    @torch.inference_mode()
    def evaluate() -> object:
        return TASK.evaluate(model, data, "val", config, placement, final=False)

    return evaluate


def layout_rows(settings: Settings) -> Iterator[Row]:
    """The network's forward and backward pass channels-last, as normlab trains it, beside NCHW.

    In bfloat16 where it is what training would take: emulated, it says nothing.
    """
    dtype = choose_placement(ImageConfig(device="cpu", threads=settings.threads)).dtype
    for norm in SCHEMES:
        usual, channels_last = (_pass(norm, dtype, layout) for layout in (torch.contiguous_format, torch.channels_last))
        what = f"ResNet-14 channels-last, {norm}, batch 128, {str(dtype).removeprefix('torch.')}"
        yield faster(what, "the same in NCHW", compare(usual, channels_last, settings))


def compiled_row(settings: Settings) -> Row:
    """The network's forward and backward pass beside what torch.compile makes of it with torch's layers."""
    dtype = choose_placement(ImageConfig(device="cpu", threads=settings.threads)).dtype
    what = f"ResNet-14 forward and backward, batch, batch 128, {str(dtype).removeprefix('torch.')}"
    against = "torch.compile of the network with torch's layers, channels last"
    ours, compiled = (_pass(norm, dtype, torch.channels_last, norm != "batch") for norm in ("batch", "torch_batch"))
    try:
        compiled()
    except Exception as error:  # the compiler's own reasons are many: no g++, an unknown processor, no free disk
        return missing(what, against, f"torch.compile: {str(error).strip().splitlines()[0]}", COMPILED)
    return faster(what, against, compare(compiled, ours, settings), goal=COMPILED)


def _pass(norm: str, dtype: torch.dtype, layout: torch.memory_format, compiled: bool = False) -> Any:
    model: Any = ResNet(2, 10, norm, **({"groups": 8} if norm == "group" else {}))
    model.to(memory_format=layout)
    model = torch.compile(model) if compiled else model
    images = torch.randn(128, 3, 32, 32).to(dtype).contiguous(memory_format=layout)
    labels = torch.randint(10, (128,))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()

    return step


def score_row(settings: Settings) -> Row:
    """Accuracy and F1 of 10,000 predictions beside scikit-learn."""
    from sklearn.metrics import accuracy_score, f1_score

    draw = np.random.default_rng(0)
    labels, predicted = draw.integers(10, size=(2, 10_000))
    ours = torch.from_numpy(labels), torch.from_numpy(predicted)

    def by_sklearn() -> object:
        return accuracy_score(labels, predicted), f1_score(labels, predicted, average="macro")

    pair = compare(by_sklearn, lambda: classification_metrics(confusion_matrix(*ours, 10)), settings)
    return faster("accuracy and macro F1 of 10,000 predictions", "scikit-learn", pair)
