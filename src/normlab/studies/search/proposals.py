"""Drawing the trials of a space, and ending those that fall behind. The one file that imports Optuna.

Each scheme has a study of Optuna's in one journal in the search's folder. The run folders are authoritative: a trial is
reported to Optuna once its run folder has a result. A trial that was killed is still open in the journal and goes on
from its checkpoint. If the journal is lost, it is written again from the folders.

The draws depend on the search's own seed and the trial's number, never on the scheme. So all schemes start from the
same random points, and a search that is resumed draws what it would have drawn.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.metrics import higher_is_better
from normlab.runs import RunFolder, RunState
from normlab.studies.local import train_cell
from normlab.studies.plan import Plan
from normlab.studies.search_settings import TRIAL, Range, Search
from normlab.studies.tables import label_of
from normlab.train_config import TrainConfig


def require_optuna(where: str) -> None:
    """Raise `UserError` with the command that installs Optuna, if it is not there."""
    if find_spec("optuna") is None:
        raise UserError(f"{where}: a space needs Optuna: pip install 'normlab[tune]', or give a grid")


@dataclass(frozen=True)
class Proposals:
    """What a worker does with a trial: draw its settings, train it, report how it ended. Picklable.

    Attributes:
        folder: the search's folder.
        trials: name of a cell -> (scheme, number).
    """

    folder: Path
    search: Search
    trials: dict[str, tuple[str, int]]

    @classmethod
    def begin(cls, plan: Plan, folder: Path) -> Proposals:
        """Open the journal; call it while nobody else works on the folder."""
        assert plan.search is not None
        # A lock that a killed process left behind: the folder's lock, held now, excludes every other process.
        (folder / "optuna.journal.lock").unlink(missing_ok=True)
        trials = {cell.name: (_scheme(cell.values), int(cell.values[TRIAL])) for cell in plan.cells}
        return cls(folder, plan.search, trials)

    def over(self) -> set[str]:
        """Return the names of the trials that have a result of which Optuna knows."""
        known = {
            (scheme, trial.user_attrs.get(TRIAL))
            for scheme in dict.fromkeys(scheme for scheme, _ in self.trials.values())
            for trial in self._study(scheme).get_trials(deepcopy=False)
            if trial.state.is_finished()
        }
        cells = self.folder / "cells"
        return {
            name for name, trial in self.trials.items() if trial in known and (cells / name / "result.json").exists()
        }

    def __call__(self, task: str, config: TrainConfig, path: Path) -> tuple[str, str]:
        """Train one trial to its end; return its state and a line about it."""
        import optuna

        scheme, number = self.trials[path.name]
        study = self._study(scheme)
        trial = self._claim(study, number, path, type(config))
        config = config.with_values("search", **trial.params)
        state, line = train_cell(task, config, path, prune=lambda record: self._falls_behind(trial, record))
        if state == RunState.FINISHED:
            value = RunFolder(path).result()["metrics"][self.search.objective]
            study.tell(trial, value, skip_if_finished=True)
            line = f"{self.search.objective} {value:.4f}"
        elif state in (RunState.PRUNED, RunState.DIVERGED):  # both teach the sampler to look elsewhere
            study.tell(trial, state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in trial.params.items())
        return state, f"{line} at {shown}"

    def _claim(self, study: Any, number: int, path: Path, config_class: type[TrainConfig]) -> Any:
        """Return the trial of this number: the one that was begun, or a new one."""
        import optuna

        for begun in study.get_trials(deepcopy=False):
            if begun.user_attrs.get(TRIAL) == number:
                return optuna.trial.Trial(study, begun._trial_id)
        if (path / "config.yaml").exists():  # the journal was lost
            settings = config_class.parse(
                {key: value for key, value in RunFolder(path).config().items() if key != "task"}, str(path)
            )
            study.enqueue_trial({name: getattr(settings, name) for name in self.search.settings})
        study.sampler = self._sampler(number)
        trial = study.ask({name: _distribution(values) for name, values in self.search.space.items()})
        trial.set_user_attr(TRIAL, number)
        return trial

    def _falls_behind(self, trial: Any, record: Mapping[str, Any]) -> bool:
        """Report an epoch and ask the pruner; a value that is missing or not finite was judged by the engine."""
        value = record.get(self.search.objective)
        if value is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a resumed trial reports its last epoch again
                trial.report(float(value), int(record["epoch"]))
        return bool(trial.should_prune())

    def _study(self, scheme: str) -> Any:
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some options are marked experimental
            backend = JournalFileBackend(str(self.folder / "optuna.journal"))
            return optuna.create_study(
                storage=optuna.storages.JournalStorage(backend),
                study_name=scheme,
                direction="maximize" if higher_is_better(self.search.objective) else "minimize",
                sampler=self._sampler(0),
                pruner=self._pruner(),
                load_if_exists=True,
            )

    def _sampler(self, number: int) -> Any:
        import optuna

        seed = zlib.crc32(f"{self.search.draw}/{number}".encode())
        if self.search.proposals == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.search.startup_trials)

    def _pruner(self) -> Any:
        import optuna

        if self.search.pruner == "none":
            return optuna.pruners.NopPruner()
        # Optuna's warm-up spares steps below its number, ours the epochs up to it.
        return optuna.pruners.MedianPruner(self.search.startup_trials, self.search.warmup_epochs + 1)


def _scheme(values: Mapping[str, Any]) -> str:
    return label_of({axis: value for axis, value in values.items() if axis != TRIAL})


def _distribution(values: Range) -> Any:
    import optuna

    if values.choices is not None:
        return optuna.distributions.CategoricalDistribution(values.choices)
    low, high, step = values.low, values.high, values.step
    assert low is not None  # `read_search` has checked it
    assert high is not None
    if values.integer:
        return optuna.distributions.IntDistribution(int(low), int(high), log=values.log, step=int(step or 1))
    return optuna.distributions.FloatDistribution(low, high, log=values.log, step=step)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
