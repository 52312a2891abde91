"""The best trial of each scheme: its one measurement on the test split, and a study that compares the tuned schemes.

`tested.json` holds the test metrics of the trials that were measured, by the name of their cell. Nothing is measured
before every trial is over, and nothing twice; if a search is extended and another trial becomes best, that one is
measured too, and the report says that the test split was read for several trials of a scheme.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from normlab.config import affects_result
from normlab.errors import UserError
from normlab.json_file import read_json
from normlab.plurals import plural
from normlab.runs.atomic import write_json, write_text
from normlab.runs.schema import checked
from normlab.studies.axes import VARIANT
from normlab.studies.record import Tested
from normlab.studies.runner import Say
from normlab.studies.search.findings import SchemeSearch, read_schemes
from normlab.studies.study import Study, StudyCell
from normlab.studies.supervisor import Died, Job, run_jobs
from normlab.tasks import task_settings
from normlab.yaml_file import dump_yaml

TESTED, TUNED = "tested.json", "tuned.yaml"
_TUNED_SEEDS = 3


def read_tested(study: Study) -> dict[str, dict[str, float]]:
    """Return name of a cell -> its metrics on the test split, for the trials that were measured."""
    path = study.path / TESTED
    if not path.exists():
        return {}
    return dict(checked(read_json(path), Tested, str(path), "restore it, or delete it and run the search again"))


def measure_winners(study: Study, say: Say) -> None:
    """Measure the best trial of each scheme on the test split, once all trials are over; write `tuned.yaml`."""
    schemes = read_schemes(study)
    if not all(scheme.over for scheme in schemes):
        return
    tested = read_tested(study)
    cells = [cell for scheme in schemes if scheme.best for cell in scheme.best.cells]
    waiting = [cell for cell in cells if cell.name not in tested and "test" in cell.folder.result()["sizes"]]
    if waiting:
        say(f"measuring the best trial of each scheme on the test split ({plural(len(waiting), 'run')})")

        def ended(number: int, metrics: Any, seconds: float) -> None:
            if isinstance(metrics, Died):
                raise UserError(f"{waiting[number].folder.path}: not measured: {metrics}: run the search again")
            tested[waiting[number].name] = metrics
            write_json(study.path / TESTED, tested)

        jobs = [Job(_test_metrics, (cell.folder.path,)) for cell in waiting]
        run_jobs(jobs, workers=1, threads=1, ended=ended)
    if any(scheme.best for scheme in schemes):
        write_text(study.path / TUNED, tuned_study(study, schemes))


def _test_metrics(path: Path) -> dict[str, float]:
    """Run in a worker, because it needs torch."""
    from normlab.engine.api import load_run

    metrics: dict[str, float] = load_run(path).evaluate("test")["metrics"]
    return metrics


def tuned_study(study: Study, schemes: list[SchemeSearch]) -> str:
    """Return a study file that trains every scheme with its own best settings under several seeds."""
    best = {scheme.label: scheme.best.cells[0] for scheme in schemes if scheme.best}
    configs = {label: _relevant(study.task, cell) for label, cell in best.items()}
    first = next(iter(configs.values()))
    shared = {key: value for key, value in first.items() if all(c[key] == value for c in configs.values())}
    variants = {
        label: {key: value for key, value in config.items() if key not in shared} for label, config in configs.items()
    }
    content: dict[str, Any] = {
        "title": f"{study.title}: each at its best",
        "question": "How do the schemes compare when each has the settings that the search chose for it?",
        "task": study.task,
        "base": shared,
        f"{VARIANT}s": variants,
        "seeds": _TUNED_SEEDS,
        "scales": {study.scale: {"preset": "full"}},
    }
    header = f"# Made from the search in {study.path.name}: normlab study run {TUNED} --scale {study.scale}\n"
    return header + dump_yaml(content)


def _relevant(task: str, cell: StudyCell) -> dict[str, Any]:
    """Return all settings of a trial that change a result, and its data; the study sets the seed."""
    fields = task_settings(task).config_class
    config = cell.folder.config()
    keys = [key for key in config if key in fields.model_fields and (affects_result(fields, key) or key == "data")]
    return {key: config[key] for key in keys if key not in ("seed", "monitor")}
