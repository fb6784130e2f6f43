"""What every generator does beside making its data: it checks the request, makes the parts that are missing, signs."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.synthesis.processes import process_map
from tasks.synthesis.unfinished import Unfinished

Part = TypeVar("Part")
Progress = Callable[[int, int], None]
"""Told how many samples are done, and of how many."""


def require_request(size: int, seed: int, largest: int, what_there_is: str) -> None:
    """Raise RequestError unless 1 <= size <= ``largest`` and the seed is not negative."""
    if not 1 <= size <= largest:
        raise RequestError(f"size is {size}: {what_there_is}.")
    if seed < 0:
        raise RequestError(f"seed is {seed}: expected a whole number that is not negative.")


def make_parts(
    work: Unfinished,
    kind: str,
    parts: Sequence[Part],
    make: Callable[[Part], Any],
    count: Callable[[Part], int],
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Part, Any]]:
    """Each part with what its making returned, once all are finished; those that are already are not made again.

    ``make`` writes below the ``root`` of the part that it is given, a dataclass, and returns JSON. ``progress`` hears
    of the samples of parts as they are done, and at once of those that were. Parts of one ``kind`` are known by their
    positions. ``workers`` processes, all cores by default.
    """
    keys = [f"{kind}-{i:06d}" for i in range(len(parts))]
    missing = [i for i, key in enumerate(keys) if not work.is_finished(key)]
    total = sum(map(count, parts))
    done = total - sum(count(parts[i]) for i in missing)
    if progress:
        progress(done, total)
    with process_map(max(1, min(workers or os.cpu_count() or 1, len(missing)))) as each:
        finish = partial(_finish, work, make)
        for i, _ in zip(missing, each(finish, [(keys[i], parts[i]) for i in missing]), strict=True):
            done += count(parts[i])
            if progress:
                progress(done, total)
    return zip(parts, map(work.result, keys), strict=True)


def _finish(work: Unfinished, make: Callable[[Any], Any], item: tuple[str, Any]) -> None:
    work.finish(item[0], make, item[1])


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
