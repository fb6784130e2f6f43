"""What cells will cost, by what finished ones did cost.

A stage is charged by the image: the seconds of its finished trainings over the images they saw, the median of what is
known of the same stage. What a cell finds in the cache costs nothing. Of a method that has finished nothing yet,
nothing is known, and that is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from methods.base import StageSpec
from methods.config import TrainingConfig
from suite.home import Home, read_json
from suite.plan import Cell, Header
from suite.stage_plan import PlannedStage, planned_stages

RECENT = 100
"""Records that are read: the latest."""


@dataclass
class Costs:
    """Seconds that were seen, by method and stage."""

    per_image: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    samples: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """How many samples a stage learnt from, by method, stage and data."""
    evaluation: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """By method and data."""

    @classmethod
    def of(cls, home: Home, methods: Iterable[str]) -> Costs:
        """What the latest records of some methods tell."""
        found, wanted = cls(), set(methods)
        for header in _latest(home):
            if header["identity"]["method"] in wanted and header.get("kind") == "run":
                found.learn(header)
        return found

    def learn(self, header: Header) -> None:
        """Take in what a record says of its cost."""
        from methods.registry import METHODS, load_config_model

        identity = header["identity"]
        name, data = identity["method"], identity["data_fingerprint"]
        self.evaluation[name, data].append(header["cost"]["evaluate_s"])
        try:
            config = load_config_model(name).model_validate(identity["config"])
        except ValueError:  # of another version
            return
        specs = {spec.name: spec for spec in METHODS[name].stages(config, header.get("keypoints_from") or "")}
        for note in header["stages"]:
            if note["name"] in specs:
                used = note["samples"]["train"]["used"]
                seen = images(specs[note["name"]].training(config), used)
                self.samples[name, note["name"], data] = used
                self.per_image[name, note["name"]].append(
                    (note["train_s"] + note.get("derive_s", 0.0)) / seen
                )

    def seconds(self, cell: Cell, to_train: Iterable[PlannedStage] | None = None) -> float | None:
        """What a cell will take if it trains these stages, all unless given.

        None where nothing of the kind has finished yet.
        """
        name, data = cell.method.name, cell.data_fingerprint
        total = _median(self.evaluation.get((name, data)) or self._any_evaluation(name))
        if total is None:
            return None
        for stage in planned_stages(cell) if to_train is None else to_train:
            cost = self.of_stage(cell, stage.spec)
            if cost is None:
                return None
            total += cost
        return total

    def of_stage(self, cell: Cell, spec: StageSpec) -> float | None:
        """Seconds of training a stage of a cell."""
        rate = _median(self.per_image.get((cell.method.name, spec.name), []))
        used = self._samples(cell, spec.name)
        return None if rate is None or used is None else rate * images(spec.training(cell.config), used)

    def _any_evaluation(self, name: str) -> list[float]:
        return [
            seconds for (method, _), seen in self.evaluation.items() if method == name for seconds in seen
        ]

    def _samples(self, cell: Cell, stage: str) -> int | None:
        here = self.samples.get((cell.method.name, stage, cell.data_fingerprint))
        anywhere = (
            n for (method, name, _), n in self.samples.items() if (method, name) == (cell.method.name, stage)
        )
        return here or next(anywhere, None)


def images(training: TrainingConfig, samples: int) -> int:
    """How many a training sees."""
    return training.epochs * min(training.epoch_samples or samples, samples)


def _latest(home: Home) -> Iterator[Header]:
    files = [folder / "record.json" for folder in home.records.glob("[0-9a-f]*")]
    dated = sorted(((file.stat().st_mtime, file) for file in files if file.exists()), reverse=True)
    for _, file in dated[:RECENT]:
        if header := read_json(file):
            yield header


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None
