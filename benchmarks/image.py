"""`python benchmarks/image.py [--quick] [--json OUT]` is `normlab bench image`; see docs/performance.md."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "image", *sys.argv[1:]]))
