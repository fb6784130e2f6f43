"""What ``palmares demo`` runs: every method at its tiny preset, AMVUR with and without 3D labels."""

from collections.abc import Sequence

from suite.plan import Request

VARIANTS: dict[str, tuple[dict[str, str], ...]] = {"amvur": ({}, {"supervision": "weak"})}


def requests(seeds: Sequence[int]) -> list[Request]:
    """The demo's requests, cheap methods first."""
    from methods.registry import METHODS
    from tasks.registry import TASKS

    ordered = sorted(METHODS.values(), key=lambda spec: (spec.kind != "baseline", spec.name))
    return [
        Request(spec.name, task, overrides=overrides, seeds=tuple(seeds))
        for task in TASKS
        for spec in ordered
        if task in spec.tasks
        for overrides in VARIANTS.get(spec.name, ({},))
    ]
