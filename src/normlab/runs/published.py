"""Published models: a folder with one file and a card, found by name wherever a run is wanted.

A published model is `NAME/model.safetensors` (`normlab.runs.model_file`, the weights as float16) and
`NAME/README.md`. Those that ship with normlab lie inside the package; `NORMLAB_MODELS` names a folder with more;
`hf:OWNER/NAME` is such a folder on the Hugging Face Hub (`hub.py`). A path that exists always wins over a name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from normlab.errors import UserError, did_you_mean
from normlab.metrics import is_fraction, title_of
from normlab.plurals import plural
from normlab.reading import as_path
from normlab.runs.atomic import atomic_folder, write_text
from normlab.runs.folder import RunFolder
from normlab.runs.hub import PREFIX, fetch_model
from normlab.runs.model_file import ModelFile, save_model

MODEL, CARD, CALIBRATION = "model.safetensors", "README.md", "calibration.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class PublishedModel:
    """A model that a name stands for.

    Attributes:
        where: "shipped", or the folder that `NORMLAB_MODELS` names.
    """

    name: str
    path: Path
    where: str

    def about(self) -> dict[str, Any]:
        """Return what a list shows: name, task, headline metric and value, megabytes, where."""
        file = ModelFile.open(self.path / MODEL)
        result = file.result()
        return {
            "name": self.name,
            "task": file.config()["task"],
            "metric": result["headline"],
            "value": result["metrics"].get(result["headline"]),
            "megabytes": round((self.path / MODEL).stat().st_size / 1e6, 1),
            "where": self.where,
        }


def published_models() -> list[PublishedModel]:
    """Return the models that have names, those of `NORMLAB_MODELS` before shipped ones of the same name."""
    models: dict[str, PublishedModel] = {}
    for folder, where in _folders():
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if (path / MODEL).is_file() and not path.name.startswith("."):  # such a one is still being written
                models.setdefault(path.name, PublishedModel(path.name, path, where))
    return sorted(models.values(), key=lambda model: model.name)


def find_model(path_or_name: Path | str) -> Path:
    """Return the run folder or model file that a path or a name stands for.

    A folder made by `publish_model` stands for the file in it. What is neither a path nor a name is returned as it is,
    for the reader to refuse, unless it looks like a name.
    Raises: UserError naming the nearest model if there is none of that name, or saying why it cannot be fetched.
    """
    path = as_path(path_or_name, "the model")
    if os.path.lexists(path):
        inside = path / MODEL
        return inside if inside.is_file() and not (path / "config.yaml").exists() else path
    if str(path_or_name).startswith(PREFIX):
        return fetch_model(str(path_or_name), (MODEL, CARD, CALIBRATION))
    if not _NAME.fullmatch(str(path_or_name)):
        return path
    models = {model.name: model for model in published_models()}
    if str(path_or_name) not in models:
        raise UserError(
            f"{path_or_name}: no such folder, and no model of that name ({did_you_mean(str(path_or_name), models)}): "
            "give the folder that `normlab train --out` made, or a name of `normlab models`"
        )
    return models[str(path_or_name)].path / MODEL


def publish_model(folder: RunFolder, out: Path, *, notes: str = "") -> None:
    """Write a finished run's model, weights in half precision, and its card into a new folder, which appears whole.

    Paths of this machine are left out of its settings.

    Args:
        notes: Markdown below the card's generated part: licence of the data, where it fails.
    Raises: UserError if the run is not finished or the folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not an empty folder: choose another --out")
    place = out.resolve()  # a link stays
    with atomic_folder(place) as new:
        save_model(folder, new / MODEL, half=True)
        write_text(new / CARD, _card(ModelFile.open(new / MODEL), out.name, notes))
        with suppress(OSError):  # an empty one gives way
            place.rmdir()
    if not (place / MODEL).is_file():
        raise UserError(f"{out}: cannot be replaced: choose another --out, one that does not exist")


def _folders() -> Iterator[tuple[Path, str]]:
    if own := os.environ.get("NORMLAB_MODELS"):
        yield Path(own).expanduser(), own
    yield Path(str(resources.files("normlab"))) / "shipped_models", "shipped"


def _card(model: ModelFile, name: str, notes: str) -> str:
    """Return the model card: what it was trained on and how, and what was measured, from the model's own record."""
    config, card, result = model.config(), model.card(), model.result()
    task = config["task"]
    changed = {key: config[key] for key in _TOLD if config.get(key) not in (None, "")}
    settings = ", ".join(f"{key} {value}" for key, value in changed.items())
    metrics = {
        key: value
        for key, value in result["metrics"].items()
        if key.split("/")[0] in ("test", "val") and isinstance(value, float) and is_fraction(key)
    }
    rows = "\n".join(f"| {title_of(key)} | {100 * value:.2f} % |" for key, value in metrics.items())
    sizes = ", ".join(f"{count:,} {split}" for split, count in result.get("sizes", {}).items())
    use = {
        "image": f"normlab predict {name} photo.png",
        "ner": f"normlab tag text.txt --model {name}",
        "text2sql": f'normlab ask my.sqlite "How many customers are there?" --model {name}',
    }.get(task, f"normlab predict {name} INPUT")
    size, minutes = model.path.stat().st_size / 1e6, result["seconds"] / 60
    return f"""# {name}

A model of normlab's task `{task}`, trained on {card.get("data", "data")} ({sizes} examples). {size:.1f} MB, weights in
half precision.

```
{use}
```

Settings: {settings}.
The best of {plural(result["epochs"], "epoch")} by validation is number {result["best_epoch"]}.
One seed, so no interval.
{minutes:.0f} minutes of training; threads {result.get("threads", 1)}, device {result.get("device", "cpu")}.

| measured with the run's full-precision weights | |
|---|---:|
{rows}
{f"{chr(10)}{notes.strip()}{chr(10)}" if notes.strip() else ""}"""


_TOLD = (
    "norm", "groups", "n", "model", "view", "hidden", "layer_norm", "crf", "characters", "embeddings", "vocabulary",
    "epochs", "batch_size", "optimizer", "lr", "schedule", "weight_decay", "average", "seed",
)  # fmt: skip
