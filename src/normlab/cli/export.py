"""The verb `export`: a trained model in another program's format."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from normlab.cli.parser import add_verb
from normlab.errors import UserError


def _add_export(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "export", "write a trained model as ONNX, as a torch program, or as one file", _export)
    parser.add_argument("run_folder", type=Path, metavar="RUN")
    parser.add_argument(
        "--to", required=True, choices=["onnx", "torch", "safetensors"], help="onnx and torch: image models and taggers"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def _export(options: argparse.Namespace) -> int:
    from normlab.apps.export import export
    from normlab.engine.api import load_run

    if options.out.is_dir():
        raise UserError(f"{options.out}: is a folder, where a file is wanted: give a file in it")
    written = export(load_run(options.run_folder, device="cpu"), options.to, options.out)
    if options.json:
        print(json.dumps(asdict(written)))
        return 0
    print(f"{written.path}: {written.format}")
    if written.compared:
        print(f"equals the model on {written.compared}: outputs differ by {written.largest_difference:.2g} at most")
        print(f"a batch on one thread: {written.seconds:.3f} s, torch {written.torch_seconds:.3f} s")
    return 0


VERBS = (_add_export,)
