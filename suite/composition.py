"""Methods by the names that a run gives them: alone, or ``SOURCE+METHOD``, driven by the joints that SOURCE predicts.

``truth+METHOD`` is METHOD alone: it is given the true keypoints. Reads declarations only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from methods.base import TRUTH, MethodSpec
from tasks.base import TaskSpec
from tasks.errors import RequestError, unknown_name

TRUE_KEYPOINTS = "true keypoints"
"""The flag of a row that was given them."""
GRAMMAR = "METHOD, or SOURCE+METHOD for a METHOD that is driven by keypoints"


@dataclass(frozen=True)
class Entrant:
    """A method, and where its keypoints come from."""

    method: MethodSpec
    source: MethodSpec | None = None
    """The method whose predicted joints are the keypoints; None for the true ones, or for a method without any."""

    @property
    def name(self) -> str:
        """``METHOD`` or ``SOURCE+METHOD``."""
        return f"{self.source.name}+{self.method.name}" if self.source else self.method.name

    @property
    def title(self) -> str:
        """As papers write it, ``DIGIT + HALO``."""
        return f"{self.source.title} + {self.method.title}" if self.source else self.method.title

    @property
    def keypoints(self) -> str:
        """What the method is told of where its keypoints come from."""
        return self.source.name if self.source else TRUTH

    @property
    def keypoints_from(self) -> str | None:
        """The same for readers; None for a method that is not driven by keypoints."""
        if not self.method.keypoints:
            return None
        return self.source.title if self.source else TRUTH

    @property
    def flags(self) -> tuple[str, ...]:
        """What is seen at test time beyond what the task gives to all."""
        given = self.source.flags if self.source else (TRUE_KEYPOINTS,) * self.method.keypoints
        return tuple(dict.fromkeys((*given, *self.method.flags)))


def resolve_entrant(name: str, task: TaskSpec) -> Entrant:
    """What a name means on a task. Raises RequestError with the nearest valid name, or for parts that do not fit."""
    from methods.registry import METHODS

    source, method = _parts(name)
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    spec = METHODS[method]
    if task.name not in spec.tasks:
        raise RequestError(
            f"method '{method}' does not solve task '{task.name}': it solves {', '.join(spec.tasks)}."
        )
    if source is None:
        return Entrant(spec)
    if not spec.keypoints:
        driven = [name for name, other in METHODS.items() if other.keypoints and task.name in other.tasks]
        raise RequestError(
            f"method '{method}' is not driven by keypoints, so it cannot be given those of '{source}': "
            f"expected one of {', '.join(driven) or 'none'} after the '+'."
        )
    return Entrant(spec, None if source == TRUTH else _resolve_source(source, task))


def _parts(name: str) -> tuple[str | None, str]:
    source, plus, method = name.rpartition("+")
    if plus and (not source or not method or "+" in source):
        raise RequestError(f"'{name}' is no name of a method: expected {GRAMMAR}.")
    return source if plus else None, method


def _resolve_source(name: str, task: TaskSpec) -> MethodSpec:
    from methods.registry import METHODS

    fit = [other.name for other in METHODS.values() if task.name in other.tasks and not other.keypoints]
    known = [TRUTH, *fit]
    if name not in METHODS:
        raise unknown_name("source of keypoints", name, known)
    if METHODS[name].keypoints:
        raise RequestError(
            f"method '{name}' is itself driven by keypoints, so it is no source of them: expected one of "
            f"{', '.join(known)} before the '+'."
        )
    if name not in fit:
        raise RequestError(
            f"method '{name}' does not solve task '{task.name}', so it predicts no keypoints for it: expected one of "
            f"{', '.join(known)} before the '+'."
        )
    return METHODS[name]


def names_a_method(name: str) -> bool:
    """Whether every part of a name is a method's of the suite."""
    from methods.registry import METHODS

    return all(part in METHODS or part == TRUTH for part in name.split("+"))


def split_overrides(entrant: Entrant, overrides: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Overrides of the source, written with its name in front (``digit.training.epochs``), and those of the method."""
    prefix = f"{entrant.source.name}." if entrant.source else None
    of_source = {
        key.removeprefix(prefix): value
        for key, value in overrides.items()
        if prefix and key.startswith(prefix)
    }
    of_method = {key: value for key, value in overrides.items() if not (prefix and key.startswith(prefix))}
    return of_source, of_method
