"""Words for more and less of something, and the words in names of columns that measure it: "cheapest" and price."""

from __future__ import annotations

MONEY = "price cost fee fare rate charge amount rent unitprice"
PAY = "salary wage pay income earnings"
EARNINGS = "revenue gross box turnover profit sales"
SCORES = "rating score stars points grade review"
QUALITIES: dict[str, tuple[str, bool]] = {
    **dict.fromkeys(("cheapest",), (MONEY, False)),
    **dict.fromkeys(("priciest", "dearest", "costliest", "expensive"), (MONEY, True)),
    **dict.fromkeys(("heaviest",), ("weight mass kg weightkg tonnage", True)),
    **dict.fromkeys(("lightest",), ("weight mass kg weightkg tonnage", False)),
    **dict.fromkeys(("tallest",), ("height elevation", True)),
    **dict.fromkeys(("fastest",), ("speed velocity", True)),
    **dict.fromkeys(("slowest",), ("speed velocity", False)),
    **dict.fromkeys(("longest",), ("length duration runtime minutes distance", True)),
    **dict.fromkeys(("shortest",), ("length duration runtime minutes distance height", False)),
    **dict.fromkeys(("richest", "wealthiest"), ("wealth revenue money fortune income", True)),
    **dict.fromkeys(("deepest",), ("depth", True)),
}
"""A superlative -> words in names of columns that measure it, and whether the largest is meant."""
COMPARED = {
    "cheaper": (MONEY, "<"),
    **dict.fromkeys(("dearer", "costlier", "pricier"), (MONEY, ">")),
    "heavier": ("weight mass kg weightkg tonnage", ">"),
    "lighter": ("weight mass kg weightkg tonnage", "<"),
    "taller": ("height elevation", ">"),
    "faster": ("speed velocity", ">"),
    "slower": ("speed velocity", "<"),
    "longer": ("length duration runtime minutes distance", ">"),
    "shorter": ("length duration runtime minutes distance height", "<"),
}
"""A comparative -> such words, and the comparison that it says."""
TIMES = {
    "oldest": False,
    "earliest": False,
    "eldest": False,
    "youngest": True,
    "newest": True,
    "latest": True,
    "recent": True,
    "recently": True,
}
GENERAL = {
    **dict.fromkeys(("highest", "largest", "greatest", "biggest", "most", "maximum", "longest", "top"), True),
    **dict.fromkeys(("lowest", "smallest", "least", "fewest", "minimum", "minimal", "shortest"), False),
}
BIRTH = {"birth", "born", "birthday", "birthdate", "dob", "birthyear"}
START = {
    "founded",
    "built",
    "established",
    "opened",
    "construction",
    "constructed",
    "created",
    "started",
    "foundation",
    "launched",
    "opening",
}
