"""What a benchmark makes of its times: pure functions, fed with made-up seconds."""

from __future__ import annotations

from typing import Any

import pytest

from normlab.bench import tables, timing
from normlab.bench.limits import Floor, Limits, convolution_work
from normlab.bench.row import Goal, Row, cost, faster, missing, rate
from normlab.bench.timing import Settings, Spread, compare, judge, measure


def test_the_ratio_is_taken_within_a_round_and_then_the_median() -> None:
    # The machine was ten times slower in the last round: both sides suffer, the ratio does not.
    found = judge([(2.0, 1.0), (4.2, 2.0), (19.0, 10.0)])
    assert found.speedup == pytest.approx((2.0, 1.95, 2.05))
    assert found.baseline.median == 4.2
    assert found.own.median == 2.0
    assert found.cost.median == pytest.approx(0.5)
    assert found.cost.low <= found.cost.median <= found.cost.high


def test_a_single_round_has_no_width() -> None:
    assert judge([(3.0, 2.0)]).speedup == (1.5, 1.5, 1.5)


def test_a_rate_turns_the_quartiles_around() -> None:
    assert Spread(2.0, 1.0, 4.0).per(8.0) == (4.0, 2.0, 8.0)


class FakeClock:
    """Time that passes only when a step says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def step(self, seconds: float) -> timing.Step:
        def run() -> None:
            self.now += seconds

        return run

    def work(self, seconds: float, amount: int) -> timing.Work:
        def run() -> int:
            self.now += seconds
            return amount

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(Settings, "seconds", lambda self: fake.now)
    return fake


def test_comparing_finds_the_ratio_of_two_steps(clock: FakeClock) -> None:
    found = compare(clock.step(0.03), clock.step(0.0001), Settings(rounds=3))
    assert found.speedup == pytest.approx((300, 300, 300))
    assert found.own.median == pytest.approx(1e-4)


def test_a_low_result_gets_more_rounds_and_all_of_them_count(clock: FakeClock) -> None:
    seconds = iter([3.0, 3.0, *[1.0] * 4, *[9.0] * 99])  # two to find the repeats, then slow and quick rounds of own

    def own() -> None:
        clock.now += next(seconds)

    found = compare(clock.step(4.0), own, Settings(rounds=4), at_least=1e-9, expected=3.0)
    assert found.speedup.median == pytest.approx(4.0)
    seconds = iter([3.0, 3.0, *[9.0] * 4, *[1.0] * 8])
    found = compare(clock.step(4.0), own, Settings(rounds=4), at_least=1e-9, expected=3.0)
    assert found.speedup.median == pytest.approx(4.0), "eight more rounds outvote four slow ones"
    seconds = iter([3.0, 3.0, *[9.0] * 99])
    assert compare(clock.step(4.0), own, Settings(rounds=4), at_least=1e-9, expected=3.0).speedup.median < 1


def test_comparing_work_is_by_its_amount(clock: FakeClock) -> None:
    found = timing.compare_work(clock.work(2.0, 100), clock.work(1.0, 400), Settings(rounds=2))
    assert found.speedup.median == pytest.approx(8.0)


def test_measuring_one_thing(clock: FakeClock) -> None:
    assert measure(clock.step(0.25), Settings(rounds=4)) == pytest.approx((0.25, 0.25, 0.25))


def test_one_thread_is_timed_by_the_process_and_several_by_the_wall() -> None:
    assert Settings(threads=1).clock == "cpu"
    assert Settings(threads=2).clock == "wall"


@pytest.mark.parametrize(
    "goal, value, met",
    [(Goal(at_least=3), 3.0, True), (Goal(at_least=3), 2.9, False), (Goal(at_most=1.25), 1.26, False)],
)
def test_a_goal_is_a_bound(goal: Goal, value: float, met: bool) -> None:
    assert goal.met(value) is met


def test_a_row_holds_verdict_and_share_of_the_limit() -> None:
    floor = Floor(seconds=0.5, bound="copies", bytes=1e9, flops=0.0)
    values = faster("ours", "theirs", judge([(4.0, 1.0)]), goal=Goal(at_least=5), floor=floor).as_values()
    assert (values["value"], values["low"], values["high"]) == (4.0, 4.0, 4.0)
    assert (values["goal"], values["met"]) == (">= 5", False)
    assert (values["own_ms"], values["baseline_ms"]) == (1000.0, 4000.0)
    assert values["share_of_limit"] == pytest.approx(0.5)
    assert values["limit"]["bound"] == "copies"


def test_what_costs_more_than_it_may_is_not_met() -> None:
    assert cost("a", "b", judge([(1.0, 1.3)]), goal=Goal(at_most=1.25)).as_values()["met"] is False


def test_a_row_fits_a_terminal_with_its_figures_below_it() -> None:
    against = "a scan of every text cell (longest common part, difflib), which is written out in words"
    values = faster("linking questions to names and cells", against, judge([(4.0, 1.0)])).as_values()
    first, *rest = tables.line(values).splitlines()
    assert first == "linking questions to names and cells"
    assert len(rest) > 1
    assert all(len(line) <= 80 and line.startswith("    ") for line in rest)


def test_what_was_not_measured_has_no_verdict() -> None:
    values = missing("CRF", "pytorch-crf", "pytorch-crf is not installed", Goal(at_least=20)).as_values()
    assert values["value"] is None
    assert values["met"] is None
    assert "not measured: pytorch-crf is not installed" in tables.line(values)
    assert tables.verdict(values) == "-"


def record(*rows: Row) -> dict[str, Any]:
    machine = {
        "cpu": "CPU",
        "instructions": "AVX2",
        "cores": 2,
        "threads": 1,
        "clock": "cpu",
        "rounds": 3,
        "torch": "2",
    }
    machine |= {"load_average": 0.1, "idle_threads": "-", "freed_memory": "-"}
    limits = {"copy_gb_per_s": 20.0, "float32_tflop_per_s": 0.1, "bfloat16_tflop_per_s": 0.2}
    bench = {"machine": machine, "limits": limits, "rows": [row.as_values() for row in rows], "seconds": 1.0}
    return {"schema": 1, "benches": {"norms": bench}}


def test_rows_of_a_group_are_summed_up_by_their_median_and_their_worst() -> None:
    rows = [
        faster(f"map {place}", "torch", judge([(ratio, 1.0)]), goal=Goal(at_least=1), group="batch")
        for place, ratio in enumerate((0.8, 2.0, 3.0))
    ]
    text = tables.markdown(record(*rows))
    assert "| batch | 3 | 2.00 | 0.80 | 3.00 | 0 % | - | >= 1 | 2 of 3 |" in text
    assert "| batch | torch | >= 1 | 2.00, lowest 0.80 | 2 of 3 |" in tables.goals(record(*rows))


def test_the_goals_of_two_processors_stand_side_by_side() -> None:
    goal, against = Goal(at_least=1), "torch"

    def measured(ratios: dict[str, float], **more: Any) -> dict[str, Any]:
        return record(
            *(faster(what, against, judge([(ratio, 1.0)]), goal=goal, **more) for what, ratio in ratios.items())
        )

    one = {"processor": "one", **measured({"lstm": 0.9, "crf": 20.0})}
    other = {"processor": "other", **measured({"lstm": 1.2})}
    networks = {"image": measured({"a step, bfloat16": 2.0})["benches"]["norms"]}
    one["benches"] |= networks
    other["benches"] |= {"image": measured({"a step, float32": 3.0})["benches"]["norms"]}
    other["benches"] |= {"maps": measured({"map 1": 0.8, "map 2": 3.0}, group="batch")["benches"]["norms"]}
    lines = tables.goals_side_by_side([one, other])
    assert lines[0] == "| what | against | goal | one | other |"
    assert "| lstm | torch | >= 1 | **0.90** | 1.20 |" in lines
    assert "| crf | torch | >= 1 | 20.00 | - |" in lines
    assert "| a step | torch | >= 1 | 2.00 (bfloat16) | 3.00 (float32) |" in lines
    assert "| batch | torch | >= 1 | - | 1.90, lowest 0.80 (1 of 2) |" in lines


def test_rows_that_stand_alone_are_shown_each() -> None:
    row = rate("tagging", "words/s", Spread(2.0, 1.0, 4.0), 100_000, goal=Goal(at_least=60_000))
    text = tables.markdown(record(row))
    assert "| tagging | - | 50,000 [25,000, 100,000] | words/s | - | 2,000 | - | >= 60,000 | **no** |" in text


def test_every_table_row_has_as_many_cells_as_its_heading() -> None:
    rows = [faster("a", "b", judge([(2.0, 1.0)])), missing("c", "d", "why")]
    rows += [faster("e", "f", judge([(2.0, 1.0)]), group="g", goal=Goal(at_least=1))]
    for block in tables.markdown(record(*rows)).split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1, block


def test_the_floor_is_the_slower_of_moving_and_multiplying(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    limits = Limits(Settings())
    monkeypatch.setattr(limits, "copy_rate", lambda size: 1e9)
    limits.__dict__["float32_rate"] = 1e12
    assert limits.floor(moved=1e9, flops=1e9, dtype=torch.float32).bound == "copies"
    assert limits.floor(moved=1e9, flops=2e12, dtype=torch.float32) == Floor(2.0, "products", 1e9, 2e12)


def test_the_work_of_resnet_14_is_the_counted_one() -> None:
    import torch

    from normlab.nn import ResNet

    flops, moved = convolution_work(ResNet(2, 10), torch.zeros(1, 3, 32, 32))
    # 26.40 M multiplications a forward pass, three passes, less the first layer's gradient of the images.
    assert flops == pytest.approx(157.5e6, rel=0.002)
    assert moved > 13 * 10 * 16 * 1024 / 4
