"""Machines that a cluster is asked for: one that grows on demand starts what waiting work needs."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any


class Demand:
    """A wish for room, held until it is granted or withdrawn, or this process ends.

    It is a group of bundles that waits to be placed, which is what an autoscaler goes by. Nothing runs in it: once it
    is placed, the machines are there, and it is let go.
    """

    def __init__(self) -> None:
        self._group: Any = None
        self._bundles: Sequence[Mapping[str, float]] = ()

    def ask(self, bundles: Sequence[Mapping[str, float]]) -> bool:
        """Wish for room for these bundles beside all that there is, for nothing else; True once, when it is there."""
        if self._group is not None and self._is_placed():
            self.withdraw()
            return True
        if list(bundles) != list(self._bundles):
            self.withdraw()
        if bundles and self._group is None:
            from ray.util import placement_group

            self._group, self._bundles = placement_group([dict(bundle) for bundle in bundles]), bundles
        return False

    @staticmethod
    def free_cpus() -> float:
        """Of the whole cluster, as far as nobody holds them now."""
        import ray

        return float(ray.available_resources().get("CPU", 0.0))

    def withdraw(self) -> None:
        """Wish for nothing."""
        if self._group is not None:
            from ray.util import remove_placement_group

            remove_placement_group(self._group)
        self._group, self._bundles = None, ()

    def _is_placed(self) -> bool:
        with contextlib.suppress(Exception):  # a head that does not answer grants nothing
            return bool(self._group.wait(timeout_seconds=0))
        return False
