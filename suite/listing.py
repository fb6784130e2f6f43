"""What ``palmares list`` shows. Reads declarations only, so it answers at once."""

from collections.abc import Callable
from typing import Any

from methods.base import MethodSpec
from suite.composition import Entrant
from tasks.errors import unknown_name

Row = dict[str, Any]


def listing(what: str) -> list[Row]:
    """A row with at least ``name`` and ``summary`` for each thing of a kind. Raises RequestError for another kind."""
    kinds: dict[str, Callable[[], list[Row]]] = {
        "methods": _methods,
        "tasks": _tasks,
        "layouts": _layouts,
        "protocols": _protocols,
        "ablations": _ablations,
        "metrics": _metrics,
        "clusters": _clusters,
    }
    if what not in kinds:
        raise unknown_name("list", what, kinds)
    return kinds[what]()


def _methods() -> list[Row]:
    from methods.registry import METHODS, presets

    return [
        {
            "name": spec.name,
            "summary": spec.summary + _driven(spec),
            "title": spec.title,
            "kind": spec.kind,
            "version": spec.version,
            "tasks": list(spec.tasks),
            "presets": presets(spec.name),
            "source": spec.source,
            "flags": list(Entrant(spec).flags),
            "keypoints": spec.keypoints,
        }
        for spec in METHODS.values()
    ]


def _driven(spec: MethodSpec) -> str:
    """How to name a method that is driven by the keypoints of another one."""
    return f" [by the true keypoints, or by a method's: SOURCE+{spec.name}]" if spec.keypoints else ""


def _tasks() -> list[Row]:
    from tasks.registry import PROTOCOLS, TASKS

    return [
        {
            "name": spec.name,
            "summary": spec.summary,
            "version": spec.version,
            "layouts": list(spec.layouts),
            "protocols": {layout: PROTOCOLS[name].label for layout, name in spec.protocols.items()},
            "headline": list(spec.headline),
            "reference": spec.reference,
            "prediction_fields": spec.prediction_fields,
        }
        for spec in TASKS.values()
    ]


def _layouts() -> list[Row]:
    from tasks.layouts.registry import LAYOUTS

    return [
        {"name": spec.name, "summary": spec.summary, "tasks": list(spec.tasks)} for spec in LAYOUTS.values()
    ]


def _protocols() -> list[Row]:
    from tasks.registry import PROTOCOLS

    return [
        {
            "name": protocol.name,
            "summary": f"[{', '.join(protocol.tasks)}] {protocol.text} [{protocol.source}]",
            "version": protocol.version,
            "tasks": list(protocol.tasks),
            "root_joint": protocol.root_joint,
            "alignment": protocol.alignment,
            "metrics": list(protocol.metrics),
            "source": protocol.source,
        }
        for protocol in PROTOCOLS.values()
    ]


def _ablations() -> list[Row]:
    from methods.registry import METHODS, load_ablations

    return [
        {"name": f"{method}.{axis}", "summary": entry["question"], "method": method, **entry}
        for method in METHODS
        for axis, entry in load_ablations(method).items()
    ]


def _metrics() -> list[Row]:
    from tasks.registry import METRICS

    return [
        {
            "name": metric.name,
            "summary": f"[{metric.unit or '-'}, {metric.direction} is better] {metric.definition} [{metric.source}]",
            "unit": metric.unit,
            "direction": metric.direction,
            "title": metric.title,
            "definition": metric.definition,
            "source": metric.source,
        }
        for metric in METRICS.values()
    ]


def _clusters() -> list[Row]:
    return [
        {"name": "local", "summary": "a Ray head on this machine, started for the run and stopped after it"}
    ]
