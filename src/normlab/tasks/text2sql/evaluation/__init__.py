"""Spider's evaluation as a library: exact match by components, hardness, execution, whole files.

Every verdict equals the official script's, its quirks included, without NLTK data and without ever opening a
database for writing; `run_official` runs the script itself.
"""

from normlab.tasks.text2sql.evaluation.compare import Comparison, as_columns, compare_with_official
from normlab.tasks.text2sql.evaluation.files import (
    Evaluator,
    evaluate_files,
    evaluate_rows,
    exact_match,
    hardness,
)
from normlab.tasks.text2sql.evaluation.official import OfficialScores, run_official, write_official_files
from normlab.tasks.text2sql.evaluation.scores import RowScore, Scores, as_text
from normlab.tasks.text2sql.evaluation.tree import OfficialAbortError, ParseError

__all__ = [
    "Comparison",
    "Evaluator",
    "OfficialAbortError",
    "OfficialScores",
    "ParseError",
    "RowScore",
    "Scores",
    "as_columns",
    "as_text",
    "compare_with_official",
    "evaluate_files",
    "evaluate_rows",
    "exact_match",
    "hardness",
    "run_official",
    "write_official_files",
]
