"""The settings of an image run, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Self

from pydantic import ValidationInfo, field_validator, model_validator

from normlab import metrics
from normlab.acting import Unless, When
from normlab.config import option
from normlab.data.image.source import AUTO, COLOURS, is_colour
from normlab.nn.networks import NETWORKS
from normlab.norms import NORMS
from normlab.own_code import is_reference, place_of, source_of
from normlab.train_config import TaskSettings, TrainConfig

FILTERS = 16  # of the network's first stage; the later ones have 32 and 64
GROUPED = ("group", "evonorm_s0")  # schemes that cut the channels into groups
RUNNING = (
    "batch", "batch_instance", "torch_batch", "switchable", "batch_renorm", "ghost_batch", "evonorm_b0",
)  # fmt: skip


class ImageConfig(TrainConfig):
    """Configuration of the task `image`."""

    data: str = option(
        "digits",
        "digits, cifar10, cifar100, or a path: archive, folder, table (CSV, parquet), arrays (.npz)",
        affects_result=False,
    )
    image_size: int = option(32, "height and width that other images are resized to", ge=8)
    validation: float = option(0.2, "validation images out of the training split: a fraction, or a count", gt=0)
    stratified: bool = option(False, "draw validation images from every class in proportion", added_later=True)
    folds: int | None = option(
        None,
        "cross-validation: of so many stratified folds the seed's one is tested; validated, if there are test images",
        ge=2,
        added_later=True,
    )
    class_weights: Literal["none", "balanced"] = option(
        "none",
        "balanced: images of rare classes weigh more in the training loss, so that all classes count the same",
        added_later=True,
    )
    background: str = option(
        AUTO,
        f"colour under transparent pixels: {', '.join(COLOURS)} or '#rrggbb'; auto: white, or black where only white "
        "would be seen",
        added_later=True,
    )
    skip_broken: bool = option(
        False, "leave out images that cannot be read; they are counted and named", affects_result=False
    )

    model: str = option(
        "resnet",
        f"the network: {', '.join(NETWORKS)}, timm:NAME, or one's own as package.module:factory or file.py:factory",
        added_later=True,
    )
    n: int = option(2, "depth: the network has 6n+2 layers", ge=1, acts_with=When("model", "resnet", "preact_resnet"))
    test_views: Literal["one", "mirror", "shift"] = option(
        "shift",
        "an answer is the mean over: the image; it and its mirror image; both, and both moved by a pixel two ways",
        added_later=True,
        acts_with=When("model", "sprint"),
    )
    norm: str = option(
        "batch",
        f"normalization after each convolution: {', '.join(NORMS)}, or one's own as package.module:Class or "
        "file.py:Class",
    )
    allow_unchecked_norm: bool = option(
        False, "train with a norm of one's own that violates the contract of norms (check_norm)", affects_result=False
    )
    weight_standardized: Literal["off", "on", "scaled"] = option(
        "off",
        "standardise each convolution's weights; scaled: to the size that keeps activations, with a learned gain",
        added_later=True,
    )
    residual_scale: float | None = option(
        None,
        "networks without norms: x + scale * gain * branch(x / beta), the gain learned from 0 (Brock et al. 2021: 0.2)",
        gt=0,
        added_later=True,
        acts_with=(When("model", "preact_resnet"), When("norm", "none"), When("weight_standardized", "scaled")),
    )
    model_source: str = option("", "digest of the network's source file", added_later=True, filled_in=True)
    norm_source: str = option("", "digest of the norm's source file", added_later=True, filled_in=True)
    groups: int | None = option(
        None, "group norm, EvoNorm-S0: number of groups", ge=1, acts_with=When("norm", *GROUPED)
    )
    channels_per_group: int | None = option(
        None, "group norm, EvoNorm-S0: channels in a group, instead of `groups`", ge=1, acts_with=When("norm", *GROUPED)
    )
    eps: float | None = option(
        None,
        "added to the variance; none: the scheme's own",
        gt=0,
        acts_with=Unless("norm", "none", "dynamic_tanh", "derf"),
    )
    bn_statistics: Literal["running", "precise", "both"] = option(
        "running",
        "batch norms are measured with running averages, with statistics measured anew after each epoch, or running "
        "ones and in the end both: accuracy and accuracy_precise of the same weights",
    )
    bn_sync: bool = option(
        False,
        "several processes (torchrun): batch norms take their statistics over all of them, not over each share",
        added_later=True,
        acts_with=When("norm", "batch", "batch_instance", "torch_batch"),
    )
    norm_momentum: float | None = option(
        None,
        "batch norms: weight of the newest running statistics",
        gt=0,
        le=1,
        acts_with=When("norm", *RUNNING),
    )

    crop: bool = option(True, "augment: pad with zeros and crop at random")
    pad: int = option(4, "augment: pixels of padding for the crop", ge=1, acts_with=When("crop", True))
    flip: bool = option(
        True, "augment: mirror left and right at random; if not given: on all images but digits, which have a side"
    )
    flip_alternately: bool = option(
        False,
        "augment: mirror each image in every second epoch instead of at random",
        added_later=True,
        acts_with=When("flip", True),
    )
    vertical_flip: bool = option(False, "augment: mirror up and down at random")
    rotation: float = option(0.0, "augment: rotate at random by up to so many degrees", ge=0, le=180)
    label_smoothing: float = option(0.0, "share of the target spread over all classes", ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _no_mirrored_digits(cls, values: Any) -> Any:
        """Set the default of `flip` by the data: a mirrored digit is not a digit."""
        if isinstance(values, Mapping) and "flip" not in values:
            return {**values, "flip": values.get("data", "digits") != "digits"}
        return values

    @field_validator("validation")
    @classmethod
    def _fraction_or_count(cls, validation: float) -> float:
        if validation >= 1 and (validation < 2 or validation % 1):
            raise ValueError("must be a fraction below 1, or a count of images, 2 or more")
        return validation

    @field_validator("background")
    @classmethod
    def _is_colour(cls, background: str) -> str:
        if background != AUTO and not is_colour(background):
            raise ValueError(f"must be auto, {', '.join(COLOURS)}, or red, green and blue as '#rrggbb'")
        return background

    @model_validator(mode="after")
    def _crops_show_something(self) -> Self:
        if self.crop and self.pad >= self.image_size:
            raise ValueError(f"pad: {self.pad} pixels around {self.image_size}: crops could be nothing but padding")
        return self

    @model_validator(mode="before")
    @classmethod
    def _name_the_sources(cls, values: Any) -> Any:
        """Add the digests of code of one's own, unless they came with the setting from a run's record."""
        if not isinstance(values, Mapping):
            return values
        sources = {name: _source(values.get(name), values.get(f"{name}_source")) for name in ("model", "norm")}
        return {**values, **{f"{name}_source": source for name, source in sources.items()}}

    @property
    def own_code(self) -> tuple[str, ...]:
        """The network and the norm, where they are none of normlab's."""
        return tuple(name for name in (self.model, self.norm) if is_reference(name))

    @field_validator("weight_standardized", mode="before")
    @classmethod
    def _word_for_true(cls, value: Any) -> Any:
        return {"true": "on", "false": "off"}.get(str(value).lower(), value)

    @field_validator("model")
    @classmethod
    def _known_network(cls, name: str) -> str:
        return name if is_reference(name) else NETWORKS.resolve(name)

    @field_validator("norm")
    @classmethod
    def _canonical_norm(cls, name: str) -> str:
        return NORMS.resolve(name)

    @field_validator("groups", "channels_per_group")
    @classmethod
    def _divides_the_channels(cls, number: int | None, info: ValidationInfo) -> int | None:
        """Other schemes ignore these two settings, so a study may give them beside any."""
        if number is None or info.data.get("norm") not in GROUPED:
            return number
        if info.data.get("model") not in ("resnet", "preact_resnet"):
            return number  # the layers say what they cannot do
        if FILTERS % number:
            divisors = [str(n) for n in range(1, FILTERS + 1) if FILTERS % n == 0]
            raise ValueError(f"must divide the {FILTERS} channels of the first stage: {', '.join(divisors)}")
        if info.field_name == "channels_per_group" and info.data.get("groups") is not None:
            raise ValueError("groups are given too: give one of the two")
        return number


def _source(reference: Any, known: Any) -> str:
    """Return the place and digest of a reference's source file, as recorded if it is known; "" for other names."""
    if not is_reference(reference):
        return ""
    if str(reference).startswith("timm:"):
        with suppress(PackageNotFoundError):
            return f"timm {version('timm')}"
        return "timm"
    if isinstance(known, str) and known.rpartition("@")[0] == place_of(reference):
        return known
    return source_of(reference)


# The recipe of the field for short budgets: one cycle of a high learning rate, Nesterov, more weight decay.
_ONE_CYCLE: Mapping[str, Any] = {"schedule": "one_cycle", "lr": 0.2, "nesterov": True, "weight_decay": 5e-4}

# A short run has time to measure every layer after each epoch.
_SHORT: Mapping[str, Any] = {**_ONE_CYCLE, "distributions": "all"}

PRESETS: dict[str, Mapping[str, Any]] = {
    # Seconds, no file: does everything work?
    "smoke": {**_SHORT, "data": "digits", "n": 1, "epochs": 2, "batch_size": 32, "lr": 0.1},
    # A minute per scheme on real images that ship with scikit-learn.
    "demo": {**_SHORT, "data": "digits", "epochs": 8, "batch_size": 64, "lr": 0.1},
    # CIFAR-10 above 87 % in minutes on two CPU cores. A short run wants smaller shifts than a long one.
    "quick": {
        **_SHORT,
        "data": "cifar10",
        "epochs": 16,
        "batch_size": 64,
        "lr": 0.1,
        "pad": 2,
        "train_metrics": "end",
    },
    # CIFAR-10 at 94 % in minutes on two CPU cores.
    "sprint": {
        "data": "cifar10",
        "model": "sprint",
        "validation": 2000,
        "norm_momentum": 0.4,
        "epochs": 16,
        "batch_size": 2000,
        "optimizer": "muon",
        "lr": 0.24,
        "lr_rest": 0.01,
        "momentum": 0.6,
        "weight_decay": 0.0,
        "schedule": "linear",
        "label_smoothing": 0.2,
        "pad": 2,
        "flip_alternately": True,
        "select": "last",
        "train_metrics": "end",
        "distributions": "off",
    },
    # The published protocol: 100 epochs at batch 128, SGD from 0.1, dropped tenfold at 50 % and 75 %.
    "full": {"data": "cifar10", "epochs": 100, "batch_size": 128, "lr": 0.1, "schedule": "multistep"},
}

MEASURED = metrics.names(
    "loss",
    "accuracy",
    "micro_f1",
    "macro_f1",
    "accuracy_precise",
    "precise_loss",
    "dead_channels",
    "penultimate_spread",
)

SETTINGS = TaskSettings(ImageConfig, PRESETS, MEASURED)
