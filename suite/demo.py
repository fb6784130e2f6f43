"""What ``palmares demo`` runs: every method at its tiny preset, some on another's keypoints, and small ablations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from suite.plan import Request
from tasks.base import TaskSpec


@dataclass(frozen=True)
class Entry:
    """One row of the demo beside the plain ones: a method or ``SOURCE+METHOD``, with settings of its own."""

    method: str
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Programme:
    """What is run on a task beside each of its methods as it is."""

    entries: tuple[Entry, ...] = ()
    sweeps: tuple[tuple[str, str], ...] = ()
    """Methods, and the axis of each that is swept."""
    protocol: str | None = None
    size: int | None = None


PROGRAMMES: dict[str, Programme] = {
    "single_hand": Programme(sweeps=(("amvur", "supervision"),), size=800),
    "two_hands": Programme(
        (Entry("digit+halo"), Entry("digit+im2hands")),
        sweeps=(("im2hands", "refinement"),),
        protocol="im2hands",
        size=240,
    ),
}


def requests(seeds: Sequence[int]) -> list[Request]:
    """The demo's requests, cheap methods first."""
    from tasks.registry import TASKS

    return [request for task in TASKS.values() for request in _of_task(task, tuple(seeds))]


def sweeps(seeds: Sequence[int]) -> list[tuple[Request, str]]:
    """What the demo sweeps, by the name of the axis."""
    from tasks.registry import TASKS

    return [
        (_request(task, PROGRAMMES[task.name], Entry(method), tuple(seeds)), axis)
        for task in TASKS.values()
        if task.name in PROGRAMMES
        for method, axis in PROGRAMMES[task.name].sweeps
    ]


def _of_task(task: TaskSpec, seeds: tuple[int, ...]) -> list[Request]:
    from methods.registry import METHODS

    programme = PROGRAMMES.get(task.name, Programme())
    specs = sorted(METHODS.values(), key=lambda spec: (spec.kind != "baseline", spec.name))
    plain = [Entry(spec.name) for spec in specs if task.name in spec.tasks]
    return [_request(task, programme, entry, seeds) for entry in (*plain, *programme.entries)]


def _request(task: TaskSpec, programme: Programme, entry: Entry, seeds: tuple[int, ...]) -> Request:
    return Request(
        entry.method,
        task.name,
        size=programme.size,
        overrides=entry.overrides,
        seeds=seeds,
        protocol=programme.protocol,
    )
