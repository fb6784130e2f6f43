"""Axes: what a method declares in ``ablations.yaml``, and the variants that a choice of them spans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

from tasks.errors import RequestError, unknown_name

KEYPOINTS = "keypoints"
"""The field of an axis that is no setting: whose predicted joints the method is given."""
Settings = tuple[tuple[str, str], ...]
Expect = Literal["better", "worse", "monotone", "interior optimum", "unknown"]
REQUIRED = ("question", "field", "values", "metric", "expect", "source")


@dataclass(frozen=True)
class Axis:
    """One question to a method: a field, the values that it takes in turn, and what is expected of which metric."""

    name: str
    question: str
    field: str
    values: tuple[Any, ...]
    metric: str
    expect: Expect
    source: str
    given: Settings = ()
    """Settings without which the question makes no sense; what the axis is compared with has them too."""


def setting_text(value: Any) -> str:
    """A value as it is written on the command line."""
    return value if isinstance(value, str) else json.dumps(value)


def declared_axes(method: str) -> dict[str, Axis]:
    """The axes of a method by name. Raises RequestError for a declaration that lacks a part."""
    from methods.registry import load_ablations

    return {name: _read(method, name, entry) for name, entry in load_ablations(method).items()}


def choose(method: str, names: Sequence[str]) -> list[Axis]:
    """The named axes of a method, all unless any is named. Raises RequestError with the nearest valid name."""
    declared = declared_axes(method)
    if not declared:
        raise RequestError(f"method '{method}' declares no ablations: it has no ablations.yaml.")
    for name in names:
        if name not in declared:
            raise unknown_name(f"axis of {method}", name, declared)
    return [declared[name] for name in dict.fromkeys(names)] or list(declared.values())


def _read(method: str, name: str, entry: Mapping[str, Any]) -> Axis:
    missing = [key for key in REQUIRED if key not in entry]
    if missing:
        raise RequestError(f"axis '{name}' of '{method}' lacks {', '.join(missing)} in its ablations.yaml.")
    if entry["expect"] not in get_args(Expect):
        raise unknown_name(f"expectation of axis '{name}'", str(entry["expect"]), get_args(Expect))
    told = {key: entry[key] for key in REQUIRED if key != "values"}
    given = tuple((key, setting_text(value)) for key, value in entry.get("given", {}).items())
    return Axis(name=name, values=tuple(entry["values"]), given=given, **told)


@dataclass(frozen=True)
class Variant:
    """One point of a sweep: the values that it gives to axes. Without any, what axes are compared with."""

    values: tuple[tuple[Axis, Any], ...] = ()
    given: Settings = ()
    changed: Settings = ()
    """What is otherwise in a cell that stands in for one that failed."""

    @property
    def axis(self) -> str | None:
        """``attention_depth``, or ``attention_depth x supervision`` in a grid; None where no axis is set."""
        return " x ".join(axis.name for axis, _ in self.values) or None

    @property
    def settings(self) -> dict[str, str]:
        """What is set of the config, as on the command line."""
        chosen = {axis.field: setting_text(value) for axis, value in self.values}
        every = dict(self.given) | chosen | dict(self.changed)
        return {key: text for key, text in every.items() if key != KEYPOINTS}

    def method(self, name: str) -> str:
        """The method's name on this point: ``SOURCE+METHOD`` where an axis sets the source of keypoints."""
        sources = dict(self.given) | {axis.field: str(value) for axis, value in self.values}
        return f"{sources[KEYPOINTS]}+{name.rpartition('+')[2]}" if KEYPOINTS in sources else name


def one_at_a_time(axes: Sequence[Axis]) -> Iterator[Variant]:
    """The default, then what each axis is compared with, if that is another, and each of its values by itself."""
    yield Variant()
    for axis in axes:
        if axis.given:
            yield Variant(given=axis.given)
        yield from (Variant(((axis, value),), axis.given) for value in axis.values)


def grid(axes: Sequence[Axis]) -> Iterator[Variant]:
    """What the axes are compared with, then every combination of their values."""
    given = tuple(sorted({pair for axis in axes for pair in axis.given}))
    yield Variant(given=given)
    for values in product(*(axis.values for axis in axes)):
        yield Variant(tuple(zip(axes, values, strict=True)), given)
