"""`python -m normlab.cli`, where the script is not on the path."""

import sys

from normlab.cli import main

sys.exit(main())
