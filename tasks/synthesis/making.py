"""What every generator does beside making its data: it checks the request, follows its processes, signs the folder."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from tasks.errors import RequestError
from tasks.hands.hand import load_hand

Part = TypeVar("Part")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Told how many samples are done, and of how many."""


def require_request(size: int, seed: int, largest: int, what_there_is: str) -> None:
    """Raise RequestError unless 1 <= size <= ``largest`` and the seed is not negative."""
    if not 1 <= size <= largest:
        raise RequestError(f"size is {size}: {what_there_is}.")
    if seed < 0:
        raise RequestError(f"seed is {seed}: expected a whole number that is not negative.")


def followed(
    parts: Sequence[Part], results: Iterable[Result], count: Callable[[Part], int], progress: Progress | None
) -> Iterator[tuple[Part, Result]]:
    """Each part with its result, as they are done; ``progress`` hears of their samples."""
    total, done = sum(map(count, parts)), 0
    if progress:
        progress(done, total)
    for part, result in zip(parts, results, strict=True):
        yield part, result
        done += count(part)
        if progress:
            progress(done, total)


def signature(generator: str, version: int, seed: int, size: int) -> dict[str, Any]:
    """What the marker of a synthetic folder says of its making."""
    hand = load_hand("right")
    return {
        "generator": f"palmares {generator}",
        "generator_version": version,
        "seed": seed,
        "size": size,
        "hand": hand.name,
        "hand_fingerprint": hand.fingerprint,
    }
