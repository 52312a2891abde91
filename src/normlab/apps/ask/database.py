"""A database and a trained model: question in, rows out.

What is costly is done once: the schema is encoded and the cells are indexed when the database is opened (the index is
cached), the model is loaded with the first question.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

from normlab.apps.ask.agreement import COMPARED_ROWS, agreement_of
from normlab.apps.ask.answer import Answer, Reading
from normlab.apps.ask.cell_rules import CellRules, Looked
from normlab.apps.ask.confidence import MIN_CONFIDENCE, NOT_CALIBRATED, calibration_of
from normlab.apps.ask.examples import Examples
from normlab.apps.ask.files import as_database, is_url
from normlab.apps.ask.links import inferred_keys_of, is_named, links_of
from normlab.apps.ask.readings import added_tables, passed_over, ranked_readings, reading_of, with_example
from normlab.apps.ask.refusals import refuse_for_database, refuse_no_question
from normlab.data.sql.dictionary import Dictionary, dictionary_beside, read_dictionary
from normlab.data.sql.pairs import Pair, read_pairs, wrong_queries
from normlab.data.sql.sqlite import QueryError, QueryLimit, QueryResult, run_query
from normlab.engine.api import Run, load_run
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.registry import refuse_arguments
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.corrections.correcting import Correction, Corrector
from normlab.tasks.text2sql.corrections.missing_tables import with_missing_tables
from normlab.tasks.text2sql.inputs.encoding import Item
from normlab.tasks.text2sql.inputs.questions import questions_of
from normlab.tasks.text2sql.linking.linker import Linked
from normlab.tasks.text2sql.model.decoding import Answer as Decoded
from normlab.tasks.text2sql.model.decoding import decode
from normlab.tasks.text2sql.periods.spans import in_numbers
from normlab.tasks.text2sql.reranking import reranked

BEAM_SIZE, LIMIT, SECONDS = 8, 100, 10.0


class Database:
    """A database to be asked. Nothing of it is changed, and nothing is written beside it.

    Args:
        path: an SQLite or DuckDB file, a .csv, .tsv or .parquet file, a folder of these, or postgresql://...
        model: a run of text2sql, or its folder.
        beam_size: readings that are looked at.
        tables: names of the tables to ask about; all if there are none.
        contents: False reads names only, no cells, before a query runs.
        min_confidence: an answer of a lower confidence is not run; None: `MIN_CONFIDENCE` for a calibrated model.
        dictionary: a file of synonyms (`normlab.data.sql.dictionary`); None: PATH.normlab.yaml, if there is one.
        examples: a file of questions with their SQL (`normlab.data.sql.pairs`), beside those of the dictionary.

    Raises: UserError if the path holds no such thing, the model is of another task, or has no calibration for
        `min_confidence`, or the SQL of an example does not run.
    """

    def __init__(
        self,
        path: Path | str,
        model: Run | Path | str,
        *,
        beam_size: int = BEAM_SIZE,
        min_confidence: float | None = None,
        tables: Sequence[str] = (),
        contents: bool = True,
        dictionary: Path | str | None = None,
        examples: Path | str | None = None,
    ) -> None:
        self.model = model if isinstance(model, Run) else load_run(model)
        if self.model.task.name != "text2sql":
            raise UserError(f"{self.model.path} is a run of {self.model.task.name}: asking needs one of text2sql")
        if beam_size < 1:
            raise UserError(f"beam size {beam_size}: give 1 or more")
        self._calibration = calibration_of(self.model)
        if min_confidence and self._calibration is None:
            raise UserError(
                f"minimal confidence {min_confidence:g}: {self.model.path} was never calibrated: leave it out"
            )
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise UserError(f"minimal confidence {min_confidence:g}: give a number from 0 to 1")
        self._min_confidence = MIN_CONFIDENCE if min_confidence is None else min_confidence
        self._beam_size = beam_size
        self._resources = ExitStack()
        self.path = path if is_url(path) else Path(path)
        self._file, self.notes = as_database(self.path, self._resources, tables)
        card = self.model.folder.card()
        self._config = cast(Text2SqlConfig, self.model.config)
        # Training's databases are no business of this one.
        linking = self._config.linking if contents or self._config.linking != "cells" else "names"
        self._questions = questions_of({**card, "schemas": []}, self._file.parent, linking, everyday=True)
        self._known = {*card["words"]} if card.get("encoder") is None else None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            known_as = self._dictionary(None if dictionary is None else Path(dictionary))
            self._name = self._questions.add_database(self._file, tables, look_inside=contents, dictionary=known_as)
            self._questions.has_cells(self._name)  # now, not with the first question: it indexes them
            pairs = [*(known_as.examples if known_as else ()), *(read_pairs(Path(examples)) if examples else ())]
            self._examples = self._checked_examples(pairs)
        if unknown := self._questions.unknown_cells(self._name):
            self.notes.append(f"values of the dictionary that no cell has: {', '.join(unknown)}")
        self.notes += [str(warning.message).replace(f"{self._file}: ", "", 1) for warning in caught]
        self.schema = self._questions.schemas[self._name]
        self._corrector = Corrector(self._file, self.schema) if contents else None
        self._cell_rules = CellRules(self._file, self.run) if contents else None
        self.notes += inferred_keys_of(self.schema)
        if self._calibration is None:
            self.notes.append(NOT_CALIBRATED)

    def question(self, text: str, *, limit: int = LIMIT, seconds: float = SECONDS, run: bool = True) -> Answer:
        """Answer a question.

        Args:
            limit: most rows.
            seconds: deadline of the query.
            run: False only writes the query.
        Raises: UserError for what is no question, and where no query could be written.
        """
        refuse_no_question(text)
        read, told = in_numbers(text.capitalize() if text.isupper() else text)  # capitals all over say nothing of names
        linked = self._questions.link(read, self._name)
        example = self._examples.nearest(linked)
        if example is None:  # an example says what words mean that name nothing
            refuse_for_database(linked, self.schema, self._known, has_cells=self._questions.has_cells(self._name))
        item = self._questions.encode(read, self._name)[0]
        answers, refused = self._answers(item, linked)
        if not answers and example is None:
            why = f" ({refused[0].refusal}: {refused[0].sql})" if refused else ""
            raise UserError(f"no query could be written for this question{why}: ask it in other words")
        if example is None:
            correction = self._correct(answers[0], linked, item)
            ranked = ranked_readings(answers, correction, self._calibration)
        else:
            correction = Correction(example.sql, (example.note,))
            ranked = with_example([reading_of(one, self._calibration) for one in answers], example)
        looked = Looked(ranked)
        if self._cell_rules is not None:
            looked = self._cell_rules.look_at(ranked, lambda *column: is_named(linked, self.schema, *column))
        readings = looked.readings
        doubt = self._doubt(readings[0], linked)
        if looked.wrong:
            doubt = f"not run: {looked.wrong}: ask in other words"
        if correction.doubt:
            doubt = f"not run: {correction.doubt}: {correction.advice}"
        chosen, result, notes = (readings[0], None, [doubt] if doubt else [])
        if run and not doubt:
            chosen, result, notes = self._first_that_runs(readings, max(limit, COMPARED_ROWS), seconds)
        agreement = None
        compared = self._calibration.compared if self._calibration else None
        if compared and result is not None and chosen is readings[0] and chosen.confidence is not None:
            agreement = agreement_of(readings, result, self.run)
            if agreement is not None:
                chosen = replace(chosen, confidence=compared.confidence(chosen.probability, agreement))
                readings[0] = chosen
        notes = [
            *self._considered(item),
            *told,
            *([] if chosen.by_example else passed_over(refused, chosen)),
            *(added_tables(answers) if chosen is readings[0] and not chosen.by_example else []),
            *(correction.notes if chosen is readings[0] and not looked.passed_over else ()),
            *(looked.notes if chosen is readings[0] else ()),
            *(f"{how}: {sql}" for sql, how in correction.others),
            *notes,
        ]
        return Answer(
            question=text,
            sql=chosen.sql,
            probability=chosen.probability,
            confidence=chosen.confidence,
            withheld=bool(doubt),
            columns=result.columns if result else (),
            rows=result.rows[:limit] if result else [],
            truncated=bool(result and (result.truncated or len(result.rows) > limit)),
            readings=tuple(readings),
            links=tuple(links_of(linked, self.schema)),
            notes=tuple(notes),
            refused=tuple(f"{one.refusal}: {one.sql}" for one in refused),
            agreement=agreement,
        )

    def run(self, sql: str, *, limit: int = LIMIT, seconds: float = SECONDS) -> QueryResult:
        """Run a query on the database, read-only. Raises: QueryError; UserError if the file cannot be read."""
        return run_query(self._file, sql, seconds=seconds, max_rows=limit, max_cell=1_000_000)

    def close(self) -> None:
        """Remove what was made for this database."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _dictionary(self, path: Path | None) -> Dictionary | None:
        path = path or (dictionary_beside(self.path) if isinstance(self.path, Path) else None)
        if path is None:
            return None
        dictionary = read_dictionary(path)
        if self._config.linking == "cells":
            self.notes.append(f"synonyms of {path} are used")
            return dictionary
        self.notes.append(f"synonyms of {path} are used, but not those of values: the model links no cells")
        return dictionary.without_values()

    def _checked_examples(self, pairs: Sequence[Pair]) -> Examples:
        """Return what finds the example of a question. Raises: UserError for the first whose SQL does not run."""
        wrong = wrong_queries(pairs, self._file)
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise UserError(f"{wrong[0]}{more}: correct the example, or remove it")
        schema = self._questions.schemas[self._name]
        return Examples(pairs, lambda text: self._questions.link(in_numbers(text)[0], self._name), schema)

    def _answers(self, item: Item, linked: Linked) -> tuple[list[Decoded], list[Decoded]]:
        """Return the queries that may be run, and those that may not, best first."""
        model: Any = self.model.model
        [(_, answers)] = decode(
            model, [item], self._questions, self._config, self.model.placement, beam_size=self._beam_size
        )
        as_read, schema = self._questions.as_read(linked, item), self._questions.automaton(item).schema
        answers = reranked(as_read, schema, [with_missing_tables(one, as_read, schema) for one in answers])
        return [one for one in answers if not one.refusal], [one for one in answers if one.refusal]

    def _correct(self, best: Decoded, linked: Linked, item: Item) -> Correction:
        """Return what the rules make of the best query."""
        if self._corrector is None:
            return Correction(best.sql)
        part = self._questions.automaton(item).schema
        return self._corrector.correct(best.sql, best.actions, self._questions.as_read(linked, item), part)

    def _first_that_runs(
        self, readings: list[Reading], limit: int, seconds: float
    ) -> tuple[Reading, QueryResult | None, list[str]]:
        """Return the best reading that runs, its result, and why better ones were passed over."""
        notes: list[str] = []
        for reading in readings:
            try:
                return reading, self.run(reading.sql, limit=limit, seconds=seconds), notes
            except QueryLimit as error:  # says nothing against this reading: another one is no better answer
                return reading, None, [*notes, f"not run to its end ({error}): {reading.sql}"]
            except QueryError as error:
                notes.append(f"a better-ranked reading does not run ({error}): {reading.sql}")
        return readings[0], None, notes

    def _doubt(self, best: Reading, linked: Linked) -> str:
        """Return why the best reading is not run, "" if it is: its confidence, and what the words are nearest to."""
        if best.confidence is None or best.confidence >= self._min_confidence:
            return ""
        names = list(dict.fromkeys(link.name for link in links_of(linked, self.schema) if link.kind != "cell"))
        near = f"; nearest to its words: {', '.join(names[:6])}" if names else ""
        return (
            f"not run: its confidence is {best.confidence:.0%}, below {self._min_confidence:.0%}{near}: "
            "ask in other words, choose a reading, or lower --min-confidence"
        )

    def _considered(self, item: Item) -> list[str]:
        """Return what of a large schema the model has read."""
        part = self._questions.automaton(item).schema
        if len(part.tables) == len(self.schema.tables):
            return []
        count = f"{len(part.tables)} of {plural(len(self.schema.tables), 'table')} were considered"
        return [f"{count}: choose others with --tables", *inferred_keys_of(part)]


def ask(path: Path | str, model: Run | Path | str = "spider-sql", **options: Any) -> Database:
    """Open a database for questions with a model, by default the one that comes with normlab; see `Database`."""
    refuse_arguments("ask", Database, (path, model), options)
    return Database(path, model, **options)
