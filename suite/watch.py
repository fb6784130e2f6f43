"""How far a cell has got, seen from its files: by whichever process, on whichever node, it is run."""

from dataclasses import dataclass

from suite.curves import Point, curve_names, read_curve
from suite.home import Home, read_json
from suite.plan import Cell
from suite.stage_plan import PlannedStage, planned_stages
from suite.stages import CURVE, StageCache

EVALUATING = "evaluating"


@dataclass(frozen=True)
class Standing:
    """What a cell is at, and how far: steps of a stage, or shards of the test set. ``total`` is 0 until it is known."""

    doing: str
    done: int = 0
    total: int = 0
    loss: float | None = None

    @property
    def mark(self) -> str:
        """Another one as soon as the cell has got further."""
        return f"{self.doing} {self.done}"


class Watch:
    """Follows one cell. ``news`` are the curve points that were not there at the look before."""

    def __init__(self, home: Home, cell: Cell) -> None:
        self.home, self.cell = home, cell
        self.stages = planned_stages(cell)
        self.news: list[Point] = []
        self._cache = StageCache(home)
        self._seen: set[tuple[int, str]] = set()

    def look(self) -> Standing:
        """Where the cell stands now."""
        self.news = []
        current = next((stage for stage in self.stages if self._cache.note(stage.key) is None), None)
        return self._training(current) if current else self._evaluating()

    def _training(self, stage: PlannedStage) -> Standing:
        folder = self.home.train / stage.key
        points = read_curve(folder / CURVE)
        self._hear(curve_names(points, stage.name if len(self.stages) > 1 else None))
        losses = [point["value"] for point in points if point["name"] == "train/total"]
        total = int((read_json(folder / "plan.json") or {}).get("steps", 0))
        return Standing(
            stage.name, points[-1]["step"] if points else 0, total, losses[-1] if losses else None
        )

    def _hear(self, points: list[Point]) -> None:
        self.news = [point for point in points if (point["step"], point["name"]) not in self._seen]
        self._seen.update((point["step"], point["name"]) for point in self.news)

    def _evaluating(self) -> Standing:
        plan = self.home.evaluation_plan(self.cell.id)
        total = int((read_json(plan) or {}).get("shards", 0))
        return Standing(EVALUATING, len(list(plan.parent.glob("[0-9]*.npz"))), total)
