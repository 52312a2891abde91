"""Names as other programs write them: of metrics, of seeds and steps, of settings, and of runs.

A metric is known by `normlab.metrics`; here stand only other spellings of the same names ("Test Acc" for
"test/accuracy"). A name that is no spelling of a known one stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from normlab.metrics import find

SEED_NAMES = ("seed", "random_seed", "rng_seed", "manual_seed", "seed_everything", "run_seed", "random_state")
REPEAT_NAMES = ("fold", "repeat", "repetition", "replicate", "rep", "trial")
CLOCK_NAMES = ("epoch", "step", "global_step", "_step", "trainer/global_step", "iteration", "iter")
METRIC_COLUMNS = ("metric", "metric_name", "measure", "quantity", "variable", "tag")
VALUE_COLUMNS = ("value", "score", "metric_value", "result")
# What programs write about a run that neither tells variants apart nor measures anything.
BOOKKEEPING = {
    "", "id", "run_id", "run_uuid", "uuid", "experiment_id", "created", "start_time", "end_time", "timestamp",
    "_timestamp", "date", "notes", "user", "tags", "state", "status", "host", "hostname", "commit", "git_commit",
    "sweep", "path", "dir", "log_dir", "save_dir", "index", "unnamed:_0", "wall_time", "job_type", "relative_time",
}  # fmt: skip
SETTINGS = {
    "lr", "learning_rate", "batch_size", "weight_decay", "momentum", "dropout", "depth", "width", "hidden_size",
    "num_layers", "layers", "hidden", "optimizer", "dataset", "data", "norm", "model", "arch", "method", "algorithm",
    "variant", "augment", "epochs", "n", "groups", "precision_mode", "schedule", "activation", "temperature",
}  # fmt: skip
# The axis that a report names by its values alone, the first that is there.
MAIN_AXES = ("variant", "norm", "normalization", "method", "model", "algorithm", "arch", "name", "run")

_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "eval": "val", "test": "test",
}  # fmt: skip
_SPELLINGS = {
    "acc": "accuracy", "accuracy_score": "accuracy", "f1_score": "f1", "err": "error", "error_rate": "error",
    "ppl": "perplexity", "runtime": "seconds", "_runtime": "seconds", "em": "exact_match", "time": "seconds",
    "duration": "seconds", "params": "parameters", "loss_epoch": "loss", "accuracy_epoch": "accuracy",
    "acc_epoch": "accuracy",
}  # fmt: skip


def plain(name: str) -> str:
    """Return a name in lower case with underscores, without what programs put in front of settings."""
    text = re.sub(r"[\s-]+", "_", name.strip().lower())
    return re.sub(r"^(config|hparams|params?|hyperparameters)[./]", "", text)


def metric_name(name: str) -> str:
    """Return a metric's name as normlab writes it: "test/accuracy", "loss"; an unknown one as it stands."""
    text = plain(name)
    if known := _known(text):
        return known
    parts = [part for part in re.split(r"[/._]", text) if part]
    for split, bare in ((parts[0], parts[1:]), (parts[-1], parts[:-1])) if len(parts) > 1 else ():
        if split in _SPLITS:
            known = _known("_".join(bare))
            return f"{_SPLITS[split]}/{known or '_'.join(bare)}" if known or "/" in name else name.strip()
    return name.strip()


def is_known_metric(name: str) -> bool:
    """Say whether a column's name is some spelling of a metric that can be better or worse."""
    metric = find(metric_name(name))
    return metric is not None and metric.better is not None


def _known(bare: str) -> str | None:
    bare = _SPELLINGS.get(bare, bare)
    return bare if find(bare) is not None else None


_SEED_IN_NAME = [
    re.compile(rf"(?:(?<=^)|(?<=[^a-z0-9])){word}[-_=: ]?(\d+)(?![a-z0-9])", re.IGNORECASE)
    for word in ("(?:rng[-_ ]?|random[-_ ]?)?seed", "s", "(?:fold|trial|repeat|rep|run)")
]
_LAST_NUMBER = re.compile(r"(?<=[-_/ .])(\d+)$")


def split_names(names: Sequence[str]) -> list[tuple[str, int | None]]:
    """Return (variant, seed) of run names such as "batch/seed_0" or "batch-s0"; None where a name says no seed.

    A bare number at the end counts ("batch-0") where every name has one and some variant several.
    """
    found = [_split(name) for name in names]
    if all(seed is None for _, seed in found) and all(_LAST_NUMBER.search(name) for name in names):
        numbered = [_cut(name, match) for name in names if (match := _LAST_NUMBER.search(name))]
        if len({variant for variant, _ in numbered}) < len(numbered):
            return list(numbered)
    return found


def _split(name: str) -> tuple[str, int | None]:
    for pattern in _SEED_IN_NAME:
        match = pattern.search(name)
        if match:
            return _cut(name, match)
    return name, None


def _cut(name: str, match: re.Match[str]) -> tuple[str, int]:
    rest = name[: match.start()].rstrip("-_/=:., ") + name[match.end() :]
    return rest.strip("-_/=:., ") or "all", int(match[1])


def first_of(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """Return the column that is spelled like the first of some names that any is spelled like."""
    spelled: dict[str, str] = {}
    for name in names:
        spelled.setdefault(plain(name), name)
    return next((spelled[each] for each in wanted if each in spelled), None)
