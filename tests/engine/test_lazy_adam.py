"""Rows of a table updated on their own: where that equals the dense update, and where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.engine.checkpoint import load_training, save_training
from normlab.engine.clipping import clip_gradients
from normlab.engine.lazy_adam import LazyAdam
from normlab.engine.optim import build_optimizer
from normlab.errors import UserError
from normlab.train_config import TrainConfig


class Table(nn.Module):
    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.sparse = sparse
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(6, 3, generator=generator))
        self.linear = nn.Linear(3, 1)
        with torch.no_grad():
            self.linear.weight.fill_(0.5)
            self.linear.bias.zero_()

    def parameter_options(self) -> dict[str, dict[str, bool]]:
        return {"weight": {"sparse": True}} if self.sparse else {}

    def forward(self, rows: Tensor) -> Tensor:
        return self.linear(F.embedding(rows, self.weight, sparse=self.sparse).tanh()).square().sum()


def trained(
    batches: list[list[int]], *, sparse: bool, clip: float | None = None, **changes: object
) -> tuple[Table, torch.optim.Optimizer]:
    model = Table(sparse=sparse)
    options = {"optimizer": "adam", "lr": 0.05, "weight_decay": 0.0} | changes
    optimizer = build_optimizer(model, TrainConfig(**options))  # type: ignore[arg-type]
    for rows in batches:
        optimizer.zero_grad()
        model(torch.tensor(rows)).backward()
        if clip is not None:
            clip_gradients(list(model.parameters()), clip)
        optimizer.step()
    return model, optimizer


EVERY_ROW = [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0, 0, 0], [2, 2, 0, 1, 3, 4, 5]] * 4
SOME_ROWS = [[0, 1], [2], [0, 0, 5], [1, 2]] * 3


@pytest.mark.parametrize("clip", [None, 0.3])
def test_lazy_adam_is_dense_adam_where_every_step_touches_every_row(clip: float | None) -> None:
    lazy, dense = (trained(EVERY_ROW, sparse=sparse, clip=clip)[0] for sparse in (True, False))
    assert not torch.equal(dense.weight, Table(sparse=False).weight)
    for name, value in dense.state_dict().items():
        assert torch.allclose(lazy.state_dict()[name], value, rtol=1e-5, atol=1e-7), name


@pytest.mark.parametrize("batches", [EVERY_ROW, SOME_ROWS], ids=["every row", "some rows"])
@pytest.mark.parametrize("clip", [None, 0.3])
def test_lazy_sgd_is_dense_sgd_always(batches: list[list[int]], clip: float | None) -> None:
    options = {"optimizer": "sgd", "momentum": 0.0, "clip": clip}
    lazy, dense = (trained(batches, sparse=sparse, **options)[0] for sparse in (True, False))  # type: ignore[arg-type]
    assert not torch.equal(dense.weight, Table(sparse=False).weight)
    for name, value in dense.state_dict().items():
        assert torch.allclose(lazy.state_dict()[name], value, rtol=1e-5, atol=1e-7), name


def test_an_untouched_row_rests_lazily_and_glides_on_densely() -> None:
    start = Table(sparse=True).weight
    lazy, dense = (trained([[0], [1], [1], [1]], sparse=sparse)[0].weight for sparse in (True, False))
    once = trained([[0]], sparse=True)[0].weight
    assert torch.equal(lazy[0], once[0])
    assert not torch.allclose(dense[0], once[0], atol=1e-3)
    assert torch.equal(lazy[2:], start[2:])
    assert torch.equal(dense[2:], start[2:])  # no moment yet, so nothing to glide on


def test_parameters_with_dense_gradients_follow_torchs_adam() -> None:
    lazy, dense = nn.Linear(4, 3), nn.Linear(4, 3)
    dense.load_state_dict(lazy.state_dict())
    optimizers = LazyAdam(lazy.parameters(), lr=0.1), torch.optim.Adam(dense.parameters(), lr=0.1)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(5):
        for layer, optimizer in zip((lazy, dense), optimizers, strict=True):
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
    assert torch.equal(lazy.weight, dense.weight)


def test_a_restored_checkpoint_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    model, optimizer = trained(SOME_ROWS, sparse=True)
    save_training(tmp_path / "last.safetensors", model, optimizer, {"epoch": 1})
    other, fresh = trained([], sparse=True)
    assert load_training(tmp_path / "last.safetensors", other, fresh) == {"epoch": 1}
    for network, rule in ((model, optimizer), (other, fresh)):
        rule.zero_grad()
        network(torch.tensor([0, 2, 4])).backward()
        rule.step()
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(model.linear.weight, other.linear.weight)


def test_the_step_leaves_the_gradient_where_it_was() -> None:
    model, _ = trained([[0, 1]], sparse=True)
    assert model.weight.grad is not None
    assert model.weight.grad.is_sparse


def test_clipping_counts_a_row_that_occurs_twice_as_the_sum() -> None:
    lazy, dense = Table(sparse=True), Table(sparse=False)
    norms = []
    for model in (lazy, dense):
        model(torch.tensor([1, 1, 3])).backward()
        norms.append(clip_gradients(list(model.parameters()), 0.1))
    assert torch.allclose(*norms)
    assert lazy.weight.grad is not None
    assert dense.weight.grad is not None
    assert torch.allclose(lazy.weight.grad.to_dense(), dense.weight.grad)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"weight_decay": 0.1}, "weight_decay"),
        ({"optimizer": "sgd", "momentum": 0.9}, "sgd with momentum"),
        ({"optimizer": "rmsprop"}, "rmsprop"),
    ],
)
def test_a_rule_that_moves_every_row_is_refused(changes: dict[str, object], hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        trained([[0]], sparse=True, **changes)  # type: ignore[arg-type]


def test_alone_it_refuses_weight_decay_on_a_table() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = LazyAdam(table.parameters(), weight_decay=0.1)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="weight decay"):
        optimizer.step()
