"""What a claim may say in a study's YAML, and the refusal of what it may not.

    claims:
      - says: Our batch norm trains to the same accuracy as torch's.
        kind: equal
        a: {norm: batch}
        b: {norm: torch_batch}
        margin: 0.01
        source: "Ioffe & Szegedy 2015"

An operand names axis values. A list of values means "each of them", and so does an axis that the claim
leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import field_validator

from normlab.config import Config, option
from normlab.errors import UserError, did_you_mean
from normlab.metrics import higher_is_better
from normlab.norms import NORMS
from normlab.runs import RunState
from normlab.studies.claims.kinds import KINDS, ClaimKind
from normlab.studies.study import Study
from normlab.studies.tables import axis_values, known_metrics


class Claim(Config):
    """One statement about a study's cells."""

    says: str = option(help="the statement for people, in a sentence")
    kind: str = option(help=f"what is stated: {', '.join(KINDS)}")
    a: dict[str, Any] = option({}, "axis -> value, or a list of values that must each fulfil the claim")
    b: dict[str, Any] = option({}, "what `a` is compared with")
    where: dict[str, Any] = option({}, "axis values that both sides share")
    over: str | None = option(None, "insensitive, ordered: the axis whose values are compared")
    order: list[Any] = option([], "ordered: values of the axis `over`, best first")
    metric: str = option("test/accuracy", "name of a metric of the result, or of an epoch's record")
    margin: float = option(0.0, "smallest difference that matters; stable, spreads: a factor", ge=0)
    source: str = option(help="who says so: a paper, a report")

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(did_you_mean(kind, KINDS))
        return kind

    @property
    def definition(self) -> ClaimKind:
        """The record of its kind."""
        return KINDS[self.kind]


def parse_claims(study: Study) -> list[Claim]:
    """Return a study's claims, checked against its axes and, once a cell is finished, its metrics.

    Raises: UserError in one line, with the claim's number and the nearest known name.
    """
    claims: list[Claim] = []
    for claim in claims_or_mistakes(study):
        if isinstance(claim, UserError):
            raise claim
        claims.append(claim)
    return claims


def claims_or_mistakes(study: Study) -> list[Claim | UserError]:
    """Return each claim of a study, or the mistake in it: one mistake does not hide the other claims."""
    where = str(study.path / "study.json")
    metrics = known_metrics(study)
    return [_checked(study, raw, metrics, f"{where}: claim {number}") for number, raw in enumerate(study.claims, 1)]


def _checked(study: Study, raw: Mapping[str, Any], metrics: tuple[set[str], set[str]], where: str) -> Claim | UserError:
    try:
        claim = _read(raw, axis_values(study), where)
    except UserError as mistake:
        return mistake
    finals, epochs = metrics
    known = epochs if claim.definition.over_time else finals
    if claim.metric not in known and _has_results(study, claim):
        return UserError(f"{where}: unknown metric '{claim.metric}': {did_you_mean(claim.metric, sorted(known))}")
    return _with_direction_checked(claim, where) if claim.metric in known else claim


def _with_direction_checked(claim: Claim, where: str) -> Claim | UserError:
    """Return the mistake in a claim that one value is better, where nobody declared which way its metric points."""
    if claim.definition.directed:
        try:
            higher_is_better(claim.metric)
        except UserError as mistake:
            return UserError(f"{where}: {mistake}")
    return claim


def _has_results(study: Study, claim: Claim) -> bool:
    """Say whether a cell of the claim's first side is finished; until then its metrics are not known."""
    sides = [*claim.a.items(), *claim.where.items()]
    return any(
        cell.state is RunState.FINISHED and all(cell.values.get(axis) in values for axis, values in sides)
        for cell in study.finished()
    )


def read_claims(raw: Iterable[Mapping[str, Any]], axes: Mapping[str, Sequence[Any]], where: str) -> list[Claim]:
    """Check claims against a study's axes; `where` is the file that an error names.

    Raises: UserError for an unknown key, kind, axis or value, or for what a kind lacks.
    """
    return [_read(values, axes, f"{where}: claim {number}") for number, values in enumerate(raw, start=1)]


def _read(values: Mapping[str, Any], axes: Mapping[str, Sequence[Any]], where: str) -> Claim:
    claim = Claim.parse(values, where)
    _refuse_missing(claim, where)
    if claim.over is not None and claim.over not in axes:
        raise UserError(f"{where}: over: unknown axis '{claim.over}': {did_you_mean(claim.over, axes)}")
    order = _canonical({claim.over: claim.order}, axes, f"{where}: order")[claim.over] if claim.over else []
    checked = {side: _canonical(getattr(claim, side), axes, f"{where}: {side}") for side in ("a", "b", "where")}
    return claim.model_copy(update={**checked, "order": order})


def _refuse_missing(claim: Claim, where: str) -> None:
    kind = claim.definition
    for name in kind.needs:
        if not getattr(claim, name):
            raise UserError(f"{where}: kind '{kind.name}' needs '{name}' ({kind.states})")
    if kind.margin_above is not None and claim.margin <= kind.margin_above:
        raise UserError(f"{where}: kind '{kind.name}' needs a margin above {kind.margin_above:g} ({kind.states})")


def _canonical(operand: Mapping[str, Any], axes: Mapping[str, Sequence[Any]], where: str) -> dict[str, Any]:
    """Return an operand whose every value is a list of values that the study has."""
    lists: dict[str, Any] = {}
    for axis, value in operand.items():
        if axis not in axes:
            raise UserError(f"{where}: unknown axis '{axis}': {did_you_mean(axis, axes)}")
        lists[axis] = [_known(item, axis, axes, where) for item in (value if isinstance(value, list) else [value])]
    return lists


def _known(value: Any, axis: str, axes: Mapping[str, Sequence[Any]], where: str) -> Any:
    known = [_full_name(axis, item) for item in axes[axis]]
    name = _full_name(axis, value)
    if name not in known:
        raise UserError(f"{where}: no cell has {axis} '{value}': {did_you_mean(str(value), map(str, known))}")
    return name


def _full_name(axis: str, value: Any) -> Any:
    return NORMS.resolve(value) if axis == "norm" and value in NORMS else value
