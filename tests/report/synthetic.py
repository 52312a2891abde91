"""Studies as they lie on disk, made without training: numbers from formulas and a seeded generator."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from normlab.config import config_hash, option
from normlab.runs import RunFolder
from normlab.runs.atomic import write_json
from normlab.studies.study import Study
from normlab.train_config import TrainConfig

NORMS = ["torch_batch", "batch", "instance", "batch_instance", "layer", "group", "none"]
FORTY = {"norm": ["batch", "group", "layer", "none"], "batch_size": [2, 8, 16, 32, 128], "lr": [0.03, 0.1]}
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ACCURACY = {
    "torch_batch": 0.880, "batch": 0.880, "instance": 0.852, "batch_instance": 0.884, "layer": 0.846,
    "group": 0.861, "none": 0.820,
}  # fmt: skip


class ImageLikeConfig(TrainConfig):
    """The fields of an image run that the report reads; the task itself would bring torch."""

    norm: str = option("batch")
    n: int = option(2)
    image_size: int = option(32)
    bn_statistics: str = option("running")


def make_study(
    path: Path,
    *,
    axes: Mapping[str, Sequence[Any]] | None = None,
    seeds: int = 1,
    epochs: int = 12,
    states: Mapping[str, str] | None = None,
    train_metrics: bool = True,
    **plan: Any,
) -> Study:
    """Write a study and its cells; `states` maps a cell's name to something other than "finished"."""
    axes = dict(axes or {"norm": NORMS})
    cells = []
    combinations: list[dict[str, Any]] = [{}]
    for axis, values in axes.items():
        combinations = [{**found, axis: value} for found in combinations for value in values]
    for values in combinations:
        for seed in range(seeds):
            name = "_".join([*(f"{axis}-{value}" for axis, value in values.items()), f"seed-{seed}"])
            cells.append({"name": name, "values": values, "seed": seed, "hash": "0" * 12})
            state = (states or {}).get(name, "finished")
            if state != "waiting":
                make_run(path / "cells" / name, values, seed, epochs, state, train_metrics=train_metrics)
    write_json(
        path / "study.json",
        {
            "version": 1,
            "name": "seven_norms",
            "title": "Seven normalizations, one network",
            "question": "Which normalization serves a small residual network best, and by how much?",
            "task": "image",
            "scale": "demo",
            "axes": axes,
            "published": ["image"],
            "claims": [],
            **plan,
            "cells": cells,
        },
    )
    return Study.open(path)


def make_run(
    path: Path,
    values: Mapping[str, Any],
    seed: int = 0,
    epochs: int = 12,
    state: str = "finished",
    *,
    task: str = "image",
    train_metrics: bool = True,
) -> RunFolder:
    """Write one run folder in a state: finished, diverged, failed, running, interrupted."""
    settings = {axis: value for axis, value in values.items() if axis != "trial"}  # a search's axis is no setting
    config = ImageLikeConfig.parse({"data": "cifar10", "epochs": epochs, **settings, "seed": seed}, "test")
    folder = RunFolder.create(path, config, task)
    rng = np.random.default_rng([zlib.crc32(json.dumps(dict(values)).encode()), seed])
    recorded = {"finished": epochs, "diverged": 2, "failed": 1}.get(state, max(1, epochs // 2))
    with folder:
        folder.write_card({"classes": CLASSES, "image_size": [32, 32]})
        curve = [_epoch(e, epochs, config, rng, train_metrics) for e in range(1, recorded + 1)]
        lines = "".join(json.dumps(record) + "\n" for record in curve)
        (folder.path / "metrics.jsonl").write_text(lines, encoding="utf-8")
        if state in {"finished", "diverged"}:
            folder.finish(_result(state, config, curve, rng))
        else:
            error = {"error": "OSError: the disk is full"} if state == "failed" else {}
            folder.set_status(state, **error)
    return folder


def target_accuracy(config: ImageLikeConfig) -> float:
    """Return the accuracy that a configuration tends to: batch norms lose at small batches."""
    loss = 0.09 * max(0.0, math.log2(32 / config.batch_size)) / 2 if "batch" in config.norm else 0.0
    return ACCURACY.get(config.norm, 0.85) - loss


def _epoch(
    epoch: int, epochs: int, config: ImageLikeConfig, rng: np.random.Generator, train_metrics: bool
) -> dict[str, Any]:
    progress = 1 - math.exp(-4 * epoch / epochs)
    accuracy = 0.1 + (target_accuracy(config) - 0.1) * progress + rng.normal(0, 0.006)
    train = min(0.995, accuracy + 0.08 * progress)
    spread = 2.0 + 0.3 * progress + (2.5 * epoch if config.norm == "none" else 0.0)
    record: dict[str, Any] = {"epoch": epoch, "step": 313 * epoch, "lr": 0.1 * (1 - progress)}
    record |= {"train/online_loss": 2.3 * (1.05 - train), "train/online_accuracy": train - 0.02}
    if train_metrics:
        record |= {"train/loss": 2.2 * (1.02 - train), "train/accuracy": train}
    record |= {"val/loss": 2.3 * (1.1 - accuracy), "val/accuracy": accuracy, "val/micro_f1": accuracy}
    record |= {"val/macro_f1": accuracy - 0.002}
    record |= {f"features/{level}": factor * spread for level, factor in _LEVELS.items()}
    return {**record, "seconds": 21.5, "train_seconds": 18.0, "examples_per_second": 2200.0}


_LEVELS = {"p01": 0.01, "p20": 0.12, "p80": 0.6, "p99": 1.4}


def _result(
    state: str, config: ImageLikeConfig, curve: list[dict[str, Any]], rng: np.random.Generator
) -> dict[str, Any]:
    final = {"metrics": {}, "tables": {}}
    if state == "finished":
        accuracy = target_accuracy(config) + rng.normal(0, 0.003)
        final = {
            "metrics": _final_metrics(accuracy),
            "tables": {"test": {"confusion": _confusion(accuracy, rng)}},
        }
    diverged = {"epoch": 3, "step": 640, "reason": "the training loss became nan"}
    return {
        "state": state,
        "task": "image",
        "headline": "test/accuracy",
        **final,
        "diverged": diverged if state == "diverged" else None,
        "epochs": len(curve),
        "steps": 313 * len(curve),
        "best_epoch": len(curve),
        "stopped_early": False,
        "parameters": 172_506,
        "sizes": {"train": 40_000, "val": 10_000, "test": 10_000},
        "config_hash": config_hash(config),
        "data_fingerprint": "f" * 12,
        "precision": "bfloat16",
        "device": "cpu",
        "threads": 2,
        "peak_memory_mib": 812.4 + 90 * ("batch" in config.norm),
        "seconds": 21.5 * len(curve),
        "seconds_per_epoch": 21.5,
        "examples_per_second": 2200.0,
    }


def _final_metrics(accuracy: float) -> dict[str, float]:
    metrics = {}
    for split, gain in (("train", 0.08), ("val", 0.004), ("test", 0.0)):
        share = min(0.999, accuracy + gain)
        metrics |= {
            f"{split}/accuracy": share,
            f"{split}/micro_f1": share,
            f"{split}/macro_f1": share - 0.001,
        }
        metrics[f"{split}/loss"] = 2.3 * (1.08 - share)
    return metrics


def _confusion(accuracy: float, rng: np.random.Generator) -> list[list[int]]:
    weights = rng.gamma(0.5, size=(10, 10))
    weights[3, 5] += 4  # cats look like dogs
    weights[5, 3] += 3
    np.fill_diagonal(weights, 0)
    wrong = (1 - accuracy) * 1000 * weights / weights.sum(1, keepdims=True)
    counts = wrong.round().astype(int)
    np.fill_diagonal(counts, 1000 - counts.sum(1))
    return counts.tolist()


SMALL = ["conv", *(f"stages.{stage}.0.conv{conv}" for stage in range(3) for conv in (1, 2) if stage + conv > 1)]
RESNET14 = ["conv", *(f"stages.{s}.{block}.conv{conv}" for s in range(3) for block in range(2) for conv in (1, 2))]


def add_layers(study: Study, layers: Sequence[str] = SMALL) -> None:
    """Give every run of a study a `layers.jsonl` beside its epochs."""
    for cell in study.cells:
        for record in cell.folder.metrics() if cell.state != "waiting" else []:
            measured = {
                layer: _layer(record, place, str(cell.values.get("norm", "batch")))
                for place, layer in enumerate(layers)
            }
            measured["linear"] = {"gradient_norm": 0.7, "weight_norm": 2.0 + 0.1 * record["epoch"]}
            measured["penultimate"] = {level: record[f"features/{level}"] for level in _LEVELS}
            line = json.dumps({"epoch": record["epoch"], "layers": measured}) + "\n"
            with (cell.folder.path / "layers.jsonl").open("a", encoding="utf-8") as file:
                file.write(line)


def _layer(record: Mapping[str, Any], place: int, norm: str) -> dict[str, Any]:
    epoch, weight = record["epoch"], 3.0 + 0.2 * place + 0.05 * record["epoch"]
    spread = (1 + 0.2 * place) * (1 + (epoch if norm == "none" else 0.05 * epoch))
    values: dict[str, Any] = {level: factor * spread for level, factor in _LEVELS.items()}
    values |= {"dead": 0.01 * place * (3 if norm == "none" else 1), "weight_norm": weight}
    values["gradient_norm"] = 0.3 / (1 + place) * (epoch if norm == "none" else 1)
    if norm != "none":
        values["effective_lr"] = record["lr"] / weight**2
    if norm == "batch_instance":
        moved = min(16, epoch)
        values |= {"gate": [moved // 2, 0, 0, 0, 0, 0, 0, 0, moved - moved // 2, 16 - moved]}
        values |= {"gate_at_0": moved // 2, "gate_at_1": 16 - moved}
    return values
