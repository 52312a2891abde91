"""The report's sections on the layers: what was recorded is what is drawn, and nothing is drawn of what was not."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import plotly.graph_objects as go
import pytest
from synthetic import FORTY, RESNET14, add_layers, make_study

from normlab.report.blocks import Block, Figure, Folded
from normlab.report.build import render
from normlab.report.figures.depth import depth_figure, last_percentiles
from normlab.report.figures.gates import gate_shares
from normlab.report.figures.layers import layers_figure
from normlab.report.figures.percentiles import common_top, percentiles_figure, spread
from normlab.report.layers import layer_title, layers_with, split_layers, variants_with
from normlab.report.sections import sections_of
from normlab.report.sections.image import dead_channels, gates, percentiles, weights
from normlab.report.view import StudyView

LAYERS = ["conv", "stages.0.0.conv2", "stages.1.0.conv1", "stages.1.0.conv2", "stages.2.0.conv1", "stages.2.0.conv2"]


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> StudyView:
    study = make_study(tmp_path_factory.mktemp("layers"), seeds=2, states={"norm-none_seed-1": "diverged"})
    add_layers(study)
    return StudyView.read(study)


def figures(blocks: list[Block]) -> list[go.Figure]:
    nested = [figure for block in blocks if isinstance(block, Folded) for figure in figures(block.blocks)]
    return [block.figure for block in blocks if isinstance(block, Figure)] + nested


def test_layers_come_in_the_order_of_the_network(view: StudyView) -> None:
    assert layers_with(view, "p99") == layers_with(view, "gate") == LAYERS
    assert layers_with(view, "gradient_norm") == [*LAYERS, "linear"]
    assert layers_with(view, "absent") == []


def test_the_first_layer_the_last_of_each_stage_and_the_output_are_shown_at_once() -> None:
    names = ["conv", *(f"stages.{s}.{b}.conv{c}" for s in range(3) for b in range(2) for c in (1, 2)), "linear"]
    shown, rest = split_layers(names)
    assert shown == ["conv", "stages.0.1.conv2", "stages.1.1.conv2", "stages.2.1.conv2", "linear"]
    assert sorted([*shown, *rest]) == sorted(names)
    assert split_layers(["a", "b"]) == (["a", "b"], [])


def test_a_layer_has_a_name_for_people() -> None:
    assert layer_title("stages.2.1.conv1") == "Stage 3, block 2, conv 1"
    assert layer_title("conv") == "First convolution"
    assert layer_title("encoder.weight_ih_l0") == "encoder.weight_ih_l0"


def test_the_penultimate_figure_comes_first_and_every_layer_has_one(view: StudyView) -> None:
    section = percentiles.section(view)
    assert section is not None
    names = [block.name for block in section.blocks if isinstance(block, Figure)]
    assert names[:2] == ["percentiles", "depth"]
    assert len(figures(section.blocks)) == 2 + len(LAYERS)


def test_a_curve_holds_what_was_recorded(view: StudyView) -> None:
    batch = next(variant for variant in view.variants if variant.norm == "batch")
    recorded = [record["layers/conv/gradient_norm"] for record in batch.cells[0].epochs]
    figure = layers_figure([batch], ["conv"], "gradient_norm", log_y=True)
    line = next(trace for trace in figure.data if trace.name)
    assert list(line.y) == pytest.approx(recorded, rel=1e-4)


def test_the_depth_profile_is_the_last_epoch_of_every_layer(view: StudyView) -> None:
    batch = next(variant for variant in view.variants if variant.norm == "batch")
    last = batch.cells[0].epochs[-1]
    assert last_percentiles(batch, LAYERS)["p80"] == pytest.approx([last[f"layers/{layer}/p80"] for layer in LAYERS])


def test_a_diverged_run_is_drawn_until_it_stops_and_marked(view: StudyView) -> None:
    none = next(variant for variant in view.variants if variant.norm == "none")
    crosses = [trace for trace in layers_figure([none], LAYERS, "dead").data if trace.mode == "markers"]
    assert [list(trace.x) for trace in crosses] == [[2]] * len(LAYERS)
    texts = [note.text for note in percentiles_figure([none]).layout.annotations]
    assert any("✕ 1 of 2, epoch" in text for text in texts)


def test_percentile_bands_carry_their_levels_without_overlap(view: StudyView) -> None:
    assert len(view.variants) == 7
    for figure in (percentiles_figure(view.variants), depth_figure(view.variants, LAYERS)):
        bottom, top = figure.layout.yaxis.range
        for panel, variant in enumerate(view.variants):
            suffix = "" if panel == 0 else str(panel + 1)
            labels = [note for note in figure.layout.annotations if note.yref == f"y{suffix}" and note.text.isdigit()]
            texts = [note.text for note in sorted(labels, key=lambda note: note.y)]
            assert texts == ["1", "20", "80", "99"][: len(texts)]
            assert len(texts) == 4 or variant.norm == "none"  # beyond the common range
            heights = sorted(note.y for note in labels)
            apart = [b - a for a, b in pairwise(heights)]
            assert min(apart, default=top) >= 0.99 * 17 / 190 * (top - bottom)
            assert all(bottom < height < top for height in heights)


def test_labels_move_apart_as_little_as_needed() -> None:
    assert spread([1.0, 5.0], 0.0, 10.0, 1.0) == [1.0, 5.0]
    assert spread([0.0, 0.0, 0.1, 9.9], 0.0, 10.0, 1.0) == [0.5, 1.5, 2.5, 9.5]
    assert spread([9.8, 9.9], 0.0, 10.0, 1.0) == [8.5, 9.5]
    assert spread([], 0.0, 1.0, 0.1) == []


def test_gates_are_shares_and_belong_to_batch_instance_norm_alone(view: StudyView) -> None:
    assert [variant.norm for variant in variants_with(view, "gate_at_1")] == ["batch_instance"]
    epochs, shares = gate_shares(variants_with(view, "gate_at_1")[0], "conv")
    assert epochs == list(range(1, 13))
    assert shares.sum(0) == pytest.approx([1.0] * 12)
    assert shares[:, 3] == pytest.approx([2 / 16, 0, 0, 0, 0, 0, 0, 0, 2 / 16, 12 / 16])


def test_no_effective_rate_is_drawn_without_a_norm(view: StudyView) -> None:
    assert "none" not in [variant.norm for variant in variants_with(view, "effective_lr")]
    assert len(variants_with(view, "gradient_norm")) == 7


def test_one_outlier_does_not_set_the_common_top() -> None:
    assert common_top([1.0, 2.0, 3.0, 1000.0]) == 3.0
    assert common_top([0.75, 1.4, 1.8, 1.9, 8.6, 9.8, 11.2]) == 11.2  # several that agree are no outliers
    assert common_top([0.0]) == 1.0


def test_a_study_that_recorded_no_layers_has_no_such_sections(tmp_path: Path) -> None:
    bare = StudyView.read(make_study(tmp_path, axes={"norm": ["batch"]}))
    assert [module.section(bare) for module in (dead_channels, gates, weights)] == [None, None, None]
    assert {"dead", "gates", "weights"}.isdisjoint(section.slug for section in sections_of(bare))


def test_every_figure_of_the_layers_stands_in_the_file_once(view: StudyView) -> None:
    ids = re.findall(r'id="s0-figure-([^"]+)"', render([view]))
    assert len(ids) == len(set(ids))
    assert {"percentiles-conv", "dead", "gates-0", "gradient-norm", "effective-lr-rest"} <= set(ids)


def test_a_report_of_every_layer_of_35_cells_and_100_epochs_can_be_mailed(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=5, epochs=100)
    add_layers(study, RESNET14)
    assert len(render([StudyView.read(study)]).encode()) < 8_000_000


def test_a_report_of_every_layer_of_40_variants_can_be_mailed(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes=FORTY, seeds=2, epochs=40)
    add_layers(study, RESNET14)
    assert len(render([StudyView.read(study)]).encode()) < 8_000_000


def test_of_many_variants_those_that_share_a_scheme_share_a_colour_and_an_entry(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes=FORTY, epochs=2)
    add_layers(study)
    view = StudyView.read(study)
    (figure, *_) = [block for block in dead_channels.section(view).blocks if block.kind == "figure"]
    assert [key.label for key in figure.keys] == ["Batch norm (own)", "Group norm", "Layer norm", "No normalization"]
    assert sorted(group for key in figure.keys for group in key.switched) == sorted(v.label for v in view.variants)
    assert figure.figure.data
    for trace in figure.figure.data:
        assert any(trace.legendgroup in key.switched and trace.line.color == key.style.color for key in figure.keys)
    kinds = [block.kind for block in percentiles.section(view).blocks]
    assert kinds == ["table", "folded", "folded"]  # 40 panels a layer are folded
