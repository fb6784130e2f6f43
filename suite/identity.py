"""Addresses: 16 hex digits of the one JSON text of a value.

A sweep asks for those of thousands of cells that differ in their seed alone, so what they share is written once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""The one JSON text of a value, keys sorted."""


def digest(value: Any) -> str:
    """16 hex digits of a JSON value, the same on every machine."""
    return _hashed(canonical(value))


class Form:
    """The JSON text of a mapping some of whose values are left open."""

    def __init__(self, value: Mapping[str, Any], *left_open: str) -> None:
        marked = {**value, **{key: f"\0{key}" for key in left_open}}  # NUL: in no name or setting
        text = canonical(marked).replace("%", "%%")
        for key in left_open:
            text = text.replace(f'"\\u0000{key}"', f"%({key})s")
        self._text = text

    def digest(self, **values: Any) -> str:
        """``digest`` of the mapping with these values for those that were left open."""
        return _hashed(self._text % {key: canonical(value) for key, value in values.items()})


class Same(Generic[Thing]):
    """A key of a cache that equals itself alone: to compare configurations by content would cost more than it saves."""

    def __init__(self, thing: Thing) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
