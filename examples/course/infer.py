"""Predict with a trained model: `python infer.py -model_file M -test_data_file T -output_file O`."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["course", "infer", *sys.argv[1:]]))
