"""What a search found: the best settings of each scheme, what they bring on the test split, and what stays open."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from normlab.metrics import heading, higher_is_better, is_fraction, sign, title_of
from normlab.plurals import plural
from normlab.report.blocks import Block, Bullets, Cell, Column, Figure, Folded, Key, Section, Table, Text
from normlab.report.figures.search import Line, Point, budget_figure, slices_figure
from normlab.report.numbers import DASH, duration, listing, value_text
from normlab.report.palette import Style, styles_for
from normlab.report.view import StudyView, named_values, variant_label
from normlab.studies.search.findings import SchemeSearch, Trial, at_edge, best_trial, read_schemes, search_of, within
from normlab.studies.search.importance import importance
from normlab.studies.search.text import metrics_on_test
from normlab.studies.search.winners import TUNED, read_tested
from normlab.studies.search_settings import Search
from normlab.studies.study import Study

_MARGIN = 0.01  # of a share: what counts as near the best
_STATES = ("finished", "pruned", "diverged", "failed", "running", "interrupted", "created", "waiting")

_HELP = (
    "Every scheme had the same number of trials and of epochs, the same seeds, and the same points to start from. "
    "Trials were judged on the validation split, with the epoch that it chose; the test split was read once, for the "
    "best trial of each scheme. The best of several noisy scores is too good by selection, more so with more trials: "
    "the test score is the one to quote. A best value at the edge of what was tried means that a better one may lie "
    "beyond. Pruned trials were stopped because they were below the median of earlier trials at the same epoch."
)

Styled = tuple[SchemeSearch, str, Style]


def section(view: StudyView) -> Section:
    """Show the findings of a search in any state."""
    study, search, schemes = view.study, search_of(view.study), styled_schemes(view.study)
    blocks: list[Block] = [Text(study.question.strip(), tone="lead")] if study.question else []
    if view.caution:
        blocks.append(Text(view.caution, tone="warning"))
    blocks.append(Bullets(findings(study, search, schemes)))
    blocks.append(best_table(study, search, schemes))
    if any(trial.score is not None for scheme, _, _ in schemes for trial in scheme.trials):
        blocks += _figures(search, schemes)
        if len(search.settings) > 1:
            blocks.append(importance_table(search, schemes))
    blocks.append(Folded("All trials", [trials_table(search, schemes)]))
    return Section("search", "What the search found", blocks, help=_HELP)


def styled_schemes(study: Study) -> list[Styled]:
    """Return the schemes with the names and styles that they have in every report."""
    schemes = read_schemes(study)
    keys = [str(scheme.values.get("norm", scheme.label)) for scheme in schemes]
    styles = styles_for(keys)
    labels = [variant_label(values) for values in named_values([scheme.values for scheme in schemes])]
    return [(scheme, label, styles[key]) for scheme, label, key in zip(schemes, labels, keys, strict=True)]


def findings(study: Study, search: Search, schemes: Sequence[Styled]) -> list[str]:
    """Return the sentences: extent, best scheme, edges, one rate for all, and how often the test split was read."""
    trials = [trial for scheme, _, _ in schemes for trial in scheme.trials]
    states = [f"{n} {state}" for state in _STATES if (n := sum(trial.state == state for trial in trials))]
    seeds = len(trials[0].cells)
    sentences = [
        f"{plural(len(schemes), 'scheme')} × {plural(search.budget, 'trial')} of {listing(search.settings)}, "
        f"{plural(seeds, 'seed')} each: {listing(states)}; "
        f"{plural(sum(trial.epochs for trial in trials), 'epoch')} in "
        f"{duration(sum(trial.seconds for trial in trials))}."
    ]
    best_trials = [(scheme, label, scheme.best) for scheme, label, _ in schemes if scheme.best]
    if not best_trials:
        return [*sentences, "No trial has a score yet."]
    top = best_trial([best for _, _, best in best_trials], search.objective)
    leader = next(label for _, label, best in best_trials if best is top)
    assert top is not None
    sentences.append(
        f"Each at its best, {leader} leads in {title_of(search.objective)}: "
        f"{_percent(top.score, search.objective)} at {_settings(top)}."
    )
    edges = [f"{label} ({listing(names)})" for _, label, best in best_trials if (names := at_edge(search, best))]
    if edges:
        sentences.append(f"Best at the edge of what was tried, so a better value may lie beyond: {'; '.join(edges)}.")
    if search.grid and len(best_trials) > 1:
        sentences += _shared_settings([(scheme, label, best) for scheme, label, best in best_trials], search)
    sentences += _on_test(study, schemes)
    return sentences


def _shared_settings(best_trials: Sequence[tuple[SchemeSearch, str, Trial]], search: Search) -> list[str]:
    """Say whether one point serves all schemes, and what the fairest one costs the scheme that likes it least."""
    if len({repr(best.settings) for _, _, best in best_trials}) == 1:
        return [
            f"All schemes do best at the same point, {_settings(best_trials[0][2])}: one point for all is fair here."
        ]
    losses: dict[str, list[tuple[float, str]]] = {}
    for scheme, label, best in best_trials:
        for trial in scheme.trials:
            loss = float("inf") if trial.score is None else sign(search.objective) * ((best.score or 0.0) - trial.score)
            losses.setdefault(_settings(trial), []).append((loss, label))
    point, costs = min(losses.items(), key=lambda item: max(item[1]))
    loss, label = max(costs)
    start = "The schemes do best at different points. "
    if loss == float("inf"):
        return [f"{start}At every point of the grid some scheme has no score."]
    unit = f"{100 * loss:.2f} points" if is_fraction(search.objective) else f"{loss:.4g}"
    return [f"{start}If one must serve all, {point} costs least: at most {unit} of a scheme's own best ({label})."]


def _on_test(study: Study, schemes: Sequence[Styled]) -> list[str]:
    tested = read_tested(study)
    if not tested:
        return ["The test split has not been read." if all(s.over for s, _, _ in schemes) else _NOT_YET]
    often = [
        label
        for scheme, label, _ in schemes
        if sum(any(cell.name in tested for cell in trial.cells) for trial in scheme.trials) > 1
    ]
    if often:
        return [
            f"The search was extended: the test split was read for several trials of {listing(often)}, "
            "so their test scores are no longer those of a single look."
        ]
    return [
        "The test split was read once per scheme, for its best trial. These scores rest on the seeds of the search: "
        f"{TUNED} in this folder is a study that trains each scheme at its best under more of them."
    ]


_NOT_YET = "The test split has not been read: that waits until every trial is over."


def best_table(study: Study, search: Search, schemes: Sequence[Styled]) -> Table:
    """Return the best settings of each scheme with their scores and the fate of its trials."""
    on_test = search.objective.replace("val/", "test/", 1)
    unit = " %" if is_fraction(search.objective) else ""
    tested = read_tested(study)
    near = is_fraction(search.objective)
    columns = [Column("Scheme", numeric=False)]
    columns += [Column(name, group="Best settings", hint="* at the edge of what was tried") for name in search.settings]
    columns += [
        Column("Validation" + unit, group="Best trial", hint="mean of the objective over the seeds"),
        Column("Test" + unit, group="Best trial", hint="read once"),
    ]
    if near:
        columns.append(Column("Within a point", group="Trials", hint="trials at most a point below the best"))
    columns += [Column(state.capitalize(), group="Trials") for state in ("finished", "pruned", "diverged", "failed")]
    columns += [Column("Epochs", group="Trials"), Column("Time", group="Trials")]
    top = best_trial([scheme.best for scheme, _, _ in schemes if scheme.best], search.objective)
    rows = []
    for scheme, label, style in schemes:
        best, edges = scheme.best, at_edge(search, scheme.best) if scheme.best else []
        cells = [Cell(label, style=style)]
        for name in search.settings:
            value = best.settings.get(name) if best else None
            cells.append(Cell((_text(value) if best else DASH) + ("*" if name in edges else ""), sort=_sort(value)))
        cells.append(
            _score_cell(best.score if best else None, search.objective, strong=best is not None and best is top)
        )
        cells.append(_score_cell(metrics_on_test(scheme, tested).get(on_test), on_test))
        if near:
            n = within(scheme.trials, best, _MARGIN, search.objective) if best else 0
            cells.append(Cell(f"{n} of {len(scheme.trials)}" if best else DASH, sort=str(n)))
        cells += [Cell(str(scheme.count(state))) for state in ("finished", "pruned", "diverged", "failed")]
        seconds = sum(trial.seconds for trial in scheme.trials)
        cells += [
            Cell(str(sum(trial.epochs for trial in scheme.trials))),
            Cell(duration(seconds), sort=f"{seconds:.6g}"),
        ]
        rows.append(cells)
    return Table("search_best", columns, rows, caption="The best trial of each scheme, and how its trials ended.")


def importance_table(search: Search, schemes: Sequence[Styled]) -> Table:
    """Return, per scheme, the share of the differences between trials that each setting explains alone."""
    columns = [Column("Scheme", numeric=False), *(Column(f"{name} %") for name in search.settings)]
    columns.append(Column("Together, noise %", hint="interaction between settings, and luck"))
    rows = []
    for scheme, label, style in schemes:
        shares = importance(search, scheme.trials)
        cells = [Cell(label, style=style)]
        if shares is None:
            cells += [Cell(DASH, hint="too few trials with a score") for _ in range(len(search.settings) + 1)]
        else:
            rest = max(0.0, 1 - sum(shares.values()))
            cells += [Cell(f"{100 * share:.0f}", strong=share == max(shares.values())) for share in shares.values()] + [
                Cell(f"{100 * rest:.0f}")
            ]
        rows.append(cells)
    way = "variance between a setting's values" if search.grid else "functional ANOVA of a random forest"
    return Table("search_importance", columns, rows, caption=f"Importance: share of the scores' variance ({way}).")


def trials_table(search: Search, schemes: Sequence[Styled]) -> Table:
    """Return every trial: settings, state, score."""
    columns = [Column("Scheme", numeric=False), *(Column(name) for name in search.settings)]
    columns += [Column("State", numeric=False), Column(heading(search.objective)), Column("Epochs"), Column("Time")]
    rows = [
        [
            Cell(label, style=style),
            *(Cell(_text(trial.settings[n]) if n in trial.settings else DASH, sort=_sort(trial.settings.get(n)))
              for n in search.settings),
            Cell(trial.state),
            _score_cell(trial.score, search.objective, strong=trial is scheme.best),
            Cell(str(trial.epochs)),
            Cell(duration(trial.seconds), sort=f"{trial.seconds:.6g}"),
        ]
        for scheme, label, style in schemes
        for trial in scheme.trials
    ]  # fmt: skip
    return Table("search_trials", columns, rows)


def _figures(search: Search, schemes: Sequence[Styled]) -> list[Block]:
    floor = _floor(search, schemes)
    lines = [Line(label, style, _points(scheme, floor)) for scheme, label, style in schemes]
    keys = [Key(label, style) for _, label, style in schemes]
    what = f"{title_of(search.objective)}{' (%)' if is_fraction(search.objective) else ''}"
    caption = "A dot is a trial. " + ("The line joins the best at each value. " if search.grid else "")
    caption += "Rings were pruned and stand at their best epoch; crosses at the edge diverged."
    slices = slices_figure(lines, search.settings, search.objective, joined=bool(search.grid))
    name = what[0].upper() + what[1:]
    blocks: list[Block] = [Figure("search_slices", f"{name} against each setting", slices, keys, caption)]
    if search.space:
        better = max if higher_is_better(search.objective) else min
        history = [
            (label, style, list(itertools.accumulate((t.score for t in s.trials), lambda a, b: _better(a, b, better))))
            for s, label, style in schemes
        ]
        figure = budget_figure(history, search.objective)
        blocks.append(Figure("search_budget", f"Best {what} so far, by the number of trials", figure, keys))
    return blocks


def _better(a: float | None, b: float | None, better: Any) -> float | None:
    return a if b is None else b if a is None else better(a, b)


def _floor(search: Search, schemes: Sequence[Styled]) -> float:
    """Return the worst height that a trial has: where those without a score are drawn."""
    heights = [
        height
        for scheme, _, _ in schemes
        for trial in scheme.trials
        if (height := trial.score if trial.score is not None else trial.last) is not None
    ]
    return min(heights) if higher_is_better(search.objective) else max(heights)


def _points(scheme: SchemeSearch, floor: float) -> list[Point]:
    points = []
    for trial in scheme.trials:
        if trial.state in ("finished", "pruned", "diverged") and trial.settings:
            height = trial.score if trial.score is not None else trial.last
            points.append(Point(trial.settings, floor if height is None else height, trial.state))
    return points


def _score_cell(score: float | None, metric: str, *, strong: bool = False) -> Cell:
    return Cell(value_text(score, metric), sort="" if score is None else f"{score:.8g}", strong=strong)


def _percent(score: float | None, metric: str) -> str:
    return f"{value_text(score, metric)}{' %' if is_fraction(metric) else ''}"


def _settings(trial: Trial) -> str:
    return listing([f"{name} {_text(value)}" for name, value in trial.settings.items()])


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _sort(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""
