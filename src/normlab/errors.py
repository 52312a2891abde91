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
    """Return the mend for a wrong name: the nearest known one, or all of them.

    >>> did_you_mean("grop", ["group", "layer"])
    "did you mean 'group'? Known: group, layer"
    """
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}Known: {', '.join(names)}"
