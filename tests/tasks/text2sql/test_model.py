"""The network: each question on its own, formulas against plain references, and a handful learned by heart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from normlab.tasks.base import Placement
from normlab.tasks.text2sql.config import SETTINGS, Text2SqlConfig
from normlab.tasks.text2sql.evaluation import exact_match
from normlab.tasks.text2sql.grammar.actions import WORDS
from normlab.tasks.text2sql.grammar.automaton import State
from normlab.tasks.text2sql.grammar.masks import BatchConstraint, value_kind
from normlab.tasks.text2sql.inputs.augment import shown_items
from normlab.tasks.text2sql.inputs.data import Text2SqlData, make_batch, training_batches
from normlab.tasks.text2sql.inputs.encoding import Batch, Gold, Item
from normlab.tasks.text2sql.model.decoder import Decoder
from normlab.tasks.text2sql.model.decoding import decode, hypotheses_of
from normlab.tasks.text2sql.model.network import Text2Sql, gold_losses, real_actions
from normlab.tasks.text2sql.model.relation_layers import RelationAttention
from normlab.tasks.text2sql.task import TASK

CPU = Placement(torch.device("cpu"))
Make = Callable[..., tuple[Text2SqlConfig, Text2Sql]]


@pytest.fixture(scope="module")
def config() -> Text2SqlConfig:
    made = SETTINGS.make("smoke", {"hidden": 32}, "test")
    assert isinstance(made, Text2SqlConfig)
    return made


@pytest.fixture(scope="module")
def data(config: Text2SqlConfig) -> Text2SqlData:
    return TASK.prepare(config)


@pytest.fixture
def make(config: Text2SqlConfig, data: Text2SqlData) -> Make:
    def build(**changes: Any) -> tuple[Text2SqlConfig, Text2Sql]:
        changed = config.with_values("test", **changes)
        torch.manual_seed(0)
        model = TASK.build(changed, data.card)
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()  # type: ignore[operator]
        return changed, model.eval()

    return build


VARIANTS: list[dict[str, Any]] = [
    {},
    {"model": "lstm", "relation_layers": 0},
    {"attention": "bahdanau", "layer_norm": True},
    {"attention": "luong", "name_encoder": "mean", "relation_layers": 2},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_loss_does_not_depend_on_batch_mates(make: Make, data: Text2SqlData, changes: dict[str, Any]) -> None:
    _, model = make(**changes)
    items = data.items["train"][:12]
    assert len(items) == 12
    batch = make_batch(items, data.questions, gold=True)
    together = gold_losses(model(batch), batch, masked=True, smoothing=0.1)
    for row, item in enumerate(items):
        one = make_batch([item], data.questions, gold=True)
        torch.testing.assert_close(gold_losses(model(one), one, masked=True, smoothing=0.1)[0], together[row])


@pytest.mark.parametrize("beam_size", [1, 3])
def test_an_answer_does_not_depend_on_batch_mates(make: Make, data: Text2SqlData, beam_size: int) -> None:
    config, model = make(max_actions=25)
    items = data.items["test"][:8]
    together = dict(decode(model, items, data.questions, config, CPU, beam_size=beam_size))
    assert len(together) == 8
    for place, item in enumerate(items):
        [(_, alone)] = decode(model, [item], data.questions, config, CPU, beam_size=beam_size)
        assert [one.sql for one in alone] == [one.sql for one in together[place]]
        assert [one.log_prob for one in alone] == pytest.approx([one.log_prob for one in together[place]], abs=1e-4)


def constraint_of(items: list[Item], batch: Batch, data: Text2SqlData) -> BatchConstraint:
    automata = [data.questions.automaton(item) for item in items]
    return BatchConstraint(automata, [item.values for item in items], batch.item_mask.shape[1])


@pytest.mark.parametrize("mask_training", [True, False])
def test_a_search_scores_gold_as_training_does(make: Make, data: Text2SqlData, mask_training: bool) -> None:
    _, model = make(mask_training=mask_training)
    items = data.items["train"][:6]
    batch = make_batch(items, data.questions, gold=True)
    losses = gold_losses(model(batch), batch, masked=mask_training)
    targets = batch.targets
    assert targets is not None

    constraint = constraint_of(items, batch, data)
    encoded = model.encode(batch)
    rows, state = torch.arange(len(items)), encoded.start
    states = [constraint.start(row) for row in range(len(items))]
    total, last = torch.zeros(len(items)), torch.full((len(items),), -1)
    for step in range(targets.shape[1]):
        scores, state = model.step(last, rows, encoded, state)
        scores = scores.masked_fill(~real_actions(batch), -math.inf)
        for row, item in enumerate(items):
            if step < item.steps:
                own = scores[row]
                if mask_training:
                    allowed = torch.from_numpy(constraint.allowed(states[row], 1000))
                    own = torch.full_like(own, -math.inf).index_copy(0, allowed, own[allowed])
                token = int(targets[row, step])
                total[row] -= own.log_softmax(0)[token].detach()
                if token:
                    states[row] = constraint.advance(states[row], token)
        last = targets[:, step]
    torch.testing.assert_close(total, losses.detach(), rtol=1e-4, atol=1e-4)


def test_a_found_query_has_the_log_probability_that_training_gives_it(make: Make, data: Text2SqlData) -> None:
    config, model = make(max_actions=60)
    with torch.no_grad():
        model.decoder.keyword_bias[[0, WORDS.index("select")]] = 4.0  # short queries, far from the budget's end
    items = data.items["test"][:6]
    batch = make_batch(items, data.questions)
    found = hypotheses_of(model, batch, constraint_of(items, batch, data), config, CPU, beam_size=3)
    checked = 0
    for item, hypotheses in zip(items, found, strict=True):
        for one in hypotheses:
            if len(one.tokens) > 30:  # near the end of the budget a search may do less than training's mask says
                continue
            gold = _gold_of(one.tokens, item, batch, data)
            learned = make_batch([replace(item, gold=gold)], data.questions, gold=True)
            loss = gold_losses(model(learned), learned, masked=True).item()
            assert loss == pytest.approx(-one.log_prob, abs=1e-3)
            checked += 1
    assert checked


def _gold_of(tokens: tuple[int, ...], item: Item, batch: Batch, data: Text2SqlData) -> Gold:
    automaton = data.questions.automaton(item)
    constraint = BatchConstraint([automaton], [item.values], batch.item_mask.shape[1])
    numbers = [*(constraint.own_number(0, token) for token in tokens), 0]
    state, masks = State(), []
    for number in numbers:
        mask = np.zeros(automaton.size + len(item.values), dtype=bool)
        mask[automaton.allowed(state, tuple(map(value_kind, item.values)), 1000)] = True
        masks.append(mask)
        state = automaton.advance(state, number, item.values)
    return Gold(np.array(numbers), np.packbits(np.stack(masks), axis=1), automaton.size + len(item.values))


def test_greedy_search_takes_the_best_allowed_action_at_every_step(make: Make, data: Text2SqlData) -> None:
    config, model = make(max_actions=30)
    items = data.items["test"][:5]
    batch = make_batch(items, data.questions)
    constraint = constraint_of(items, batch, data)
    found = hypotheses_of(model, batch, constraint, config, CPU, beam_size=1)
    encoded = model.encode(batch)
    assert len(found) == len(items) == 5
    for row in range(len(items)):
        memory, state = constraint.start(row), tuple(part[row : row + 1] for part in encoded.start)
        last, tokens = torch.tensor([-1]), []
        for left in range(30, 0, -1):
            scores, state = model.step(last, torch.tensor([row]), encoded, state)  # type: ignore[arg-type]
            allowed = torch.from_numpy(constraint.allowed(memory, left))
            token = int(allowed[scores[0, allowed].argmax()])
            if token == 0:
                break
            tokens.append(token)
            memory, last = constraint.advance(memory, token), torch.tensor([token])
        assert tuple(tokens) == found[row][0].tokens


def test_the_mask_shares_all_probability_among_what_is_allowed(make: Make, data: Text2SqlData) -> None:
    _, model = make()
    batch = make_batch(data.items["train"][:4], data.questions, gold=True)
    assert batch.allowed is not None
    assert batch.counted is not None
    assert batch.targets is not None
    scores = model(batch)
    one = gold_losses(scores, batch, masked=True)
    changed = gold_losses(scores + 5.0 * ~batch.allowed, batch, masked=True)
    torch.testing.assert_close(one, changed)
    assert (gold_losses(scores + 5.0 * ~batch.allowed, batch, masked=False) > one).all()


def test_label_smoothing_is_the_cross_entropy_with_an_even_share() -> None:
    scores = torch.randn(1, 1, len(WORDS) + 3, dtype=torch.float64)
    allowed = torch.zeros_like(scores, dtype=torch.bool)
    allowed[..., [0, 4, len(WORDS)]] = True
    none = torch.zeros(1, 0)
    values = dict.fromkeys(Batch._fields, none)
    values |= {"targets": torch.tensor([[4]]), "counted": torch.tensor([[True]]), "allowed": allowed}
    batch = Batch(**values)
    log_p = scores[0, 0, [0, 4, len(WORDS)]].log_softmax(0)
    expected = -(0.9 * log_p[1] + 0.1 * log_p.mean())
    torch.testing.assert_close(gold_losses(scores, batch, masked=True, smoothing=0.1)[0], expected.float())


@pytest.mark.parametrize("mask_training", [True, False])
def test_the_tasks_loss_is_smoothed_and_masked_as_the_settings_say(
    make: Make, data: Text2SqlData, mask_training: bool
) -> None:
    config, model = make(mask_training=mask_training, label_smoothing=0.3)
    batch = make_batch(data.items["train"][:5], data.questions, gold=True)
    found = TASK.loss(model, batch, config)
    expected = gold_losses(model(batch), batch, masked=mask_training, smoothing=0.3)
    torch.testing.assert_close(found.loss, expected.mean())
    assert found.count == 5
    plain = TASK.loss(model, batch, config.with_values("test", label_smoothing=0.0)).loss
    assert not torch.allclose(found.loss, plain, rtol=1e-3)
    other = TASK.loss(model, batch, config.with_values("test", mask_training=not mask_training)).loss
    assert not torch.allclose(found.loss, other, rtol=1e-3)


def test_the_decoder_equals_a_plain_loop_over_one_question() -> None:
    torch.manual_seed(1)
    D, P, N = 8, 4, 6
    decoder = Decoder(D, "luong", 2, layer_norm=False, dropout=0.0).eval()
    nodes, summary = torch.randn(1, N, D), torch.randn(1, D)
    encoded = decoder.encode(nodes, torch.ones(1, N).bool(), nodes[:, :P], summary)
    actions = torch.tensor([[-1, 3, len(WORDS) + 2, -2, 5]])
    found = decoder.scores(decoder.outputs(actions, encoded), encoded.pointers)
    assert found.shape == (1, 5, len(WORDS) + P)
    for got, wanted in zip(found[0], _plain_decoder(decoder, nodes[0], P, summary[0], actions[0]), strict=True):
        torch.testing.assert_close(got, wanted)


def _plain_decoder(decoder: Decoder, nodes: Tensor, P: int, summary: Tensor, actions: Tensor) -> list[Tensor]:
    attention, cell = decoder.attention, decoder.cell
    assert attention is not None
    assert cell.weight_f is not None
    h, c = decoder.start(summary).tanh().chunk(2)
    output, scores = torch.zeros_like(h), []
    for action in actions.tolist():
        if action < len(WORDS):  # below 0: the two special rows at the end
            x = decoder.keywords.weight[action]
        else:
            x = decoder.node_input(nodes[action - len(WORDS)])
        gates = cell.weight_x @ x + cell.weight_f @ output + cell.weight_h @ h + cell.bias
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        weights = torch.stack([attention.key(node) @ h for node in nodes]).softmax(0)  # type: ignore[operator]
        context = sum(weight * node for weight, node in zip(weights, nodes, strict=True))
        output = decoder.output(torch.cat([h, context])).tanh()  # type: ignore[list-item]
        words = decoder.keyword_output(output) + decoder.keyword_bias
        pointers = [decoder.node_pointer(node) @ output / math.sqrt(len(h)) for node in nodes[:P]]
        scores.append(torch.cat([words, torch.stack(pointers)]))
    return scores


def test_relation_attention_equals_the_form_with_a_vector_per_pair() -> None:
    torch.manual_seed(2)
    B, N, D, H, R = 2, 5, 8, 2, 7
    layer = RelationAttention(D, H, R)
    x, kinds = torch.randn(B, N, D), torch.randint(R, (B, N, N))
    mask = torch.arange(N) < torch.tensor([[5], [3]])
    q, k, v = layer.project(x).view(B, N, 3, H, D // H).unbind(2)
    keys, values = layer.keys(kinds).unsqueeze(3), layer.values(kinds).unsqueeze(3)  # (B, N, N, 1, d)
    scores = (q.unsqueeze(2) * (k.unsqueeze(1) + keys)).sum(-1) / math.sqrt(D // H)
    weights = scores.masked_fill(~mask[:, None, :, None], -math.inf).softmax(2)
    expected = layer.output((weights.unsqueeze(-1) * (v.unsqueeze(1) + values)).sum(2).reshape(B, N, D))
    torch.testing.assert_close(layer(x, kinds, mask)[mask], expected[mask])


def test_shuffling_tables_changes_no_loss(make: Make, data: Text2SqlData) -> None:
    """Nothing in the LSTM encoder knows places, so the numbers of items, masks and targets must move together."""
    _, model = make()
    items = data.items["train"][:8]
    plain = make_batch(items, data.questions, gold=True)
    orders = []
    for row, item in enumerate(items):
        schema = data.questions.automaton(item).schema
        orders.append(shown_items(item, schema, shuffle=True, drop=0.0, seed=0, epoch=3, row=row))
    assert any((order != np.sort(order)).any() for order in orders)
    moved = make_batch(items, data.questions, orders, gold=True)
    torch.testing.assert_close(
        gold_losses(model(plain), plain, masked=True), gold_losses(model(moved), moved, masked=True)
    )


def test_a_dropped_table_is_one_that_gold_does_not_name(data: Text2SqlData) -> None:
    dropped = 0
    for row, item in enumerate(data.items["train"]):
        schema = data.questions.automaton(item).schema
        order = shown_items(item, schema, shuffle=False, drop=1.0, seed=0, epoch=0, row=row)
        assert item.gold is not None
        places = item.gold.actions[item.gold.actions >= len(WORDS)] - len(WORDS)
        pointed = places[places < len(schema.tables) + len(schema.columns)]
        assert set(pointed) <= set(order)
        assert len(schema.tables) in order  # `*`
        dropped += len(order) < len(schema.tables) + len(schema.columns)
    assert dropped


def test_batches_of_an_epoch_are_a_function_of_seed_and_epoch(config: Text2SqlConfig, data: Text2SqlData) -> None:
    def look(epoch: int) -> list[Tensor]:
        return [batch.targets for batch in training_batches(config, data, epoch, CPU) if batch.targets is not None]

    first, again, other = look(0), look(0), look(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("model_name", ["lstm", "lstm_attention"])
def test_a_handful_of_questions_is_learned_by_heart(make: Make, data: Text2SqlData, model_name: str) -> None:
    config, model = make(model=model_name, max_actions=40)
    items = data.items["train"][:6]
    batch = make_batch(items, data.questions, gold=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(120):
        loss = gold_losses(model(batch), batch, masked=True).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    model.eval()
    found = dict(decode(model, items, data.questions, config, CPU, beam_size=2))
    assert len(found) == 6
    for place, answers in found.items():
        row = data.rows.splits["train"][place]
        assert exact_match(row.query, answers[0].sql, data.rows.schemas[row.db_id]), answers[0].sql
