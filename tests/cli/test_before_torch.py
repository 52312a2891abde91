"""A mistyped name or setting is told before torch is imported, which takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "train image --lr abc": "lr: input should be a valid number",
    "train image --config bad.yaml": "bad.yaml:1: unknown key 'epoch'",
    "study run absent.yaml": "absent.yaml",
    "tune absent.yaml": "absent.yaml: no such file",
    "predict cifar10-grup photo.png": "cifar10-group",
    "predict cifar10-group absent.png": "absent.png: no such file",
    "tag absent.txt": "absent.txt: no such file",
    "tag bad.yaml --model gmb-taggr": "gmb-tagger",
    "ask absent.sqlite hello": "no SQLite database at absent.sqlite",
    "ask absent.sqlite hello --model spider-sq": "spider-sql",
    "evaluate absent": "absent: no such folder",
    "resume absent": "absent: no such folder",
    "report absent": "absent: no such folder",
    "publish absent --out out": "absent: no such folder",
    "data check absent": "absent: no such file or folder",
}
RUN = """
import contextlib, importlib.abc, io, json, sys
class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            raise ImportError(name)
sys.meta_path.insert(0, NoTorch())
from normlab.cli import main
answers = {}
for command in json.loads(sys.argv[1]):
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(command.split())
        except SystemExit as exit:
            code = exit.code
        except ImportError as error:
            code = f"torch was wanted: {error}"
    answers[command] = [code, err.getvalue()]
print(json.dumps(answers))
"""


def test_what_is_wrong_with_a_name_or_a_setting_is_told_without_torch(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("epoch: 3\n")
    command = [sys.executable, "-c", RUN, json.dumps(list(COMMANDS))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)
    assert list(answers) == list(COMMANDS)
    for command_line, (code, told) in answers.items():
        assert code == 2, (command_line, code, told)
        assert COMMANDS[command_line] in told, (command_line, told)
        assert told.count("\n") == 1, (command_line, told)
