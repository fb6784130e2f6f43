"""Configurations: typed, validated, and overridden from the command line by dotted keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from methods.yaml_words import read_yaml
from tasks.errors import RequestError, unknown_name


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingConfig(Strict):
    """What the generic loop needs to know."""

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1, description="over all workers")
    epoch_samples: int | None = Field(
        None, ge=1, description="of an epoch, drawn anew for each; all unless given"
    )
    validation_samples: int | None = Field(
        None, ge=1, description="evenly over the validation set; all unless given"
    )
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    step_every: float = Field(0.5, gt=0, le=1, description="of 'step': share of the training between two")
    step_factor: float = Field(0.1, gt=0, le=1, description="of 'step': what the rate is multiplied by")
    warmup_fraction: float = Field(
        0.03, ge=0, lt=1, description="share of the steps with a linearly rising rate"
    )
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="autocast type; used on a GPU only"
    )
    compile: bool = Field(False, description="torch.compile the network for training; needs a C++ compiler")
    checkpoint_epochs: int = Field(1, ge=1, description="epochs between two checkpoints")


class AugmentConfig(Strict):
    """Training-time augmentation of an image together with its labels."""

    rotation_deg: float = Field(0.0, ge=0, le=180, description="in-plane, uniform in +-")
    scale: float = Field(0.0, ge=0, lt=1, description="relative, uniform in +-")
    translation: float = Field(0.0, ge=0, lt=0.5, description="share of the image side, uniform in +-")
    colour: float = Field(0.0, ge=0, lt=1, description="brightness and contrast per channel, uniform in +-")


class TwoHandAugmentConfig(AugmentConfig):
    """The same for crops of two hands, which a mirror turns into crops of two hands."""

    flip: float = Field(0.0, ge=0, le=1, description="probability of a mirror, which swaps the hands")


class MethodConfig(Strict):
    """The fields that every method has."""

    image_size_px: int = Field(224, ge=32, le=512)
    augment: AugmentConfig = AugmentConfig()


class SingleStageConfig(MethodConfig):
    """Those of a method with one stage."""

    training: TrainingConfig = TrainingConfig()


Config = TypeVar("Config", bound=MethodConfig)


def resolve_config(model: type[Config], preset: dict[str, Any], overrides: Mapping[str, str]) -> Config:
    """The validated config of a preset with ``a.b=value`` overrides, each of which changes that key and nothing beside
    it. Raises RequestError for a bad key or value."""
    config = _validated(model, preset)
    if not overrides:
        return config
    settings = config.model_dump()
    for key, text in overrides.items():
        check_key(model, key)
        settings = _with(settings, key.split("."), _value(key, text))
    return _validated(model, settings)


def _validated(model: type[Config], settings: Mapping[str, Any]) -> Config:
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"bad value for '{where}': {first['msg']} (got {first['input']!r}).") from None


def _with(settings: Mapping[str, Any] | None, path: Sequence[str], value: Any) -> dict[str, Any]:
    """Nested settings with another value at a path."""
    head, *rest = path
    there = settings or {}
    return {**there, head: _with(there.get(head), rest, value) if rest else value}


@lru_cache(maxsize=4096)
def _value(key: str, text: str) -> Any:
    try:
        return read_yaml(text)
    except yaml.YAMLError:
        raise RequestError(f"bad value for '{key}': '{text}' is not YAML.") from None


def check_key(model: type[BaseModel], key: str) -> None:
    """Raise RequestError unless the dotted key names a field of the model."""
    known = field_keys(model)
    if key not in known:
        raise unknown_name("setting", key, known)


@lru_cache(maxsize=256)
def field_keys(model: type[BaseModel], prefix: str = "") -> tuple[str, ...]:
    """Every dotted key of a model: its leaves."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        nested = next((t for t in (info.annotation, *get_args(info.annotation)) if _is_model(t)), None)
        keys += field_keys(nested, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return tuple(keys)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
