"""What may be tuned: ranges and choices of settings, as they are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.errors import RequestError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})(:log)?")
EXAMPLE = "KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C, for example training.learning_rate=1e-4..1e-2:log"
DIGITS = 4
"""Of a number that is drawn from a range: more would tell nothing, and have to be typed."""


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included; whole ones where both bounds are written so."""

    low: str
    high: str
    log: bool

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' if self.log else ''}"

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return all(re.fullmatch(r"[+-]?\d+", bound) for bound in (self.low, self.high))

    @property
    def examples(self) -> tuple[str, ...]:
        """Settings that must be valid if the range is."""
        return self.low, self.high

    def distribution(self) -> BaseDistribution:
        """As Optuna draws from it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.is_whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(float(self.low), float(self.high), log=self.log)

    def text(self, drawn: Any) -> str:
        """A number that was drawn, as a setting."""
        return str(int(drawn)) if self.is_whole else f"{drawn:.{DIGITS}g}"


@dataclass(frozen=True)
class Choice:
    """Some values, in no order."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.values)

    @property
    def examples(self) -> tuple[str, ...]:
        """Settings that must be valid if the choice is."""
        return self.values

    def distribution(self) -> BaseDistribution:
        """As Optuna draws from it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def text(self, drawn: Any) -> str:
        """A value that was drawn, as a setting."""
        return str(drawn)


Space = Mapping[str, Range | Choice]


def parse_space(texts: Mapping[str, str]) -> Space:
    """``{"training.learning_rate": "1e-4..1e-2:log"}`` as what is searched. Raises RequestError."""
    if not texts:
        raise RequestError(f"nothing is searched: give --search {EXAMPLE}.")
    return {key: _parse(key, text) for key, text in texts.items()}


def _parse(key: str, text: str) -> Range | Choice:
    if match := RANGE.fullmatch(text):
        found = Range(match[1], match[2], bool(match[3]))
        if float(found.low) >= float(found.high):
            raise RequestError(
                f"--search {key}={text}: the lower bound {found.low} is not below {found.high}."
            )
        if found.log and float(found.low) <= 0:
            raise RequestError(
                f"--search {key}={text}: a logarithmic range begins above 0, this one at {found.low}."
            )
        return found
    values = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if ".." in text or len(values) < 2 or not all(values):
        raise RequestError(f"--search got '{key}={text}': expected {EXAMPLE}.")
    return Choice(values)


def settings(space: Space, drawn: Mapping[str, Any]) -> dict[str, str]:
    """What was drawn, as ``--set`` takes it."""
    return {key: space[key].text(value) for key, value in drawn.items()}
