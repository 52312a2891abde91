"""`normlab ask DATABASE --learn PAIRS --out MODEL`: a model fine-tuned on one's own pairs."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path

from normlab.cli.parser import at_least
from normlab.errors import UserError
from normlab.plurals import plural


def learn_from(options: argparse.Namespace) -> int:
    """Learn, and show the held-out scores before and after."""
    if options.out is None:
        raise UserError("--learn: say --out MODEL, a new folder for the model")
    if options.question is not None or options.sql is not None or options.describe:
        raise UserError("--learn takes neither a question nor --sql nor --describe: leave them out")
    at_least(1, epochs=options.epochs)
    from normlab.apps.ask.confidence import NOT_CALIBRATED
    from normlab.apps.ask.files import as_database, is_url, shown
    from normlab.apps.ask.learning import learn
    from normlab.data.sql.pairs import read_pairs

    def say(line: str) -> None:
        print(f"normlab: {line}", file=sys.stderr)

    pairs = read_pairs(options.learn)
    with ExitStack() as resources:
        file, notes = as_database(options.database, resources)
        for note in notes:
            say(note)
        name = file.stem if is_url(options.database) else Path(options.database).stem
        learned = learn(
            file,
            pairs,
            options.out,
            model=options.model,
            epochs=options.epochs,
            name=name,
            say=say,
            quiet=options.json,
        )
    if options.json:
        scores = {"before": learned.before, "after": learned.after}
        print(json.dumps({"run": str(options.out), "held_out": learned.held_out, **scores}))
        return 0
    from normlab.metrics import title_of

    print(f"{plural(learned.held_out, 'question')} held out: before, after")
    for score, after in learned.after.items():
        print(f"  {title_of(score)}: {learned.before.get(score, 0):.0%}, {after:.0%}")
    print(NOT_CALIBRATED)
    print(f'ask by it: normlab ask {shown(options.database)} "..." --model {options.out}')
    return 0
