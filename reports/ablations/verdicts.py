"""Whether an axis bears out what its method declares of it.

A difference is *clear* where its p, over test samples and training seeds together (``reports.statistics.Effect``), is
below 5 % after Holm's correction over the comparisons that the expectation asks for. With one seed nothing is clear.

================  ===================================  ===============================  ==============================
expectation       compared                             confirmed                        contradicted
================  ===================================  ===============================  ==============================
better            every other value with the           the reference is clearly better  a value is clearly better than
                  reference, the method's own choice   than each of them                the reference
worse             the same                             the reference is clearly worse   a value is clearly worse than
                                                       than each of them                the reference
monotone          each value with the one before it,   the ends clearly differ, and no  a step clearly goes against
                  and the last with the first          step clearly goes against that   ends that clearly differ, or
                                                                                        against another clear step
interior optimum  every inner value with the first     the best value is an inner one   an end is clearly better than
                  and the last                         and clearly beats both ends      every inner value
unknown           every other value with the           never: there is no claim, and what was seen is told
                  reference
================  ===================================  ===============================  ==============================

Values stand in their declared order. A reference that is none of them takes no part in an order. Whatever is neither
is undecided, and the reasons are given: values that were not measured yet or share no seed, one seed, too few clusters,
or the smallest difference that so many seeds and samples could have shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from reports.leaderboard import fixed
from reports.statistics import ALPHA, Effect, holm
from tasks.base import Metric

Outcome = Literal["confirmed", "contradicted", "undecided", "no claim"]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Verdict:
    """What became of an expectation, and why."""

    outcome: Outcome
    reason: str

    @property
    def sentence(self) -> str:
        """``undecided: one seed``."""
        return f"{self.outcome}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """One variant minus another. ``effect`` is None where they have no measured seed in common."""

    effect: Effect | None
    corrected: float
    """p after Holm's correction over the family; NaN where there is none."""
    gain: int
    """1 where the first is clearly better, -1 where it is clearly worse, 0 where neither is clear."""

    @property
    def decidable(self) -> bool:
        """Whether its p is known."""
        return self.effect is not None and isfinite(self.effect.p)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of an axis; variants go by their numbers.

    ``values`` are the axis's values in declared order, ``reference`` may be none of them. ``means`` hold the metric,
    NaN where it was not measured; ``effect`` gives the first minus the second of two variants.
    """

    metric: Metric
    labels: Sequence[str]
    values: Sequence[int]
    reference: int
    means: Sequence[float]
    effect: Callable[[int, int], Effect | None]

    @property
    def others(self) -> list[int]:
        """The values that are not the reference."""
        return [number for number in self.values if number != self.reference]


def judge(expect: str, evidence: Evidence) -> Verdict:
    """The verdict on an expectation. Raises KeyError for one that is not among those above."""
    return RULES[expect](evidence)


def compare_all(evidence: Evidence, pairs: Iterable[Pair]) -> dict[Pair, Comparison]:
    """The comparisons of one family, corrected for each other."""
    found = {pair: evidence.effect(*pair) for pair in pairs}
    p_values = holm([effect.p if effect else float("nan") for effect in found.values()])
    sign = 1 if evidence.metric.direction == "higher" else -1
    return {
        pair: Comparison(effect, p, _gain(effect, p, sign))
        for (pair, effect), p in zip(found.items(), p_values, strict=True)
    }


def against_reference(evidence: Evidence) -> dict[Pair, Comparison]:
    """Every other value with the reference."""
    return compare_all(evidence, [(number, evidence.reference) for number in evidence.others])


def _better(evidence: Evidence) -> Verdict:
    return _claimed(evidence, 1)


def _worse(evidence: Evidence) -> Verdict:
    return _claimed(evidence, -1)


def _claimed(evidence: Evidence, claim: int) -> Verdict:
    """The reference is said to be better (1) or worse (-1) than every other value."""
    found, reference = against_reference(evidence), evidence.labels[evidence.reference]
    word = "better" if claim > 0 else "worse"
    if refuting := [a for (a, _), each in found.items() if each.gain == claim]:
        return Verdict("contradicted", f"{_are(evidence, refuting)} clearly {word} than {reference}")
    if found and all(each.gain == -claim for each in found.values()):
        return Verdict(
            "confirmed", f"{reference} is clearly {word} than {_listed(evidence, evidence.others)}"
        )
    return Verdict("undecided", _why_open(evidence, found))


def _monotone(evidence: Evidence) -> Verdict:
    values = evidence.values
    if len(values) < 2:
        return Verdict("undecided", "a direction needs at least two values")
    steps, ends = list(zip(values[1:], values[:-1], strict=True)), (values[-1], values[0])
    found = compare_all(evidence, dict.fromkeys([*steps, ends]))
    clear = [pair for pair in (ends, *steps) if found[pair].gain]
    against = [pair for pair in clear if found[pair].gain != found[clear[0]].gain]
    if against:
        told = (_told(evidence, pair, found[pair].gain) for pair in (clear[0], against[0]))
        return Verdict("contradicted", ", but ".join(told))
    if found[ends].gain and all(found[step].decidable for step in steps):
        told_ends = _told(evidence, ends, found[ends].gain)
        return Verdict("confirmed", f"{told_ends}, and no step goes clearly against that")
    return Verdict("undecided", _why_open(evidence, found))


def _interior_optimum(evidence: Evidence) -> Verdict:
    if len(evidence.values) < 3:
        return Verdict("undecided", "an interior optimum needs at least three values")
    first, *inner, last = evidence.values
    found = compare_all(evidence, [(number, end) for number in inner for end in (first, last)])
    best = _best(evidence)
    if best in inner and all(found[best, end].gain > 0 for end in (first, last)):
        return Verdict("confirmed", f"{_told(evidence, (best, first), 1)} and {evidence.labels[last]}")
    for end in (first, last):
        if all(found[number, end].gain < 0 for number in inner):
            return Verdict(
                "contradicted", f"{evidence.labels[end]} is clearly better than {_listed(evidence, inner)}"
            )
    return Verdict("undecided", _why_open(evidence, found))


def _unknown(evidence: Evidence) -> Verdict:
    found, reference = against_reference(evidence), evidence.labels[evidence.reference]
    seen = []
    for gain, word in ((1, "better"), (-1, "worse")):
        if numbers := [a for (a, _), each in found.items() if each.gain == gain]:
            seen.append(f"{_are(evidence, numbers)} clearly {word} than {reference}")
    if any(not each.gain for each in found.values()) or not found:
        seen.append(f"{'the rest is not' if seen else 'nothing is'} clear: {_why_open(evidence, found)}")
    return Verdict("no claim", "; ".join(seen))


RULES: dict[str, Callable[[Evidence], Verdict]] = {
    "better": _better,
    "worse": _worse,
    "monotone": _monotone,
    "interior optimum": _interior_optimum,
    "unknown": _unknown,
}


def _gain(effect: Effect | None, corrected: float, sign: int) -> int:
    if effect is None or not corrected < ALPHA:
        return 0
    return sign if effect.value > 0 else -sign


def _best(evidence: Evidence) -> int:
    """The value with the best metric, the first of equals."""
    sign = -1 if evidence.metric.direction == "higher" else 1
    means = {number: sign * evidence.means[number] for number in evidence.values}
    return min(means, key=lambda number: means[number] if isfinite(means[number]) else float("inf"))


def _why_open(evidence: Evidence, found: dict[Pair, Comparison]) -> str:
    """Why comparisons are not clear: of each reason once."""
    if not found:
        return "there is no other value"
    unclear = {pair: each.effect for pair, each in found.items() if not each.gain}
    known = [effect for effect in unclear.values() if effect]
    lacking = [
        {n for n in pair if not isfinite(evidence.means[n])} for pair, effect in unclear.items() if not effect
    ]
    missing = sorted(set().union(*lacking))
    reasons = [f"{_listed(evidence, missing)} not measured yet"] if missing else []
    reasons += ["no common seed yet"] * any(not numbers for numbers in lacking)
    reasons += ["one seed"] * any(effect.seeds == 1 for effect in known)
    reasons += ["too few clusters"] * any(effect.seeds > 1 and not isfinite(effect.p) for effect in known)
    if shown := [effect for effect in known if isfinite(effect.detectable)]:
        reasons.append(_could_show(shown, evidence.metric))
    return "; ".join(reasons) or "the values have different seeds"


def _could_show(effects: Sequence[Effect], metric: Metric) -> str:
    seeds = min(effect.seeds for effect in effects)
    size = fixed(max(effect.detectable for effect in effects), metric.digits)
    return f"{seeds} seeds could have shown a difference of {size} {metric.unit}".strip()


def _told(evidence: Evidence, pair: Pair, gain: int) -> str:
    """``4 is clearly better than 1``."""
    a, b = (evidence.labels[number] for number in pair)
    return f"{a} is clearly {'better' if gain > 0 else 'worse'} than {b}"


def _are(evidence: Evidence, numbers: Sequence[int]) -> str:
    return f"{_listed(evidence, numbers)} {'is' if len(numbers) == 1 else 'are'}"


def _listed(evidence: Evidence, numbers: Sequence[int]) -> str:
    """``1``, ``1 and 2``, ``1, 2 and 4``."""
    *first, last = (evidence.labels[number] for number in numbers)
    return f"{', '.join(first)} and {last}" if first else last
