"""Claims in a file of their own, for results that have no study file: YAML with a list `claims`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from normlab.errors import UserError, did_you_mean
from normlab.yaml_file import read_yaml


def read_claims_file(path: Path) -> list[dict[str, Any]]:
    """Return the claims as plain values, as they stand in a study file.

    Raises: UserError naming the file if it has no list of claims.
    """
    values = read_yaml(path)
    for key in values:
        if key != "claims":
            raise UserError(f"{path}:{values.lines[key]}: unknown key '{key}': {did_you_mean(str(key), ['claims'])}")
    claims = values.get("claims")
    if not isinstance(claims, list) or not all(isinstance(claim, dict) for claim in claims):
        raise UserError(f"{path}: expected `claims:` and below it a list of claims (docs/studies.md)")
    return claims
