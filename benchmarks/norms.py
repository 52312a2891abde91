"""`python benchmarks/norms.py [--quick] [--json OUT]` is `normlab bench norms`; see docs/performance.md."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "norms", *sys.argv[1:]]))
