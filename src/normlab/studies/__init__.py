"""Comparisons: a question asked of many trainings under the same seeds."""

from normlab.studies.runner import run_study
from normlab.studies.study import Study

__all__ = ["Study", "run_study"]
