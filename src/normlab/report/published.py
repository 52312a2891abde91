"""What the sections on published results share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Published = Mapping[str, Sequence[tuple[str, float]]]
"""Label of a variant -> (source, value) of the published results for the same kind of network."""


def short_source(source: str) -> str:
    """Return a source's name for a narrow column: the owner of a repository, the letter of a report."""
    return source.split(" (")[0].replace("student report", "Report") if " " in source else source.split("/")[0]
