"""Train an image classifier: `python train_cifar.py --normalization bn --data_dir D --output_file M --n 2`."""

import sys

from normlab.cli import main

if __name__ == "__main__":
    sys.exit(main(["course", "train_cifar", *sys.argv[1:]]))
