"""Words of a question that by themselves name no cell and no column."""

from __future__ import annotations

import re

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about all along also an and any are as at be been being both but by can could did do does each either every
        find for from get give given had has have having her hers him his how i if in into is it its itself just let
        list many me more most much my nor not of on one only or other our out over own please return same several
        she show so some such tell than that the their them then there these they this those through to too under up
        us was we were what when where which while who whom whose why will with within would you your he
        display count different distinct s t
        """,
    )
)
