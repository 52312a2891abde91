"""What `normlab doctor --kernels` says runs on a CPU is what can run there."""

from __future__ import annotations

import pytest

from normlab.kernels.overview import KERNELS, overview
from normlab.kernels.runtime.kernel import Kernel


@pytest.mark.parametrize("kernel", KERNELS, ids=[kernel.name for kernel in KERNELS])
def test_a_kernel_that_is_there_takes_its_example(kernel: Kernel) -> None:
    if kernel.reason_against_cpu():
        pytest.skip(kernel.reason_against_cpu())
    (row,) = (row for row in overview() if row["operation"] == kernel.name)
    assert row["on a CPU"] == "C++"
