"""Gold spelled as Spider spells it, so that more of other data sets' queries can be learned."""

from __future__ import annotations

import re
from itertools import groupby

from normlab.data.sql.pieces import is_code, pieces

_NAME = re.compile(r"[`\[]([^\W\d]\w*)[`\]]", re.ASCII)
_SIGNS = frozenset("<>=!")


def plainly_spelled(sql: str) -> str:
    """Return a query of the same meaning as Spider's parser reads it.

    INNER and comments go, so do quotes around names that need none; comparisons stand between spaces, `<>` as `!=`.
    BIRD writes `INNER JOIN t2 ON t1.`id` = t2.`id` WHERE a>5`.
    """
    kept: list[str] = []
    for is_sign, run in groupby(pieces(sql.strip().rstrip(";")), key=_SIGNS.__contains__):
        if is_sign:
            comparison = "".join(run)
            kept.append(f" {'!=' if comparison == '<>' else comparison} ")
        else:
            kept += map(_plain, run)
    return "".join(kept)


def _plain(piece: str) -> str:
    if piece.lower() == "inner" or not (is_code(piece) or piece.isspace()):
        return " "
    quoted = _NAME.fullmatch(piece)
    return quoted[1] if quoted else piece
