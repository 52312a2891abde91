"""Train a tagger; `python train_ner.py --help` lists the flags of the assignment."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["course", "train_ner", *sys.argv[1:]]))
