"""Settings as they come from the command line and from presets."""

from typing import Literal

import pytest

from methods.config import MethodConfig, TrainingConfig, resolve_config
from methods.yaml_words import read_yaml
from tasks.errors import RequestError


class Switched(MethodConfig):
    use: Literal["auto", "on", "off"] = "auto"
    deep: bool = False
    rate: float = 1.0
    sizes: tuple[int, ...] = ()


@pytest.mark.parametrize("word", ["auto", "on", "off"])
def test_on_and_off_are_words_on_the_command_line_and_in_presets(word: str) -> None:
    assert resolve_config(Switched, {}, {"use": word}).use == word
    assert resolve_config(Switched, read_yaml(f"use: {word}"), {}).use == word


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("on", True), ("no", False)])
def test_a_switch_takes_what_yaml_takes(text: str, value: bool) -> None:
    assert resolve_config(Switched, {}, {"deep": text}).deep is value


def test_numbers_and_lists_are_read_as_before() -> None:
    config = resolve_config(Switched, {"rate": 2.0}, {"rate": "1e-3", "sizes": "[4, 2]"})
    assert (config.rate, config.sizes) == (0.001, (4, 2))


def test_a_value_that_cannot_be_read_is_refused_with_its_setting() -> None:
    with pytest.raises(RequestError, match="bad value for 'sizes': '\\[4, 2' is not YAML"):
        resolve_config(Switched, {}, {"sizes": "[4, 2"})


def test_overrides_leave_the_preset_alone() -> None:
    preset = {"augment": {"colour": 0.1}}
    assert resolve_config(Switched, preset, {"augment.colour": "0.2"}).augment.colour == 0.2
    assert preset == {"augment": {"colour": 0.1}}


class Nested(MethodConfig):
    training: TrainingConfig = TrainingConfig(epochs=3, batch_size=4)


def test_an_override_of_one_key_of_a_group_leaves_the_others_as_the_class_has_them() -> None:
    assert resolve_config(Nested, {}, {"training.epochs": "5"}).training == TrainingConfig(
        epochs=5, batch_size=4
    )
