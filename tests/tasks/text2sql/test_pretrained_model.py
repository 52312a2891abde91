"""The network over a pretrained encoder, on a tiny BERT made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pretrained import write_bert

from normlab.engine.api import load_run, train
from normlab.tasks.text2sql.config import SETTINGS, Text2SqlConfig
from normlab.tasks.text2sql.inputs.data import make_batch
from normlab.tasks.text2sql.model.network import gold_losses
from normlab.tasks.text2sql.task import TASK

pytest.importorskip("transformers", reason="the extra bert is not installed")
SMALL: dict[str, Any] = {"hidden": 16, "epochs": 1, "limit_train": 24, "threads": 1, "dropout": 0.0, "max_actions": 30}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_bert(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("model", ["bert_frozen", "bert_finetuned"])
def test_a_run_trains_measures_and_answers_without_the_encoder(source: str, model: str, tmp_path: Path) -> None:
    moved = write_bert(tmp_path / "bert")
    run = train("text2sql", preset="smoke", model=model, encoder=str(moved), out=tmp_path / "run", **SMALL)
    assert run.result["metrics"]["test/valid"] == 1.0
    moved.rename(tmp_path / "gone")
    [record] = load_run(tmp_path / "run").predict([("How many ships are there?", "toy_harbour")])
    assert record["sql"].startswith("SELECT")


@pytest.mark.parametrize(("model", "tuned"), [("bert_frozen", False), ("bert_finetuned", True)])
def test_only_a_tuned_encoder_is_trained(source: str, model: str, tuned: bool) -> None:
    config = SETTINGS.make("smoke", {**SMALL, "model": model, "encoder": source}, "test")
    assert isinstance(config, Text2SqlConfig)
    data = TASK.prepare(config)
    network = TASK.build(config, json.loads(json.dumps(data.card)))
    network.encoder.encoder.reset_parameters()  # type: ignore[union-attr, operator]
    batch = make_batch(data.items["train"][:4], data.questions, gold=True)
    gold_losses(network(batch), batch, masked=True).mean().backward()
    grads = [p.grad for p in network.encoder.encoder.encoder.parameters() if p.requires_grad]  # type: ignore[union-attr]
    assert any(grad is not None and bool(grad.any()) for grad in grads) == tuned


@pytest.mark.parametrize("model", ["bert_frozen", "bert_finetuned"])
def test_a_loss_does_not_depend_on_batch_mates(source: str, model: str) -> None:
    config = SETTINGS.make("smoke", {**SMALL, "model": model, "encoder": source}, "test")
    assert isinstance(config, Text2SqlConfig)
    data = TASK.prepare(config)
    torch.manual_seed(0)
    network = TASK.build(config, data.card).eval()
    network.encoder.encoder.reset_parameters()  # type: ignore[union-attr, operator]
    items = data.items["train"][:5]
    batch = make_batch(items, data.questions, gold=True)
    together = gold_losses(network(batch), batch, masked=True)
    for row, item in enumerate(items):
        one = make_batch([item], data.questions, gold=True)
        torch.testing.assert_close(gold_losses(network(one), one, masked=True)[0], together[row], rtol=1e-3, atol=1e-3)


def test_a_run_keeps_the_fingerprint_of_its_encoders_weights(tmp_path: Path) -> None:
    bert = write_bert(tmp_path / "bert")
    config = SETTINGS.make("smoke", {**SMALL, "model": "bert_frozen", "encoder": str(bert)}, "test")
    assert isinstance(config, Text2SqlConfig)
    before = TASK.prepare(config).card["fingerprints"]
    write_bert(bert, seed=1)
    after = TASK.prepare(config).card["fingerprints"]
    assert set(before) == set(after) == {f"encoder {bert}"}
    assert before != after
