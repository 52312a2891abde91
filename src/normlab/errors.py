"""What a user can get wrong, said in one line.

A `UserError` names the cause, the place and the mend. The command line prints it without a traceback and exits
with 2. Everything else that goes wrong is ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend. The message is one line: cause, place, mend."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return the mend for a wrong name: the nearest known one, and all of them if they are few.

    >>> did_you_mean("grop", ["group", "layer"])
    "did you mean 'group'? Known: group, layer"
    """
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if not near:
        return f"known: {', '.join(names)}"
    listing = f" Known: {', '.join(names)}" if len(names) <= _SHORT_LIST else ""
    return f"did you mean '{near[0]}'?{listing}"


_SHORT_LIST = 12
