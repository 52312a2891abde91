"""Results of other programs as studies: `open_results` reads a file or folder, and all that reads studies reads these.

`table_file`, `columns` and `rows` take a CSV apart (`text_column` and `curves` hold what is long in it); `wandb`,
`tensorboard`, `mlflow` and `lightning` read what these programs write. Each gives `Training`s, of which `assemble`
makes a study whose cells lie in memory. A format is one module with `reads(path) -> bool` and
`read(path, asked) -> Reading`, and its name in `FORMATS`.
"""

from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.formats import FORMATS, is_results, open_results

__all__ = ["FORMATS", "Asked", "is_results", "open_results"]
