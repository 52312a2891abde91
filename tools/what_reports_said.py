"""What four student reports said about normalization and taggers, and what the archives of docs/results say.

`result_tables.py` writes the table. A row is one difference: that of the reports from the package's published tables,
ours from the cells of an archive under the same seeds. So a row grows when its archive does, and an archive that is not
there yet is said to be missing. Only the reasons why reports differ are written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from normlab.studies import Study
from normlab.studies.pairs import pair_up
from normlab.studies.published import load_published
from normlab.studies.statistics import mean_interval, paired_differences

IMAGES, SIZES, TAGGERS = "seven_norms_published.zip", "batch_size_published.zip", "ner_ablation_full.zip"
_TAG_METRICS = {"micro": ("val/course_f1", "micro_f1"), "macro": ("val/course_macro", "macro_f1")}
Side = Mapping[str, Any]


class Question(NamedTuple):
    """A difference a - b that reports print and an archive may hold, and why the reports contradict each other."""

    asked: str
    archive: str
    a: Side
    b: Side
    why: str
    level: str = "micro"  # of taggers


def _norms(asked: str, a: str, b: str, why: str) -> Question:
    return Question(asked, IMAGES, {"norm": a, "batch_size": 128}, {"norm": b, "batch_size": 128}, why)


def _sizes(asked: str, norm: str, why: str) -> Question:
    return Question(asked, SIZES, {"norm": norm, "batch_size": 8}, {"norm": norm, "batch_size": 128}, why)


def _parts(asked: str, a: str, b: str, level: str) -> Question:
    return Question(asked, TAGGERS, {"variant": a}, {"variant": b}, "one report, one run a row", level)


QUESTIONS = (
    _norms("own batch norm against torch's", "batch", "torch_batch", "one run each; nothing else differs"),
    _norms(
        "batch-instance against batch norm", "batch_instance", "batch", "report A holds its gate at 0.5; one run each"
    ),
    _norms("instance against batch norm", "instance", "batch", "25 classes and another optimiser in B"),
    _norms("layer against batch norm", "layer", "batch", "25 classes and another optimiser in B"),
    _norms(
        "group against batch norm", "group", "batch", "2 or 4 groups or channels/4; A's run with 4 has not converged"
    ),
    _norms("no norm against batch norm", "none", "batch", "A trains this row alone with Adadelta"),
    _sizes(
        "batch norm, batch size 8 against 128",
        "batch",
        "A stops after 15 to 20 of 100 epochs; D shows curves only, and sees no loss",
    ),
    _sizes("group norm, batch size 8 against 128", "group", "A compares with its run of 128 that has not converged"),
    _parts("tagger: dropout, random vectors (macro F1)", "random+dropout", "random", "macro"),
    _parts("tagger: dropout, GloVe (macro F1)", "glove+dropout", "glove", "macro"),
    _parts("tagger: characters without dropout (micro F1)", "glove+chars", "glove", "micro"),
    _parts("tagger: characters with dropout (micro F1)", "glove+chars+dropout", "glove+dropout", "micro"),
    _parts("tagger: layer norm (macro F1)", "glove+ln+dropout", "glove+dropout", "macro"),
    _parts("tagger: CRF, random vectors (macro F1)", "random+crf+dropout", "random+dropout", "macro"),
    _parts("tagger: CRF, GloVe (macro F1)", "glove+crf+dropout", "glove+dropout", "macro"),
    _parts("tagger: CRF with characters (macro F1)", "glove+chars+crf+dropout", "glove+chars+dropout", "macro"),
)


def said_table(results: Path) -> str:
    """Return a row per question as Markdown: what each report says, what holds here, why they differ; in points."""
    lines = ["| difference | reports say | here, with 95 % interval | pairs of seeds | reads | why they differ |"]
    lines.append("|---|---|---:|---:|---|---|")
    for question in QUESTIONS:
        said = ", ".join(_said(question)) or "nothing that can be compared"
        lines.append(f"| {question.asked} | {said} | {' | '.join(_measured(question, results))} | {question.why} |")
    return "\n".join(lines)


def _said(question: Question) -> Iterator[str]:
    """Yield "A -0.4" for each report that printed both sides."""
    table = "ner" if question.archive == TAGGERS else "image"
    rows = [row for row in load_published(table) if str(row["source"]).startswith("student report")]
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source]
        split = "test" if any(row["split"] == "test" for row in own) else "val"
        own = [row for row in own if row["split"] == split]
        column = _TAG_METRICS[question.level][1] if table == "ner" else "accuracy"
        for a in _rows_of(own, question.a, table):
            for b in _alike(a, _rows_of(own, question.b, table)):
                if a[column] is not None and b[column] is not None:
                    groups = f" ({a['groups']} groups)" if a.get("groups") else ""
                    mark = f" ({split})" if split != "test" else ""
                    yield f"{str(source).split()[2]} {100 * (a[column] - b[column]):+.1f}{groups}{mark}"


def _alike(row: dict[str, Any], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows to compare one with: of as many groups, and by the same optimiser where there is such a row."""
    fitting = [other for other in others if other.get("norm") != "group" or other["groups"] == row.get("groups")]
    same = [other for other in fitting if other.get("optimizer") == row.get("optimizer")]
    return same or fitting


def published_tagger(variant: str) -> dict[str, Any] | None:
    """Return the row of the published ablation, on the test split, of a variant named by its parts: `glove+crf`."""
    rows = [row for row in load_published("ner") if row["split"] == "test"]
    return next(iter(_rows_of(rows, {"variant": variant}, "ner")), None)


def _rows_of(rows: list[dict[str, Any]], side: Side, table: str) -> list[dict[str, Any]]:
    if table == "ner":
        wanted = _published_parts(str(side["variant"]))
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    sizes = {side["batch_size"], 32} if side["batch_size"] == 128 else {side["batch_size"]}  # B trains at 32 throughout
    return [row for row in rows if row["norm"] == side["norm"] and row["batch_size"] in sizes]


def _published_parts(variant: str) -> dict[str, Any]:
    parts = variant.split("+")
    return {
        "embeddings": parts[0],
        "char": "lstm" if "chars" in parts else "none",
        "layer_norm": int("ln" in parts),
        "crf": int("crf" in parts),
        "dropout": 0.5 if "dropout" in parts else 0,
    }


def _measured(question: Question, results: Path) -> tuple[str, str, str]:
    """Return the difference here, the number of pairs, and how it reads."""
    archive = results / question.archive
    if not archive.is_file():
        return "not measured yet", "0", "open"
    study = _opened(archive)
    metric = _TAG_METRICS[question.level][0] if question.archive == TAGGERS else "test/accuracy"
    sides = [{name: value for name, value in side.items() if name in study.axes} for side in (question.a, question.b)]
    pair = pair_up(study, sides[0], sides[1], metric)
    if not pair.a:
        return "not measured yet", f"0 of {pair.planned}", "open"
    interval = mean_interval(paired_differences(pair.a, pair.b))
    text, count = f"{100 * interval.mean:+.2f}", f"{interval.n} of {pair.planned}"
    if interval.low is None or interval.high is None:
        return text, count, "one pair decides nothing"
    reads = "more" if interval.low > 0 else "less" if interval.high < 0 else "undecided"
    return f"{text} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]", count, reads


@cache
def _opened(archive: Path) -> Study:
    return Study.open(archive)
