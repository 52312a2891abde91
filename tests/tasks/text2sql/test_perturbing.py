"""Questions said differently: what every rule must keep, each rule's examples, and the measurement of a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import normlab
from normlab.cli import main
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import find_database
from normlab.data.sql.toy import write_toy
from normlab.data.text.word_forms import stem, words_of
from normlab.errors import UserError
from normlab.tasks.text2sql.linking.linker import Linker
from normlab.tasks.text2sql.perturbing import KINDS
from normlab.tasks.text2sql.perturbing.rules import perturb
from normlab.tasks.text2sql.perturbing.sentence import Sentence, sentence_of
from normlab.tasks.text2sql.perturbing.word_list import SYNONYMS

NAMES = (("singer", ("name", "age", "country", "title")), ("concert", ("concert name", "price", "hall type")))
SCHEMA = Schema.from_entry(
    {
        "db_id": "music",
        "table_names": [table for table, _ in NAMES],
        "table_names_original": [table for table, _ in NAMES],
        "column_names": [[-1, "*"], *([at, name] for at, (_, names) in enumerate(NAMES) for name in names)],
        "column_names_original": [
            [-1, "*"],
            *([at, name.replace(" ", "_")] for at, (_, names) in enumerate(NAMES) for name in names),
        ],
        "column_types": ["text"] * (1 + sum(len(names) for _, names in NAMES)),
        "primary_keys": [],
        "foreign_keys": [],
    }
)
LINKER = Linker(SCHEMA)
QUESTIONS = (
    ("What are the names of all singers from France?", "SELECT name FROM singer WHERE country = 'France'"),
    (
        'Show the price of a concert called "Big Night" in 2014.',
        "SELECT price FROM concert WHERE concert_name = 'Big Night'",
    ),
    ("List the singers in descending order of age.", "SELECT name FROM singer ORDER BY age DESC"),
    ("Please count the concerts for each hall type", "SELECT count(*), hall_type FROM concert GROUP BY hall_type"),
    ("how many singers are older than 20 or have a dog as an animal", "SELECT count(*) FROM pets WHERE kind = 'dog'"),
    ("Which singer's title is Dr. or contains 'Mr'?", "SELECT name FROM singer WHERE title LIKE '%Mr%'"),
)


def sentence(question: str, gold: str = "SELECT name FROM singer") -> Sentence:
    return sentence_of(LINKER.link(question), SCHEMA, gold)


def words(text: str | None) -> list[str]:
    return words_of(text or "")


@pytest.mark.parametrize("kind", KINDS)
@given(case=st.sampled_from(QUESTIONS), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_a_rule_is_a_function_of_question_and_seed_and_never_returns_the_question(
    kind: str, case: tuple[str, str], seed: int
) -> None:
    first = perturb(kind, sentence(*case), seed)
    assert first == perturb(kind, sentence(*case), seed)
    assert first != case[0]
    assert first is None or words(first)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "values"])
@given(case=st.sampled_from(QUESTIONS), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_constants_stay_as_they_are(kind: str, case: tuple[str, str], seed: int) -> None:
    before = sentence(*case)
    changed = perturb(kind, before, seed)
    if changed is not None:
        for start, end in before.constants:
            assert case[0][start:end] in changed
        numbers = [word for word in words(case[0]) if word.isdigit()]
        assert [word for word in words(changed) if word.isdigit()] == numbers


@given(case=st.sampled_from(QUESTIONS), seed=st.integers(0, 10**6))
def test_values_changes_constants_only(case: tuple[str, str], seed: int) -> None:
    before = sentence(*case)
    changed = perturb("values", before, seed)
    if changed is None:
        assert not before.constants
    else:
        start, end = before.constants[0][0], before.constants[-1][1]
        assert changed.startswith(case[0][:start])
        assert changed.endswith(case[0][end:])


@given(case=st.sampled_from(QUESTIONS), seed=st.integers(0, 10**6))
def test_typos_change_one_or_two_words_by_one_edit_each(case: tuple[str, str], seed: int) -> None:
    changed = perturb("typos", sentence(*case), seed)
    pairs = zip(words(case[0]), words(changed), strict=True)
    different = [(old, new) for old, new in pairs if old != new]
    assert 1 <= len(different) <= 2
    assert all(old[0] == new[0] and abs(len(old) - len(new)) <= 1 for old, new in different)


def test_another_seed_makes_other_typos() -> None:
    assert len({perturb("typos", sentence(QUESTIONS[0][0]), seed) for seed in range(20)}) > 5


@pytest.mark.parametrize(
    ("kind", "question", "expected"),
    [
        ("synonyms", "How many singers are there?", "How many vocalists are there?"),
        ("synonyms", "Show the country of each concert", "Show the nation of each gig"),
        ("synonyms", "How many dogs are there?", None),  # names nothing in the schema
        ("names", "What are the names of all singers?", "Which are all the singers?"),
        ("names", "Show the singers whose age is greater than 20.", "Show the singers who are older than 20."),
        ("names", "List singers in descending order of age.", "List singers from the oldest to the youngest."),
        (
            "names",
            "Find the price of concerts with concert name 'Big Night'.",
            "Find the price of concerts called 'Big Night'.",
        ),
        ("names", "How many concerts took place in the country France?", "How many concerts took place in France?"),
        ("names", "Which singers live in the country that is largest?", None),
        ("names", "How many singers are there?", None),
        ("order", "List singers in descending order of age.", "In descending order of age, list singers."),
        ("order", "Count the concerts for each hall type", "For each hall type, count the concerts"),
        ("order", "Please list all singers.", "List all singers."),
    ],
)
def test_rules_by_example(kind: str, question: str, expected: str | None) -> None:
    found = {perturb(kind, sentence(question), seed) for seed in range(12)}
    assert expected in found if kind == "synonyms" and expected else found == {expected}


def test_a_value_gets_another_case_or_number() -> None:
    found = {
        perturb("values", sentence("Who has the pet dog?", "SELECT 1 FROM t WHERE x = 'dog'"), s) for s in range(20)
    }
    assert found == {f"Who has the pet {form}?" for form in ("DOG", "Dog", "dogs")}


def test_a_synonym_never_names_another_item_of_the_schema() -> None:
    # "heading" of "title" would be sound, but no synonym may hold a word of a name: "concert" -> "live show"
    for question, gold in QUESTIONS:
        for seed in range(20):
            changed = perturb("synonyms", sentence(question, gold), seed)
            added = set(words(changed)) - set(words(question)) if changed else set()
            assert not {stem(word) for word in added} & SENTENCE_STEMS


SENTENCE_STEMS = sentence("singers").schema_stems


def test_the_word_list_holds_everyday_words_and_no_word_for_itself() -> None:
    assert len(SYNONYMS) >= 150
    assert all(word not in others and all(other.strip() for other in others) for word, others in SYNONYMS.items())


def test_an_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'typos'"):
        perturb("typo", sentence("How many singers?"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("perturbed")
    data = str(write_toy(root / "toy").root)
    flags = {"preset": "smoke", "epochs": 1, "hidden": 16, "threads": 1, "beam_size": 2}
    return normlab.train("text2sql", out=root / "run", data=data, **flags).path


def test_the_verb_measures_the_same_questions_twice_and_leaves_the_runs_predictions(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "predictions" / "test.csv").read_bytes()
    command = ["evaluate", str(run), "--perturb", "typos", "--every", "2"]
    assert main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    found = answer["tables"]["perturbation"]
    rows = before.count(b"\n") - 1
    assert found["questions"] == (rows + 1) // 2
    assert 0 < found["changed"] <= found["questions"]
    assert (
        set(found["as_they_stand"]) == set(found["said_differently"]) == {"exact_match", "execution", "execution_sound"}
    )
    lines = (Path(answer["out"]) / "predictions.csv").read_text().splitlines()
    assert Path(answer["out"]).name == "test_typos-0_every-2"
    assert len(lines) == found["changed"] + 1
    right = [line.split(",")[2:4] for line in lines[1:]]
    assert right.count(["1", "0"]) == found["lost"]
    assert right.count(["0", "1"]) == found["gained"]
    assert sum(int(one) for one, _ in right) / len(right) == pytest.approx(found["as_they_stand"]["execution_sound"])
    assert (run / "predictions" / "test.csv").read_bytes() == before
    assert main(command) == 0
    assert f"{found['changed']} of {found['questions']} questions changed" in capsys.readouterr().out


def test_corrected_answers_are_those_that_predict_writes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--perturb", "order", "--corrected", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    out = Path(answer["out"])
    assert out.name == "test_order-0_corrected"
    assert answer["tables"]["perturbation"]["corrected"]
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    databases = run.parent / "toy" / "database"
    asked = [{"question": row["question"], "database": str(find_database(databases, row["db_id"]))} for row in rows]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
    assert main(["predict", str(run), str(tmp_path / "asked.jsonl"), "--out", str(tmp_path / "said.jsonl")]) == 0
    said = [json.loads(line)["sql"] for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert [" ".join(sql.split()) for sql in said] == [row["prediction"] for row in rows]


def test_other_data_than_the_runs_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_toy(tmp_path / "toy", seed=1).root
    assert main(["evaluate", str(run), "--perturb", "typos", "--data", str(other)]) == 2
    assert "than the run was trained with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--perturb", "typo"], "did you mean 'typos'"),
        (["--perturb", "typos", "--every", "0"], "--every 0: give 1 or more"),
        (["--perturb", "typos", "--seed", "-1"], "--seed -1: give 0 or more"),
        (["--seed", "3"], "--seed: does nothing without --perturb"),
        (["--corrected"], "--corrected: does nothing without --perturb"),
        (["--perturb", "typos", "--official", "x.py"], "exclude each other"),
    ],
)
def test_a_mistake_is_one_line(run: Path, flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), *flags]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.strip().count("\n") == 0
