"""The rules that correct a reading by what the question's words say, in their order.

The model was trained on other databases' questions; where it contradicts a plain word of the question ("older than"
written as <), the word decides. Each rule takes a query's clauses and returns others, or None where it has nothing to
say; all of them stay away from what they are not sure of. They are rules, no model: whoever uses them has to say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from normlab.tasks.text2sql.corrections.ages import by_age
from normlab.tasks.text2sql.corrections.by_superlative import sorted_by_superlative
from normlab.tasks.text2sql.corrections.clauses import Clauses, read_clauses
from normlab.tasks.text2sql.corrections.comparing import compared_as_said, measured_as_said, year_in_its_column
from normlab.tasks.text2sql.corrections.conditions import cells_compared, flagged, in_its_column
from normlab.tasks.text2sql.corrections.dates import by_their_days
from normlab.tasks.text2sql.corrections.durations import days_between
from normlab.tasks.text2sql.corrections.each_of_two import each_of_two
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.extreme_of_each import extreme_of_each
from normlab.tasks.text2sql.corrections.for_each import for_each, period_with_most
from normlab.tasks.text2sql.corrections.keys import by_its_key, in_direction, keys_by_verb, meant_keys, rival_keys
from normlab.tasks.text2sql.corrections.kind_of import of_kind
from normlab.tasks.text2sql.corrections.names_of_both import names_of_both
from normlab.tasks.text2sql.corrections.nth import nth
from normlab.tasks.text2sql.corrections.of_the_most import of_the_most
from normlab.tasks.text2sql.corrections.own_kind import by_own_kind
from normlab.tasks.text2sql.corrections.percentages import percentage
from normlab.tasks.text2sql.corrections.relating import with_most, without_any
from normlab.tasks.text2sql.corrections.sold import as_sold
from normlab.tasks.text2sql.corrections.sorting import sorted_as_said
from normlab.tasks.text2sql.corrections.subject import each_once, shown_by_name
from normlab.tasks.text2sql.corrections.than_a_row import than_a_row
from normlab.tasks.text2sql.corrections.without_value import without_value
from normlab.tasks.text2sql.grammar.automaton import Action, word

Rule = Callable[[Clauses, Evidence], Clauses | None]
RULES: Mapping[str, Rule] = {
    "things of a kind": of_kind,
    "rows without any of another table": without_any,
    "rows without a value, or with one": without_value,
    "rows with the most of another table": with_most,
    "one row for each": for_each,
    "the month with the most": period_with_most,
    "yes or no": flagged,
    "the column of a value": in_its_column,
    "a number for each of two values": each_of_two,
    "a value of the question": cells_compared,
    "rows of the same table": by_own_kind,
    "the direction of a value": in_direction,
    "several keys to one table": by_its_key,
    "the column of a year": year_in_its_column,
    "the column of a comparison": measured_as_said,
    "the way of a comparison": compared_as_said,
    "the order of a list": sorted_as_said,
    "the most or the least": sorted_by_superlative,
    "what is sold and what is left": as_sold,
    "rows of the most or the least": of_the_most,
    "a comparison with another row": than_a_row,
    "the most or the least of each group": extreme_of_each,
    "what is shown": shown_by_name,
    "names of both tables": names_of_both,
    "each row once": each_once,
    "ages by dates of birth": by_age,
    "days from start to end": days_between,
    "the n-th": nth,
    "a percentage": percentage,
    "the order of dates": by_their_days,
}
"""What a rule is about, for the note, and the rule."""


@dataclass(frozen=True)
class Corrected:
    """A query after the rules.

    Attributes:
        actions: complete.
        changed: what the rules that changed it are about.
        keys: referring columns of the keys that its joins have to take.
        rivals: referring columns of all keys of which a join takes one.
        out_of, told, doubt: as in `Clauses`.
    """

    actions: list[Action]
    changed: tuple[str, ...] = ()
    keys: tuple[int, ...] = ()
    rivals: tuple[int, ...] = ()
    out_of: Clauses | None = None
    told: tuple[str, ...] = ()
    doubt: str = ""


def corrected(actions: Sequence[Action], evidence: Evidence, rules: Mapping[str, Rule] = RULES) -> Corrected:
    """Return a complete query after all rules."""
    clauses, changed = read_clauses(actions), []
    if clauses is None:
        return _set_operation(actions, evidence)
    for name, rule in rules.items():
        after = rule(clauses, evidence)
        if after is not None and after != clauses:
            clauses = after
            changed.append(name)
    keys = tuple(dict.fromkeys(key for _, key in meant_keys(clauses, evidence)))
    rivals = tuple(child for child, _ in rival_keys(clauses, evidence.schema))
    keys = keys_by_verb(clauses, evidence) if not keys else keys if len(keys) == 1 else ()
    about = (clauses.out_of, clauses.told, clauses.doubt)
    return Corrected(clauses.actions(), tuple(changed), keys, rivals, *about)


def _set_operation(actions: Sequence[Action], evidence: Evidence) -> Corrected:
    """All keys EXCEPT those referred to say nothing that a reader knows: the rule for such rows shows names."""
    clauses = without_any(Clauses((), ()), evidence) if word("except") in actions else None
    if clauses is None:
        return Corrected(list(actions))
    return Corrected(clauses.actions(), ("rows without any of another table",))
