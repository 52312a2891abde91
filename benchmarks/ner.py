"""`python benchmarks/ner.py [--quick] [--json OUT]` is `normlab bench ner`; see docs/performance.md."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "ner", *sys.argv[1:]]))
