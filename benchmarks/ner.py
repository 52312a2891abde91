"""Compare the tagger's training, tagging and parts with the usual ways of writing them, in one process.

Each row runs A (the baseline) and B (normlab) in turn, so that what else the machine does hits both; the ratio is
the median of the rounds' ratios A / B (above 1: normlab is faster), with its quartiles. Times are the process's own
CPU seconds, divided by the threads.

    python benchmarks/ner.py --rounds 7 --json out.json
    python benchmarks/ner.py --parts step --data FOLDER --glove FILE      real sentences are longer than made-up ones

step    a whole training step on made-up text: normlab's batches, characters and kernels, against a baseline as courses
        write it: a table of all GloVe words updated by dense Adam, batches in file order, characters of every padded
        word, a layer-normalised LSTM cell in a Python loop, a CRF in a Python loop (pytorch-crf)
lazy    Adam over a table of word vectors: dense (fused) against only the rows of the batch
lstm    the layer-normalised LSTM against nn.LSTM (which normalises nothing) and against the Python loop
crf     loss with gradient, and decoding, against pytorch-crf
tagging words per second of `predict` on a text file, after the model is loaded; one row, nothing to compare with
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchcrf import CRF

from normlab.engine.lazy_adam import LazyAdam
from normlab.engine.optim import build_optimizer
from normlab.engine.rng import initialise
from normlab.nn import LayerNormLSTM, LinearChainCRF
from normlab.tasks.base import Placement
from normlab.tasks.ner.config import SETTINGS, NerConfig
from normlab.tasks.ner.data import NerData, prepare, training_batches
from normlab.tasks.ner.generated import generated_sentences
from normlab.tasks.ner.task import TASK

PARTS = ("step", "lazy", "lstm", "crf", "tagging")
CPU = Placement(torch.device("cpu"))
TAGS = 17
Step = Callable[[], object]


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    machine = {"machine": cpu_name(), "threads": options.threads, "torch": torch.__version__}
    print(f"{machine['machine']}, {options.threads} thread(s), torch {torch.__version__}")
    makers = {"step": step_rows, "lazy": lazy_rows, "lstm": lstm_rows, "crf": crf_rows, "tagging": tagging_rows}
    rows = []
    for part in options.parts:
        for row in makers[part](options):
            rows.append({"part": part, **row})
            print(text(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({**machine, "rows": rows}, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="training steps in one round of `step`")
    parser.add_argument("--rows", type=int, default=400_000, help="word vectors of the baseline and of `lazy`")
    parser.add_argument("--batch", type=int, default=32, help="sentences in a batch")
    parser.add_argument("--data", default="generated", help="corpus of `step` and `tagging`")
    parser.add_argument("--glove", default="generated", help="its word vectors")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    return parser.parse_args()


# The training step.


def step_rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per way of updating the table: the published course recipe against ours."""
    config, data = corpus(options)
    ours = OurSteps(config, data, options.steps)
    baseline = BaselineSteps(config, data, options.steps, options.rows)
    row = compare(baseline, ours, options.rounds, options.threads)
    words = (baseline.words / options.steps, ours.words / options.steps)
    # Both step through as many sentences; their lengths differ with the batches, so words per second are compared.
    row["ratio"], row["low"], row["high"] = (row[key] * words[1] / words[0] for key in ("ratio", "low", "high"))
    speeds = [words[side] * options.steps * 1e3 / row[key] for side, key in enumerate(("baseline_ms", "normlab_ms"))]
    yield {
        "what": f"training, {options.batch} sentences a step, {options.rows:,} words in the baseline's table",
        **row,
        "baseline_words_per_second": round(speeds[0]),
        "normlab_words_per_second": round(speeds[1]),
    }


def corpus(options: argparse.Namespace) -> tuple[NerConfig, NerData]:
    """Return all parts of the tagger switched on, and the corpus to train it on."""
    settings = {"data": options.data, "glove": options.glove, "batch_size": options.batch}
    config = SETTINGS.make("full", settings, "bench")
    assert isinstance(config, NerConfig)
    return config, prepare(config)


class OurSteps:
    """Some steps of normlab's own training on real batches of the task, all parts on."""

    def __init__(self, config: NerConfig, data: NerData, steps: int) -> None:
        self.config, self.data, self.steps = config, data, steps
        self.model = TASK.build(config, data.card)
        initialise(self.model, 0)
        self.optimizer = build_optimizer(self.model, config)
        self.words = 0
        self.epoch = 0
        self.batches = iter(())  # type: Iterator[Any]

    def __call__(self) -> None:
        self.words = 0
        for _ in range(self.steps):
            batch = self._next()
            self.words += int(batch.lengths.sum())
            loss = TASK.loss(self.model, batch, self.config).loss
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def _next(self) -> Any:
        batch = next(self.batches, None)
        if batch is None:
            self.epoch += 1
            self.batches = training_batches(self.config, self.data, self.epoch, CPU)
            batch = next(self.batches)
        return batch


class BaselineSteps:
    """The same network as courses write it; what it does slowly is what it is here for."""

    def __init__(self, config: NerConfig, data: NerData, steps: int, table: int) -> None:
        self.split, self.steps, self.batch = data.splits["train"], steps, config.batch_size
        self.letters = nn.Embedding(len(data.card["characters"]) + 2, config.char_dim, padding_idx=0)
        self.table = nn.Embedding(table, data.card["embedding_dim"], padding_idx=0)
        self.reader = NaiveBiLSTM(config.char_dim, config.char_hidden)
        self.tagger = NaiveBiLSTM(self.table.embedding_dim + 2 * config.char_hidden, config.hidden)
        self.linear = nn.Linear(2 * config.hidden, len(data.card["classes"]))
        self.crf = CRF(len(data.card["classes"]), batch_first=True)
        parts = nn.ModuleList([self.letters, self.table, self.reader, self.tagger, self.linear, self.crf])
        self.optimizer = torch.optim.Adam(parts.parameters(), lr=1e-3)
        self.words = 0
        self.place = 0

    def __call__(self) -> None:
        self.words = 0
        for _ in range(self.steps):
            rows = np.arange(self.place, self.place + self.batch) % len(self.split)
            self.place += self.batch
            batch = self.split.batch(rows)
            assert batch.tags is not None
            assert batch.characters is not None
            assert batch.spelling is not None
            self.words += int(batch.lengths.sum())
            size = batch.words.shape
            spelled = batch.characters[batch.spelling].flatten(0, 1)  # every padded word is read
            hidden = self.reader(self.letters(spelled).transpose(0, 1))
            half = hidden.shape[-1] // 2
            last = torch.cat([hidden[-1, :, :half], hidden[0, :, half:]], dim=-1).view(*size, -1)
            features = F.dropout(torch.cat([self.table(batch.words), last], dim=-1), 0.5)
            emissions = self.linear(self.tagger(features.transpose(0, 1)).transpose(0, 1))
            loss = -self.crf(emissions, batch.tags, batch.mask, reduction="mean")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


class NaiveBiLSTM(nn.Module):
    """A layer-normalised LSTM, both directions, a step and a direction at a time; (T, B, D) -> (T, B, 2 H)."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.inputs = nn.ModuleList(nn.Linear(size, 4 * hidden) for _ in range(2))
        self.recurrent = nn.ModuleList(nn.Linear(hidden, 4 * hidden) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(n) for _ in range(2) for n in (4 * hidden, 4 * hidden, hidden))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._run(x, 0), self._run(x.flip(0), 1).flip(0)], dim=-1)

    def _run(self, x: Tensor, way: int) -> Tensor:
        h = c = x.new_zeros(x.shape[1], self.hidden)
        norm_x, norm_h, norm_c = self.norms[3 * way : 3 * way + 3]
        outputs = []
        for x_t in x:
            gates = norm_x(self.inputs[way](x_t)) + norm_h(self.recurrent[way](h))
            i, f, g, o = gates.chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * norm_c(c).tanh()
            outputs.append(h)
        return torch.stack(outputs)


# The parts.


def lazy_rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Adam over a large table, 700 words a step."""
    for size in (options.rows // 16, options.rows):
        words = torch.randint(size, (700,))

        def stepped(sparse: bool, size: int = size, words: Tensor = words) -> Step:
            table = nn.Embedding(size, 100, sparse=sparse)
            parameters = table.parameters()
            optimizer = LazyAdam(parameters) if sparse else torch.optim.Adam(parameters, fused=True)

            def step() -> None:
                optimizer.zero_grad(set_to_none=True)
                table(words).square().sum().backward()
                optimizer.step()

            return step

        row = compare(stepped(False), stepped(True), options.rounds, options.threads)
        yield {"what": f"Adam over {size:,} x 100, dense (fused) against lazy", **row}


def lstm_rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Forward and backward, 150 -> 100, both directions, 22 words."""
    x = torch.randn(22, options.batch, 150, requires_grad=True)
    ours = trained(LayerNormLSTM(150, 100, bidirectional=True), x)
    baselines = {
        "nn.LSTM (no normalization)": trained(nn.LSTM(150, 100, bidirectional=True), x),
        "layer-normalised Python loop": trained(NaiveBiLSTM(150, 100), x),
    }
    for name, baseline in baselines.items():
        yield {"what": f"LSTM against {name}", **compare(baseline, ours, options.rounds, options.threads)}
    plain = trained(LayerNormLSTM(150, 100, bidirectional=True, layer_norm=False), x)
    row = compare(baselines["nn.LSTM (no normalization)"], plain, options.rounds, options.threads)
    yield {"what": "LSTM without normalization against nn.LSTM", **row}


def trained(layer: nn.Module, x: Tensor) -> Step:
    def step() -> object:
        found = layer(x)
        output = found[0] if isinstance(found, tuple) else found
        return torch.autograd.grad(output.sum(), [x, *layer.parameters()])

    return step


def crf_rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Loss with gradient, and decoding, 17 tags, ragged sentences of up to 30 words."""
    ours, theirs = LinearChainCRF(TAGS), CRF(TAGS, batch_first=True)
    emissions = torch.randn(options.batch, 30, TAGS, requires_grad=True)
    tags = torch.randint(TAGS, (options.batch, 30))
    mask = torch.arange(30) < torch.randint(8, 31, (options.batch, 1))

    def gradients(crf: nn.Module, loss: Callable[[], Tensor]) -> Step:
        return lambda: torch.autograd.grad(loss(), [emissions, *crf.parameters()])

    row = compare(
        gradients(theirs, lambda: -theirs(emissions, tags, mask)),
        gradients(ours, lambda: ours.nll(emissions, tags, mask, reduction="sum")),
        options.rounds,
        options.threads,
    )
    yield {"what": "CRF loss and gradient against pytorch-crf", **row}
    with torch.no_grad():
        decode = compare(
            lambda: theirs.decode(emissions, mask),
            lambda: ours.viterbi(emissions, mask),
            options.rounds,
            options.threads,
        )
    yield {"what": "Viterbi decoding against pytorch-crf", **decode}


def tagging_rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Words per second of a text file, all parts on; untrained weights, which changes no time."""
    config, data = corpus(options)
    model = TASK.build(config, data.card)
    initialise(model, 0)
    model.eval()
    sentences = [" ".join(sentence.words) for sentence in generated_sentences("train")] * 10
    speeds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text("\n".join(sentences) + "\n")
        for _ in range(max(2, options.rounds // 2)):
            start = time.process_time()
            words = sum(len(record["words"]) for record in TASK.predict(model, path, config, data.card, CPU))
            speeds.append(words * options.threads / (time.process_time() - start))
    yield {
        "what": f"tagging {words:,} words of text, reading to records",
        "normlab_words_per_second": round(statistics.median(speeds)),
        "lowest": round(min(speeds)),
        "highest": round(max(speeds)),
    }


# Measuring.


def compare(first: Step, second: Step, rounds: int, threads: int) -> dict[str, Any]:
    """Time both in turn; return the medians in milliseconds of a thread and the ratio's quartiles."""
    seconds(first, 1), seconds(second, 1)  # first calls allocate and compile
    repeats = [max(1, int(0.02 / max(seconds(step, 1), 1e-6))) for step in (first, second)]
    pairs = [(seconds(first, repeats[0]), seconds(second, repeats[1])) for _ in range(rounds)]
    low, ratio, high = statistics.quantiles([a / b for a, b in pairs], n=4)
    a, b = (statistics.median(times) * 1e3 / threads for times in zip(*pairs, strict=True))
    return {"baseline_ms": round(a, 4), "normlab_ms": round(b, 4), "ratio": ratio, "low": low, "high": high}


def seconds(step: Step, repeat: int) -> float:
    """Return CPU seconds of the process per call: other processes on the machine do not count."""
    start = time.process_time()
    for _ in range(repeat):
        step()
    return (time.process_time() - start) / repeat


def cpu_name() -> str:
    """Return the processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def text(row: dict[str, Any]) -> str:
    if "ratio" not in row:
        return f"{row['what']:62} {row['normlab_words_per_second']:,} words/s [{row['lowest']:,}, {row['highest']:,}]"
    line = (
        f"{row['what']:62} baseline {row['baseline_ms']:9.3f} ms  normlab {row['normlab_ms']:9.3f} ms  "
        f"ratio {row['ratio']:6.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    )
    if "normlab_words_per_second" in row:
        line += f"  words/s {row['baseline_words_per_second']:,} and {row['normlab_words_per_second']:,}"
    return line


if __name__ == "__main__":
    main()
