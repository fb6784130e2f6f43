"""By which protocol a sweep is scored: one that measures what its axes ask about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from suite.composition import resolve_entrant
from suite.plan import Request, resolve_layout, resolve_protocol, resolve_task
from suite.sweeps.axes import Axis, choose
from tasks.base import Protocol, TaskSpec


def scored(request: Request, names: Sequence[str]) -> tuple[Request, list[str]]:
    """The request with its protocol, and what a person should know of that.

    The layout's official protocol, unless the axes ask about metrics that another one of the task measures more of; a
    protocol that is asked for is taken. Raises RequestError for an unknown name.
    """
    task = resolve_task(request.task)
    axes = choose(resolve_entrant(request.method, task).method.name, names)
    first = resolve_protocol(task, resolve_layout(task, request.layout), request.protocol)
    chosen = first if request.protocol else _most_measuring(axes, first, task)
    said = []
    if chosen is not first:
        missing = ", ".join(sorted({axis.metric for axis in _unmeasured(axes, first)}))
        said.append(f"scored by protocol '{chosen.name}': the official '{first.name}' measures no {missing}.")
    if unmeasured := _unmeasured(axes, chosen):
        said.append(
            f"protocol '{chosen.name}' does not measure what these axes ask about, so they get no answer: "
            + ", ".join(f"{axis.name} ({axis.metric})" for axis in unmeasured)
            + "."
        )
    return replace(request, protocol=chosen.name), said


def _most_measuring(axes: Sequence[Axis], official: Protocol, task: TaskSpec) -> Protocol:
    """The first of the task's protocols, the official one before all others, that leaves the fewest axes out."""
    from tasks.registry import PROTOCOLS

    others = [protocol for protocol in PROTOCOLS.values() if task.name in protocol.tasks]
    return min([official, *others], key=lambda protocol: len(_unmeasured(axes, protocol)))


def _unmeasured(axes: Iterable[Axis], protocol: Protocol) -> list[Axis]:
    return [axis for axis in axes if axis.metric not in protocol.metrics]
