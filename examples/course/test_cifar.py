"""Classify images: `test_cifar.py --model_file M --normalization bn --n 2 --test_data_file T --output_file O`."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["course", "test_cifar", *sys.argv[1:]]))
