"""Write docs/performance.md from the records of `normlab bench all` in docs/performance, one for each processor.

python tools/performance_page.py                  write the page
python tools/performance_page.py --check          fail if it is out of date (a test does this)
python tools/performance_page.py RECORD PAGE      write another record's page, as `make bench` does

The page puts the goals of all processors side by side, then the tables of each. A record there has, beside what the
command writes, "processor", "date", "command" and "remark". What was said of one processor alone stands in
XEON_NOTES, ZEN_3_NOTES and ZEN_4_NOTES.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from normlab.bench.tables import goals, goals_side_by_side, markdown

DOCS = Path(__file__).resolve().parent.parent / "docs"

METHOD = """# How fast

Each part beside what one would take instead, and beside what the machine could do at most. The ratio is taken within a
round, in which baseline and normlab run in turn in one process; the tables give the median of the rounds with its
quartiles. Above 1, "times as fast" speaks for normlab; "times the time" is what something costs more than something.

- One thread is timed by the process's own CPU seconds, several by the wall clock.
- The share of the limit is the least time that the counted work needs, by the rates of a copy and of a matrix product
  measured in the same run, over the time that it took. Bytes are counted once per pass that needs them, operations are
  those of the products alone, as the definition has them: a convolution that needs fewer may exceed its limit. A copy
  within the caches sets the limit of maps that fit there.
- The course programs are written anew for these benchmarks (`bench/student_images.py`, `bench/student_tagger.py`): they
  differ from normlab in everything at once, so such a ratio is that of two ways of working, not of two kernels. They
  run in a process of their own, in turn with normlab's.
- This process keeps the memory that a step frees, as training does; all but the course programs gain from it alike.
- Rows of the norm layers differ in map, type and layout; the tables show a scheme's median, lowest and highest.
"""

HOW_TO_REPEAT = """
`make bench` writes the same tables for your machine to `runs/bench/`, in about four minutes. `normlab bench norms`,
`image`, `ner` and `sql` run one part; `--quick` tries them in a minute, `--threads` sets the threads, `--corpus`,
`--glove` and `--spider` take real data.
"""

XEON_NOTES = """## Why some goals are missed on the Xeon

- bfloat16 products in tiles (`kernels/conv/conv_tiles.h`) brought the step without a norm from 130 ms to between 65 and
  72 in this machine's fast moments, so a norm weighs twice. The seven schemes keep 1.25; of the later ones those
  that follow from each plane's numbers (switchable, batch renormalization, ghost batch, filter response, EvoNorm) or
  compute a function for each value (dynamic tanh, Derf) do not.
- A step of 128 images under batch norm takes 77 to 84 ms in such moments. Its products would take 19 to 52, by the
  rate of a large product, which itself varies between 0.39 and 1.04 TFLOP/s here; moving its maps once for each pass
  that needs them (435 MB at 10 to 14 GB/s) 32 to 43. What is left would need fewer passes: statistics in the
  convolution that writes a map, and normalization in the one that reads it. That is not built.
- Percentiles of every layer: the evaluation became faster and their counting did not, 134 million values in 70 ms.
- Layer-normalised LSTM: it keeps both normalised sums of each word for the backward pass; at 100 units it writes and
  reads 5 KB a word more than a plain one. Its products stay float32 under bfloat16, where nn.LSTM multiplies tiles:
  bfloat16 would put gradients 2 to 9 % off.
- Norm layers of small maps, 0.1 to 0.2 ms: Python's way to them costs some 10 µs more than a layer of torch's.
- Tagging, and training the tagger: both take nearly twice the time that they take on Zen 4; where it goes was not
  looked into.

"""

ZEN_3_NOTES = """## Why some goals are missed on Zen 3

- bfloat16: this processor has no such products, and training takes float32. Norm layers in bfloat16 are measured all
  the same; their maps are half as large, so what both sides pay for a call weighs twice.
- Norm layers: 8 of 336 rows lie below 0.97, and in three runs of the same hour others each time but for group norm of
  8x64x8x8. Where torch's operation is faster it is taken, and Python's way to either costs two microseconds more than
  to a layer of torch's (batch norm: nine less). It was nine more (batch norm: 11) when the Xeon and Zen 4 were
  measured.
- ResNet-14 against the course program: both are float32 here. Where bfloat16 doubles the rate, it counts for normlab
  alone, since the course program does not use it. Convolutions with fewer products than their definition has brought
  1.84 to 2.66 for batches of 128, and 1.83 to 2.38 for 8.
- Steps under batch renormalization, Derf and EvoNorm-S0: the step without a norm takes two thirds of the time that it
  took when these had their fast path, and what they cost stayed the same. It is small operations on numbers of each
  plane; Derf's is the error function.
- Scoring of text-to-SQL is Python for the most part, and takes three times as long as on Zen 4.

"""

ZEN_4_NOTES = """## Why some goals are missed on Zen 4

- Three times a loop over the steps, for the layer-normalised LSTM on one thread: the products alone take this machine a
  third of the loop's time, so the goal is the limit itself. Products in bfloat16 would be faster, and put gradients 2
  to 9 % off.
- Twenty times the course's tagger: a word costs 0.48 ms there and 31 µs here, of which a third are products at their
  limit; it would have to be 24.
- ResNet-14 at batch 8: its step runs at 64 % of the rate of the products, and three times the course program is 68 %.
  Backward convolutions are at the limit; what is left is a millisecond of small maps and calls.
- ResNet-14 at batch 128 meets its goal of three by the width of the noise: the image part run again gave 2.95, and
  2.89 at batch 8. The row of the percentiles is of that second run.
- Norm layers below 0.1 ms (batch 8, 16x16 and 8x8): both sides spend most of the time on autograd's calls, which are
  the same. The large float32 maps in NCHW wait for memory; [the diary](diary.md) has the kernels alone.

## Two threads on Zen 4

`normlab bench ner --threads 2 --corpus gmb --glove glove.6B.50d.subset.txt.gz` and `normlab bench image --threads 2`,
by the wall clock, on 2026-11-21, nothing else on the two cores. Waiting threads sleep after some tens of microseconds,
as normlab lets them where nothing else runs; those of the course programs do what libgomp does by default, which is
to spin.

| what | against | goal | one thread | two threads |
|---|---|---:|---:|---:|
| ResNet-14 training, batch norm, batch 128 | a course program | >= 3 | 3.11 | 3.41 |
| the same, batch 8 | a course program | >= 3 | 2.81 | **2.29** |
| any scheme's step, batch 128 and 8 | the step without normalization | <= 1.25 | 1.10 at most | 1.16 at most |
| layer-normalised LSTM | nn.LSTM | >= 1 | **0.96** | **0.99** |
| layer-normalised LSTM | a loop over the steps | >= 3 | **2.13** | 3.18 |
| CRF loss and gradient | pytorch-crf | >= 20 | 46 | 46 |
| CRF decoding | pytorch-crf | >= 30 | 69 | 72 |
| training the tagger | a course program | >= 20 | **15.7** | **13.6** |
| training the tagger, words a second | - | >= 12,000 a core | 32,400 | 40,600 |
| tagging, words a second | - | >= 50,000 on two cores | 61,900 | 81,800 |

## Not measured

- GPUs: every figure here is a CPU's. Seven schemes for 100 epochs of CIFAR-10 at batch 128 (goal: 120 s on an
  H200-class GPU) and the batch-8 study of batch and group norm (goal: 6 minutes): not measured.
- More than two threads.
"""


def page(record: dict[str, Any]) -> str:
    """Return a record's page as Markdown: how it was measured, the goals, the tables."""
    return "\n".join([METHOD, *_command(record), "## Goals", "", *goals(record), markdown(record)])


def published_page(records: list[dict[str, Any]]) -> str:
    """Return docs/performance.md: all processors' goals side by side, then each one's tables and the notes."""
    lines = [METHOD + HOW_TO_REPEAT, "## Goals", "", *goals_side_by_side(records)]
    for record in records:
        lines += [f"## {record['processor']}, {record['date']}", "", *_command(record)]
        lines += [markdown(record).replace("\n## ", "\n### ").replace("## ", "### ", 1)]
    return "\n".join([*lines, XEON_NOTES + ZEN_3_NOTES + ZEN_4_NOTES])


def _command(record: dict[str, Any]) -> list[str]:
    if not record.get("command"):
        return []
    return [f"Command: `{record['command']}`. {record.get('remark', '')}".strip(), ""]


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    if arguments and arguments != ["--check"]:
        record, target = map(Path, arguments)
        target.write_text(page(_read(record)), encoding="utf-8")
        return 0
    target = DOCS / "performance.md"
    records = [_read(path) for path in (DOCS / "performance").glob("*.json")]
    text = published_page(sorted(records, key=lambda record: record["date"], reverse=True))
    if not arguments:
        target.write_text(text, encoding="utf-8")
    elif not target.exists() or target.read_text(encoding="utf-8") != text:
        print(f"out of date: {target.name}; run `python tools/performance_page.py`", file=sys.stderr)
        return 1
    return 0


def _read(record: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return values


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
