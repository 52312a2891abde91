"""The configuration: strict, typed, hashable, the same from YAML and from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.config import config_hash
from normlab.errors import UserError
from normlab.tasks.image.config import PRESETS, ImageConfig
from normlab.yaml_file import parse_yaml, read_yaml


def test_unknown_key_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"my.yaml: unknown key 'batchsize': did you mean 'batch_size'"):
        ImageConfig.parse({"batchsize": 3}, "my.yaml")


def test_wrong_value_names_key_place_and_value() -> None:
    with pytest.raises(UserError, match=r"my.yaml: lr: .*greater than 0.*got -1") as caught:
        ImageConfig.parse({"lr": -1}, "my.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("epochs", True), ("lr", True), ("patience", False)])
def test_true_and_false_are_no_numbers(key: str, value: bool) -> None:
    with pytest.raises(UserError, match=f"my.yaml: {key}: should be a number, got {value}"):
        ImageConfig.parse({key: value}, "my.yaml")


def test_unknown_norm_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="unknown norm 'grop': did you mean 'group'"):
        ImageConfig.parse({"norm": "grop"}, "x")


def test_aliases_of_a_norm_make_the_same_experiment() -> None:
    assert config_hash(ImageConfig(norm="bn")) == config_hash(ImageConfig(norm="batch"))


def test_one_e_minus_three_is_a_number() -> None:
    assert parse_yaml("lr: 1e-3", "x") == {"lr": 0.001}


@pytest.mark.parametrize("preset", PRESETS)
def test_yaml_round_trip_is_lossless(preset: str, tmp_path: Path) -> None:
    config = ImageConfig.parse(PRESETS[preset], "x")
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert ImageConfig.from_yaml(tmp_path / "c.yaml") == config


def test_hash_ignores_paths_device_and_threads_and_sees_the_rest() -> None:
    base = ImageConfig()
    for change in ({"data": "elsewhere"}, {"device": "cuda"}, {"threads": 1}):
        assert config_hash(base) == config_hash(base.with_values("x", **change))
    for change in ({"lr": 0.2}, {"norm": "layer"}, {"seed": 1}, {"epochs": 3}):
        assert config_hash(base) != config_hash(base.with_values("x", **change))


def test_hash_of_the_defaults_is_stable_across_processes() -> None:
    import subprocess
    import sys

    code = (
        "from normlab.config import config_hash; from normlab.tasks.image.config import ImageConfig;"
        "print(config_hash(ImageConfig()))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == config_hash(ImageConfig())


def test_command_line_strings_become_typed_values() -> None:
    values = ImageConfig.from_strings(
        {"lr": "1e-3", "norm": "none", "patience": "none", "flip": "false", "data": "007"}
    )
    config = ImageConfig.parse(values, "command line")
    assert (config.lr, config.norm, config.patience, config.flip, config.data) == (0.001, "none", None, False, "007")


def test_text_for_a_number_is_one_line() -> None:
    with pytest.raises(UserError, match=r"command line: epochs: .*got 'many'"):
        ImageConfig.parse(ImageConfig.from_strings({"epochs": "many"}), "command line")


def test_every_field_has_a_description() -> None:
    assert all(field.description for field in ImageConfig.model_fields.values())


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(UserError, match=r"broken.yaml:3: not valid YAML"):
        read_yaml(path)
