"""Studies that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import make_study

from normlab.studies.study import Study


@pytest.fixture(scope="session")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Seven schemes, two seeds; one cell diverged and one failed."""
    states = {"norm-none_seed-1": "diverged", "norm-layer_seed-1": "failed"}
    return make_study(tmp_path_factory.mktemp("seven"), seeds=2, states=states)


@pytest.fixture(scope="session")
def batch_sizes(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Batch and group norm at 8 and 128, three seeds."""
    path: Path = tmp_path_factory.mktemp("batch_size")
    return make_study(path, axes={"norm": ["batch", "group"], "batch_size": [8, 128]}, seeds=3)
