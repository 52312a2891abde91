"""Networks and norms that somebody brings: trained like normlab's own, and refused in one line where they cannot be."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import normlab
from normlab.cli import main
from normlab.config import config_hash
from normlab.engine.rng import initialise, seed_stream
from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.own_code import source_file
from normlab.studies.plan import make_plan
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.network import build_network, features_and_logits, try_network

PAGE = Path(__file__).resolve().parents[3] / "docs" / "your-network.md"
CARD = {"classes": list("0123456789"), "image_size": [32, 32]}
SMALL = {"epochs": 1, "limit_train": 64, "validation": 40, "precision": "float32"}
FLAGS = [word for key, value in SMALL.items() for word in (f"--{key.replace('_', '-')}", str(value))]
NETS = """
from torch import nn
from pathlib import Path

class Net(nn.Module):
    def __init__(self, num_classes, norm):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), norm(8), nn.ReLU())
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))

def plain(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, classes))

def fixed():
    return plain(10)

def keywords(**options):
    return plain(options["num_classes"])

def no_norm(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, num_classes))

def tokens(num_classes):
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(3072), nn.Linear(3072, num_classes))

def frozen(num_classes, norm):
    return Net(num_classes, norm).requires_grad_(False)

def raises(num_classes, norm):
    raise RuntimeError("out of ideas\\nand lines")

def leaves(num_classes, norm):
    raise SystemExit(3)

def nothing(num_classes, norm):
    return "a network"

def seven(num_classes, norm):
    return Net(7, norm)

def large_images(num_classes, norm):
    return nn.Sequential(norm(3), nn.Flatten(), nn.Linear(3 * 64 * 64, num_classes))

number = 3
"""
NORMS_FILE = """
from torch import nn
from normlab.norms.instance import InstanceNorm

class Good(InstanceNorm):
    pass

class Doubles(InstanceNorm):
    def transform(self, x, residual=None, relu=False):
        return 2 * super().transform(x, residual, relu)

class Undeclared(nn.Module):
    def __init__(self, num_channels):
        super().__init__()
        self.scale = nn.Parameter(nn.init.ones_(__import__("torch").empty(num_channels)))

    def forward(self, x):
        return x * self.scale[:, None, None]

class Raises(InstanceNorm):
    def __init__(self, num_channels):
        raise ZeroDivisionError("no channels")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of networks and one of norms."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "norms.py").write_text(NORMS_FILE)
    return tmp_path


def settings(**values: object) -> ImageConfig:
    return ImageConfig.parse(values, "test")


def norms_in(network: nn.Module, name: str) -> int:
    return sum(isinstance(module, NORMS.get(name)) for module in network.modules())


@pytest.mark.parametrize("factory", ["Net", "plain", "fixed", "keywords"])
def test_a_factory_gets_what_it_takes_and_its_network_has_the_scheme(factory: str) -> None:
    config = settings(model=f"nets.py:{factory}", norm="group", groups=2)
    network = build_network(config, CARD)
    assert norms_in(network, "group") == 1
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    try_network(config, CARD)


def test_a_module_of_a_package_is_a_factory_too(folder: Path) -> None:
    (folder / "strangers").mkdir()
    (folder / "strangers" / "__init__.py").write_text("")
    (folder / "strangers" / "networks.py").write_text(NETS)
    network = build_network(settings(model="strangers.networks:Net"), CARD)
    assert type(network).__module__ == "strangers.networks"


@pytest.mark.parametrize(
    "name, message",
    [
        ("no_norm", "has no norm that `batch` could replace: take norm as a parameter"),
        ("tokens", "no norm that `batch` could replace: 1: LayerNorm over the last axis"),
        ("frozen", "has no parameter that could be trained"),
        ("raises", "nets.py:raises: raised RuntimeError: out of ideas"),
        ("leaves", "raised SystemExit: 3"),
        ("nothing", "returned str, where a torch.nn.Module is needed"),
        ("seven", r"returns \(2, 7\) for 2 images, but \(2, 10\) is needed"),
        ("large_images", "fails on images of 3 x 32 x 32 .*--image-size"),
        ("number", "is a int, where a function"),
        ("raise", "nets.py: has no 'raise': did you mean 'raises'"),
    ],
)
def test_a_bad_factory_is_refused_in_one_line_before_a_run_folder_is_made(
    name: str, message: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert main(["train", "image", "--scale", "smoke", "--model", f"nets.py:{name}", "--out", "run"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0])
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    "reference, message",
    [
        ("gone.py:make", "gone.py: no such file"),
        ("no_such_package.module:make", "no_such_package.module: no module of that name can be imported here"),
        ("nets.py:", "is no reference"),
        ("resnit", "did you mean 'resnet'"),
        ("timm:resnet18", "timm is not installed here: pip install --no-deps timm"),
    ],
)
def test_a_wrong_reference_is_named(reference: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=message):
        build_network(settings(model=reference), CARD)


def test_a_file_that_raises_when_it_is_imported_is_named(folder: Path) -> None:
    (folder / "broken.py").write_text("1 / 0")
    with pytest.raises(UserError, match=r"broken.py: cannot be imported \(ZeroDivisionError: division by zero\)"):
        build_network(settings(model="broken.py:make"), CARD)


def test_timm_makes_a_network_with_random_weights_for_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def create_model(name: str, **options: object) -> nn.Module:
        asked.update(options, name=name)
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 900, 10))

    fake = types.SimpleNamespace(create_model=create_model, is_model=lambda name: name == "tiny")
    fake.list_models = lambda pattern: ["tiny"]
    monkeypatch.setitem(sys.modules, "timm", fake)
    network = build_network(settings(model="timm:tiny", norm="layer"), CARD)
    assert asked == {"name": "tiny", "pretrained": False, "num_classes": 10}
    assert norms_in(network, "layer") == 1
    with pytest.raises(UserError, match=r"timm has no model of that name, but tiny"):
        build_network(settings(model="timm:ti"), CARD)


def test_schemes_begin_with_the_factorys_weights_which_are_drawn_under_the_seed() -> None:
    def start(norm: str, seed: int) -> Tensor:
        seed_stream(seed, "build")
        network = build_network(settings(model="nets.py:Net", norm=norm), CARD)
        before = network.head.weight.detach().clone()
        initialise(network, seed)
        assert torch.equal(before, network.head.weight)
        return before

    assert torch.equal(start("batch", 0), start("group", 0))
    assert not torch.equal(start("batch", 0), start("batch", 1))


def test_features_are_what_the_last_layer_with_an_output_per_class_reads() -> None:
    network = build_network(settings(model="nets.py:Net"), CARD).eval()
    images = torch.randn(4, 3, 32, 32)
    features, logits = features_and_logits(network, images, 10)
    torch.testing.assert_close(features, network.body(images).mean((2, 3)))
    torch.testing.assert_close(logits, network.head(features))
    headless = nn.Sequential(nn.Conv2d(3, 10, 32), nn.Flatten())
    features, logits = features_and_logits(headless, images, 10)
    assert features is logits


def test_the_settings_name_the_version_of_the_source(folder: Path) -> None:
    first = settings(model="nets.py:Net")
    (folder / "nets.py").write_text(NETS + "\n")
    second = settings(model="nets.py:Net")
    assert config_hash(first) != config_hash(second)
    assert ImageConfig.parse(first.model_dump(), "run") == first  # a run's record keeps what it was trained with
    assert settings().model_source == first.with_values("test", model="resnet").model_source == ""
    assert config_hash(settings()) == config_hash(settings(model="resnet"))


def test_a_run_of_ones_own_network_is_resumed_measured_and_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = normlab.train("image", preset="smoke", out="run", model="nets.py:Net", norm="group", **SMALL)
    assert {"body.1", "penultimate"} == run.folder.layers()[0]["layers"].keys() - {"head", "body.0"}
    assert run.evaluate("val", out="measured")["metrics"]["val/accuracy"] == run.result["metrics"]["val/accuracy"]
    (folder / "run" / "result.json").unlink()
    with (folder / "run" / "config.yaml").open() as file:
        text = file.read()
    (folder / "run" / "config.yaml").write_text(text.replace("epochs: 1", "epochs: 2"))
    (folder / "nets.py").write_text(NETS + "\n")
    assert main(["resume", "run"]) == 2
    assert "nets.py:Net: its source file has changed since the run began" in capsys.readouterr().err
    with pytest.warns(UserWarning, match=r"has changed since training"):
        assert normlab.load_run("run").model is not None
    (folder / "nets.py").write_text(NETS)
    assert main(["resume", "run"]) == 0
    (folder / "nets.py").unlink()
    capsys.readouterr()
    with pytest.raises(UserError, match=r"run: nets.py: no such file, which `nets.py:Net` names"):
        normlab.load_run("run").model  # noqa: B018


@pytest.mark.parametrize("verb", ["predict", "evaluate", "resume"])
def test_a_strangers_run_does_not_bring_its_code_along(
    verb: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(folder / "cache of who made it"))
    normlab.train("image", preset="smoke", out="run", model="nets.py:Net", norm="group", **SMALL)
    monkeypatch.setenv("NORMLAB_CACHE", str(folder / "cache of who opens it"))
    (folder / "nets.py").write_text(NETS + "\nPath('was_here').touch()\n")
    Image.new("RGB", (32, 32)).save("picture.png")
    if verb == "resume":
        (folder / "run" / "result.json").unlink()
    words = {"predict": ["picture.png"], "evaluate": ["--split", "val"], "resume": []}[verb]
    capsys.readouterr()
    assert main([verb, "run", *words]) == 2
    told = capsys.readouterr().err
    assert "run: its network or norm is code of its own, nets.py:Net, with which you have not trained here" in told
    assert "NORMLAB_TRUST_CODE=1" in told
    assert not (folder / "was_here").exists()
    assert normlab.load_run("run").metrics, "what is no code can be read"


def test_code_that_is_allowed_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(folder / "one"))
    normlab.train("image", preset="smoke", out="run", model="nets.py:Net", norm="group", **SMALL)
    assert normlab.load_run("run").model is not None
    monkeypatch.setenv("NORMLAB_CACHE", str(folder / "another"))
    with pytest.raises(UserError, match="NORMLAB_TRUST_CODE=1"):
        normlab.load_run("run").model  # noqa: B018
    monkeypatch.setenv("NORMLAB_TRUST_CODE", "1")
    assert normlab.load_run("run").model is not None


def test_finding_a_module_imports_no_package_above_it(folder: Path) -> None:
    (folder / "loud").mkdir()
    (folder / "loud" / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "loud" / "nets.py").write_text(NETS)
    assert source_file("loud.nets:Net") == (folder / "loud" / "nets.py").resolve()


@pytest.mark.parametrize("name, said", [("Good", "kept"), ("Doubles", "variance over")])
def test_the_contracts_verdict_on_a_norm_is_said_and_kept(
    name: str, said: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:

    words = ["train", "image", "--scale", "smoke", "--model", "nets.py:plain", "--out", "run", *FLAGS]
    assert main([*words, "--norm", f"norms.py:{name}", "--allow-unchecked-norm"]) == 0
    assert said in json.loads((folder / "run" / "card.json").read_text())["norm_check"]
    line = "keeps the contract of norms" if name == "Good" else "fails the contract of norms: the variance over"
    assert f"norms.py:{name}: {line}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, message",
    [
        ("Doubles", r"fails the contract of norms \(check_norm\): the variance over .* --allow-unchecked-norm"),
        ("Undeclared", "Undeclared is no normlab.norms.base.Norm"),
        ("Raises", "raised ZeroDivisionError: no channels"),
        ("nn", "is a module, where a norm's class"),
    ],
)
def test_a_norm_that_fails_the_contract_is_refused_before_a_run_folder_is_made(
    name: str, message: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert main(["train", "image", "--scale", "smoke", "--norm", f"norms.py:{name}", "--out", "run"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0])
    assert not (folder / "run").exists()


def test_any_module_can_stand_for_a_norm_unchecked() -> None:
    config = settings(norm="norms.py:Undeclared", allow_unchecked_norm=True, n=1)
    network = build_network(config, CARD)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    network.norm.layer.scale.data.zero_()
    network.norm.reset_parameters()


def test_a_study_refuses_a_bad_norm_before_it_makes_its_folder(folder: Path) -> None:
    (folder / "s.yaml").write_text(
        "title: t\nquestion: q\ntask: image\n"
        "axes: {norm: [batch, 'norms.py:Doubles']}\nscales: {smoke: {preset: smoke}}"
    )
    with pytest.raises(UserError, match=r"norms.py:Doubles: fails the contract"):
        normlab.run_study("s.yaml", scale="smoke", out="study")
    assert not (folder / "study").exists()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_pages_example_is_short_and_trains_in_a_study(folder: Path) -> None:
    network, norm = blocks("python")
    (study,) = blocks("yaml")
    assert len(network.strip().splitlines()) <= 10
    (folder / "mynet.py").write_text(network)
    (folder / "mynorm.py").write_text(norm)
    (folder / "mine.yaml").write_text(study)
    plan = make_plan("mine.yaml", scale="smoke", **SMALL)
    assert [cell.values["model"] for cell in plan.cells] == ["mynet.py:small"] * 2 + ["resnet"] * 2
    done = normlab.run_study("mine.yaml", scale="smoke", out="study", workers=1, concurrent=4, **SMALL)
    assert len(list(done.finished())) == 4
    for command in (line for block in blocks("bash") for line in block.replace("\\\n", " ").strip().splitlines()):
        words = command.split()
        if words[1] == "train":
            assert main([*words[1:], *FLAGS]) == 0


def test_the_pages_norm_fails_the_contract_as_it_says(folder: Path) -> None:
    (folder / "mynorm.py").write_text(blocks("python")[1])
    with pytest.raises(UserError, match=r"mynorm.py:MeanOnly: fails the contract of norms") as error:
        normlab.train("image", preset="smoke", norm="mynorm.py:MeanOnly", out="run")
    shown = re.search(r"MeanOnly: fails the contract of norms \(check_norm\): (.+) \.\.\.", PAGE.read_text())
    assert shown is not None
    assert shown[1] in str(error.value)
