"""`python -m normlab`, and `torchrun -m normlab`, where the script is not on the path."""

import sys

from normlab.cli import main

sys.exit(main())
