from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import NORMS, make_run, make_study

from normlab.norms import NORMS as REGISTERED
from normlab.report import table_latex, table_markdown
from normlab.report.blocks import Text
from normlab.report.comparing import rank
from normlab.report.families import by_scheme
from normlab.report.figures.confusion import row_shares, summed_confusion, worst_confusion
from normlab.report.figures.curves import as_error, curves_figure
from normlab.report.figures.percentiles import percentiles_figure, shared_range
from normlab.report.numbers import duration, listing
from normlab.report.palette import NAMES, STYLES, styles_for
from normlab.report.sections import sections_of
from normlab.report.sections.image.batch_size import difference_table, sample_table
from normlab.report.sections.image.own_batch_norm import largest_gap, pairs_of
from normlab.report.sections.image.published import section as published
from normlab.report.sections.image.published import source_table
from normlab.report.sections.image.results import splits_table
from normlab.report.sections.shared.configuration import section as configuration
from normlab.report.sections.shared.summary import findings
from normlab.report.view import StudyView
from normlab.studies.sources import collect_studies
from normlab.studies.statistics import adjust, compare_paired, mean_interval
from normlab.studies.study import Study


def final(study: Study, metric: str, **values: object) -> dict[int, float]:
    """Read a metric by seed straight from the files."""
    found = {}
    for cell in study.cells:
        if cell.values == values and (cell.folder.path / "result.json").exists():
            result = json.loads((cell.folder.path / "result.json").read_text())
            if result["state"] == "finished":
                found[cell.seed] = result["metrics"][metric]
    return found


# The main table


def test_table_shows_mean_and_half_width_over_the_finished_seeds(seven: Study) -> None:
    table = splits_table(StudyView.read(seven))
    interval = mean_interval(list(final(seven, "test/accuracy", norm="group").values()))
    row = next(row for row in table.rows if row[0].text == "Group norm")
    assert row[2].text == f"{100 * interval.mean:.2f}"
    assert interval.high is not None
    assert row[2].detail == f"± {100 * (interval.high - interval.mean):.2f}"


def test_diverged_seed_counts_in_no_mean_and_is_named(seven: Study) -> None:
    table = splits_table(StudyView.read(seven))
    row = next(row for row in table.rows if row[0].text == "No normalization")
    assert (row[1].text, row[1].detail) == ("1 of 2", "1 diverged")
    assert row[2].text == f"{100 * final(seven, 'test/accuracy', norm='none')[0]:.2f}"
    assert row[2].detail == ""  # one value has no interval


def test_best_of_a_column_is_strong_and_for_a_loss_that_is_the_smallest(seven: Study) -> None:
    table = splits_table(StudyView.read(seven))
    assert len(table.columns[2:]) == 12  # four metrics on three splits
    assert len(table.rows) == len(NORMS)
    for index, column in enumerate(table.columns[2:], start=2):
        values = [float(row[index].sort) for row in table.rows]
        best = min(values) if column.title == "Loss" else max(values)
        assert [row[index].strong for row in table.rows] == [value == best for value in values]


def test_markdown_has_a_row_per_variant_and_equal_columns(seven: Study) -> None:
    lines = table_markdown(seven).splitlines()
    assert len(lines) == 2 + len(NORMS)
    assert len({line.count("|") for line in lines}) == 1
    assert "Batch-instance norm" in table_markdown(seven)


def test_latex_escapes_percent_and_balances_its_columns(seven: Study) -> None:
    text = table_latex(seven)
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len({line.count(" & ") for line in body}) == 1
    assert "%" not in text.replace(r"\%", "")
    assert text.startswith(r"\begin{tabular}")


# Plain words


def test_summary_with_one_seed_says_that_one_seed_settles_nothing(tmp_path: Path) -> None:
    words = " ".join(findings(StudyView.read(make_study(tmp_path))))
    assert "One seed cannot settle" in words
    assert "95 %" not in words


def test_summary_names_the_best_and_tells_settled_from_open_differences(seven: Study) -> None:
    view = StudyView.read(seven)
    best = rank(view.variants, "test/accuracy")[0][0]
    words = findings(view)
    assert words[0].startswith(f"{best.label} has the best test accuracy")
    ours = best.by_seed("test/accuracy")
    differences = {
        variant.label: [ours[seed] - value for seed, value in sorted(variant.by_seed("test/accuracy").items())]
        for variant in view.variants
        if variant is not best
    }
    found = dict(zip(differences, adjust(list(differences.values())), strict=True))
    decided = [label for label, each in found.items() if each.p_value < 0.05 and each.interval.mean > 0]
    open_ones = [label for label in found if label not in decided]
    behind = next((line for line in words if line.startswith("Behind it")), "")
    undecided = next((line for line in words if line.startswith("Not told apart")), "")
    assert len([*decided, *open_ones]) == 6
    assert all(label in behind for label in decided)
    assert "by +" not in behind
    assert all(label in undecided for label in open_ones)
    assert "Holm-corrected for 6 comparisons" in words[-1]


# Curves, distributions, confusions


def test_error_curve_is_one_minus_accuracy_in_percent(tmp_path: Path) -> None:
    view = StudyView.read(make_study(tmp_path, axes={"norm": ["batch"]}))
    figure = curves_figure(view.variants, [("error", "val/accuracy", as_error)])
    recorded = [record["val/accuracy"] for record in view.cells[0].epochs]
    assert list(figure.data[0].y) == pytest.approx([100 * (1 - value) for value in recorded], rel=1e-4)


def test_curve_of_several_seeds_is_their_mean_inside_their_band(tmp_path: Path) -> None:
    view = StudyView.read(make_study(tmp_path, axes={"norm": ["batch"]}, seeds=3))
    epochs, means, lows, highs = view.variants[0].mean_curve("val/loss")
    columns = [[cell.epochs[index]["val/loss"] for cell in view.cells] for index in range(len(epochs))]
    assert means == pytest.approx([sum(column) / 3 for column in columns])
    assert (lows, highs) == ([min(c) for c in columns], [max(c) for c in columns])


def test_one_exploding_variant_does_not_set_the_range_of_the_percentiles(seven: Study) -> None:
    view = StudyView.read(seven)
    top, _ = shared_range(view.variants)
    others = [v for v in view.variants if v.norm != "none"]
    assert top < 2 * max(max(v.mean_curve("features/p99")[1]) for v in others)
    texts = [annotation.text for annotation in percentiles_figure(view.variants).layout.annotations]
    assert sum("up to" in text for text in texts) == 1


def test_confusion_is_summed_over_seeds_and_rows_become_shares(batch_sizes: Study) -> None:
    variant = StudyView.read(batch_sizes).variants[0]
    counts = summed_confusion(variant)
    assert counts is not None
    one_by_one = [np.array(cell.result["tables"]["test"]["confusion"]) for cell in variant.cells]
    assert (counts == one_by_one[0] + one_by_one[1] + one_by_one[2]).all()
    assert row_shares(counts).sum(1) == pytest.approx(np.ones(10))


def test_worst_confusion_is_the_largest_share_off_the_diagonal() -> None:
    worst = worst_confusion(np.array([[90, 10], [1, 3]]), ["cat", "dog"])
    assert worst == ("dog", "cat", 0.25)
    assert worst_confusion(np.eye(2, dtype=int), ["cat", "dog"]) is None


# Batch size, own batch norm, published


def test_batch_size_difference_is_paired_by_seed(batch_sizes: Study) -> None:
    table = difference_table(by_scheme(StudyView.read(batch_sizes)))
    small = final(batch_sizes, "test/accuracy", norm="batch", batch_size=8)
    large = final(batch_sizes, "test/accuracy", norm="batch", batch_size=128)
    difference = compare_paired([small[s] for s in range(3)], [large[s] for s in range(3)]).difference
    cell = next(row for row in table.rows if row[0].text == "Batch norm (own)")[5]
    assert cell.text.startswith(f"{100 * difference.mean:+.2f} [")


def test_sample_size_is_batch_times_area_of_each_stage(batch_sizes: Study) -> None:
    rows = sample_table(StudyView.read(batch_sizes)).rows
    assert [cell.text for cell in rows[0]] == ["8", f"{8 * 32 * 32:,}", f"{8 * 16 * 16:,}", f"{8 * 8 * 8:,}"]


def test_largest_gap_of_batch_norms_is_the_largest_over_seeds_and_epochs(seven: Study) -> None:
    (pair,) = pairs_of(StudyView.read(seven))
    gap = largest_gap(*pair, "val/loss")
    assert gap is not None
    gaps = [
        abs(a["val/loss"] - b["val/loss"])
        for cell_a, cell_b in zip(pair[0].cells, pair[1].cells, strict=True)
        for a, b in zip(cell_a.epochs, cell_b.epochs, strict=True)
    ]
    assert gap.size == pytest.approx(max(gaps))


def test_published_column_shows_what_the_source_printed(seven: Study) -> None:
    table = source_table(StudyView.read(seven), "test")
    column = next(i for i, c in enumerate(table.columns) if c.hint.startswith("student report D"))
    row = next(row for row in table.rows if row[0].text == "Batch-instance norm")
    assert row[column].text == "88.10"


def _named(study: Study, name: str) -> StudyView:
    view = StudyView.read(study)
    for cell in view.cells:
        cell.card["data"] = name
        cell.config["data"] = "/somewhere/plain_text"
    return view


def test_published_results_stand_beside_data_that_the_card_knows_for_cifar10(seven: Study) -> None:
    view = _named(seven, "cifar10")
    assert view.data_name == "cifar10"
    section = published(view)
    assert section is not None
    assert len(section.blocks) > 3
    assert not [block for block in section.blocks if getattr(block, "tone", "") == "warning"]


@pytest.mark.parametrize("name", ["digits", "cifar100", "cifar10 (unidentified)", "pets"])
def test_nothing_is_drawn_beside_published_results_of_other_data(seven: Study, name: str) -> None:
    section = published(_named(seven, name))
    assert section is not None
    (reason,) = section.blocks
    assert isinstance(reason, Text)
    assert reason.text == f"This study ran on {name}; the published figures are for CIFAR-10: no comparison."


def test_other_depths_have_no_published_results(seven: Study) -> None:
    view = StudyView.read(seven)
    for cell in view.cells:
        cell.config["n"] = 3
    section = published(view)
    assert section is not None
    (reason,) = section.blocks
    assert isinstance(reason, Text)
    assert "14 layers (n = 2)" in reason.text
    for cell in view.variants[0].cells:
        cell.config["n"] = 2
    section = published(view)
    assert section is not None
    assert len(section.blocks) > 3


# Variants, colours, sources


def test_scheme_keeps_its_colour_whatever_stands_beside_it() -> None:
    assert styles_for(["group"])["group"] == styles_for([*reversed(NORMS), "own"])["group"] == STYLES["group"]


def test_unknown_schemes_get_colours_of_their_own() -> None:
    styles = styles_for([*NORMS, "weight_standard", "filter_response"])
    assert len({style.color for style in styles.values()}) == len(NORMS) + 2


def test_every_registered_scheme_has_a_name_and_a_style_of_its_own() -> None:
    assert set(NAMES) == set(REGISTERED)
    styles = styles_for(REGISTERED)
    assert len({(style.color, style.dash) for style in styles.values()}) == len(REGISTERED)
    assert len({style.color for style in styles.values()}) == len(REGISTERED)
    assert styles_for(["derf"])["derf"] == styles["derf"]


def test_schemes_differ_without_colour_or_are_far_apart_in_it() -> None:
    assert len(set(STYLES.values())) == len(STYLES)
    assert STYLES["torch_batch"].dash != STYLES["batch"].dash


def test_batch_sizes_of_one_scheme_share_its_colour_and_differ_in_dash(batch_sizes: Study) -> None:
    variants = [v for v in StudyView.read(batch_sizes).variants if v.norm == "batch"]
    assert {v.style.color for v in variants} == {STYLES["batch"].color}
    assert len({v.style.dash for v in variants}) == 2


def test_loose_runs_become_variants_by_the_settings_in_which_they_differ(tmp_path: Path) -> None:
    make_run(tmp_path / "a", {"norm": "batch", "lr": 0.1})
    make_run(tmp_path / "b", {"norm": "batch", "lr": 0.2})
    (study,) = collect_studies([tmp_path / "a", tmp_path / "b"])
    assert [variant.label for variant in StudyView.read(study).variants] == [
        "lr 0.1",
        "lr 0.2",
    ]


def test_axes_with_one_value_leave_the_names(tmp_path: Path) -> None:
    axes = {"norm": ["batch", "group"], "batch_size": [128], "lr": [0.1, 0.2]}
    view = StudyView.read(make_study(tmp_path / "product", axes=axes, epochs=2))
    assert [variant.label for variant in view.variants] == [
        "Batch norm (own), lr 0.1",
        "Batch norm (own), lr 0.2",
        "Group norm, lr 0.1",
        "Group norm, lr 0.2",
    ]
    assert view.variants[0].values["batch_size"] == 128
    one = StudyView.read(make_study(tmp_path / "one", axes={"norm": ["group"], "batch_size": [8]}))
    assert [variant.label for variant in one.variants] == ["Group norm"]
    bare = StudyView.read(make_study(tmp_path / "bare", axes={"lr": [0.1]}))
    assert [variant.label for variant in bare.variants] == ["lr 0.1"]


def test_family_of_batch_sizes_keeps_the_name_of_the_only_scheme(tmp_path: Path) -> None:
    axes = {"norm": ["group"], "batch_size": [8, 128], "lr": [0.1]}
    ((label, _, variants),) = by_scheme(StudyView.read(make_study(tmp_path, axes=axes)))
    assert (label, [variant.label for variant in variants]) == ("Group norm", ["batch size 8", "batch size 128"])


def test_title_of_losses_says_logarithmic_only_where_the_axis_is(tmp_path: Path) -> None:
    for span, kind in ((2.5, "linear"), (4.0, "log")):
        view = StudyView.read(make_study(tmp_path / kind, epochs=2, axes={"norm": ["batch", "group"]}))
        for cell in view.cells:
            for record, loss in zip(cell.epochs, (span, 1.0), strict=True):
                record |= {"train/loss": loss, "val/loss": loss}
        curves = next(each for each in sections_of(view) if each.slug == "curves")
        loss_figure = next(block for block in curves.blocks if block.name == "loss")
        assert loss_figure.figure.layout.yaxis.type == kind
        assert loss_figure.title == f"Loss by epoch{' (logarithmic)' if kind == 'log' else ''}"


def test_two_runs_with_equal_settings_are_not_taken_for_two_seeds(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / name, {"norm": "batch"})
    (study,) = collect_studies([tmp_path / "a", tmp_path / "b"])
    assert len(StudyView.read(study).variants) == 2


def test_configuration_of_differing_and_shared_settings_is_complete(batch_sizes: Study) -> None:
    view = StudyView.read(batch_sizes)
    section = configuration(view)
    assert section is not None
    differing, shared = (block.blocks[0] for block in section.blocks if block.kind == "folded")
    names = {column.title for column in differing.columns} | {row[0].text for row in shared.rows}
    assert set(view.cells[0].config) <= names


@pytest.mark.parametrize(("seconds", "text"), [(4.21, "4.2 s"), (190, "3 min 10 s"), (7500, "2 h 05 min"), (None, "–")])
def test_durations_read_as_people_say_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_listing_joins_with_and() -> None:
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(["a"]) == "a"
