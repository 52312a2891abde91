"""Tag a file with a trained model; `python test_ner.py --help` lists the flags of the assignment."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["course", "test_ner", *sys.argv[1:]]))
