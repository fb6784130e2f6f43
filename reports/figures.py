"""The figures of a board: intervals as a forest, error distributions, training curves. The same records, the
same bytes.

Figures are drawn without a display and carry neither dates nor random ids. In the page they are SVG whose
ink and grid follow the page's theme; as files they are SVG and PNG on white.
"""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from reports.boards import Board, Row
from reports.leaderboard import ARROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#3b76c4", "#d9743a", "#3f9a6b", "#b0549c", "#b08d2e", "#6f6bd1", "#c2514f", "#4a9aa5")
"""Colours that hold on light and on dark ground."""
INK, GRID = "#23272f", "#c9ced6"
THEME = {INK: "currentColor", GRID: "var(--rule)"}
MAX_POINTS = 120
MAX_CURVES = 6
MAX_ROWS = 12
PX_PER_PT = 1.3
STYLE: Any = {
    "axes.edgecolor": GRID, "axes.labelcolor": INK, "axes.spines.right": False, "axes.spines.top": False,
    "axes.titlelocation": "left", "axes.titlesize": 9.5, "axes.titlecolor": INK, "axes.labelsize": 9,
    "figure.dpi": 100, "font.family": "DejaVu Sans", "font.size": 9, "grid.color": GRID,
    "grid.linewidth": 0.6, "legend.fontsize": 8.5, "legend.frameon": False, "legend.labelcolor": INK,
    "lines.linewidth": 1.7, "text.color": INK, "xtick.color": GRID, "xtick.labelcolor": INK, "xtick.labelsize": 8.5,
    "ytick.color": GRID, "ytick.labelcolor": INK, "ytick.labelsize": 8.5,
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """A figure in its forms: ``svg`` and ``png`` for files, ``themed_svg`` for the page."""

    name: str
    caption: str
    svg: str
    themed_svg: str
    png: bytes


def board_figures(board: Board) -> list[Drawing]:
    """Every figure that the board's records allow."""
    metric = board.metrics[board.ranking_metric]
    having = [row for row in board.rows if row.summary(metric.name)]
    shown = having[:MAX_ROWS]
    some = f" The first {len(shown)} of {len(having):,} rows." if len(having) > len(shown) else ""
    if not shown:
        return []
    drawings = [
        draw(board.key, "forest", _forest_caption(board) + some, lambda: forest(board, shown)),
        draw(
            board.key,
            "errors",
            f"Share of test samples whose {metric.title} is at most the value on the axis, mean over seeds."
            + some,
            lambda: error_distribution(board, shown),
        ),
    ]
    trained = [row for row in shown if len(row.records[0].curves)]
    if trained:
        caption = (
            f"Total loss of the first seed by step; a curve is at most {MAX_POINTS} means of neighbours."
        )
        drawings.append(draw(board.key, "training", caption, lambda: training_curves(trained)))
    return drawings


def forest(board: Board, rows: Sequence[Row]) -> Figure:
    """The ranking metric of every row with its interval over test samples; a ring per training seed."""
    from matplotlib.figure import Figure

    metric = board.metrics[board.ranking_metric]
    figure = Figure(figsize=(6.2, max(3.4, 0.85 + 0.42 * len(rows))), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        summary = row.summary(metric.name)
        assert summary is not None
        colour = colour_of(board, row)
        axes.plot(
            [summary.low, summary.high], [place, place], color=colour, linewidth=3, solid_capstyle="round"
        )
        axes.plot(summary.value, place, "o", color=colour, markersize=7)
        if len(row.records) > 1:
            seeds = row.seed_values(metric.name)
            axes.plot(seeds, [place + 0.26] * len(seeds), "o", color=colour, fillstyle="none", markersize=4)
    axes.set_yticks(range(len(rows)), [wrapped(row.label, 30) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(" ".join(filter(None, (metric.title, ARROWS[metric.direction], metric.unit))))
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def error_distribution(board: Board, rows: Sequence[Row]) -> Figure:
    """Empirical distribution of the ranking metric over test samples, cut at the 99th percentile of all rows."""
    from matplotlib.figure import Figure

    metric = board.metrics[board.ranking_metric]
    figure = Figure(figsize=(6.2, 3.4), layout="constrained")
    axes = figure.subplots()
    right = 0.0
    for row in rows:
        values = sample_values(row, metric.sample_columns)
        share = np.arange(1, len(values) + 1) / len(values)
        axes.step(values, share, where="post", color=colour_of(board, row), label=wrapped(row.label, 44))
        right = max(right, float(np.percentile(values, 99)))
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), right)
    axes.set_ylim(0, 1)
    axes.set_xlabel(" ".join(filter(None, (metric.title, metric.unit))))
    axes.set_ylabel("share of test samples")
    axes.grid()
    axes.legend(loc="lower right")
    return figure


def training_curves(rows: Sequence[Row]) -> Figure:
    """A panel per row: the total loss of its first seed by step, in training and validation."""
    from matplotlib.figure import Figure

    across = min(3, len(rows))
    down = -(-len(rows) // across)
    figure = Figure(figsize=(4.2 * across, 3.0 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, row in zip(panels, rows, strict=False):
        _panel(axes, row)
    for axes in panels[len(rows) :]:
        axes.set_visible(False)
    return figure


def sample_values(row: Row, columns: Sequence[str]) -> np.ndarray:
    """Sorted finite per-sample values of a metric, the mean over the row's seeds."""
    per_seed = [record.per_sample[list(columns)].mean(axis=1) for record in row.records]
    values = sum(per_seed[1:], per_seed[0]) / len(per_seed)
    array = np.sort(np.asarray(values, dtype=np.float64))
    return array[np.isfinite(array)]


def colour_of(board: Board, row: Row) -> str:
    """The same colour for the same row in every figure of a board."""
    return PALETTE[board.rows.index(row) % len(PALETTE)]


def _panel(axes: Axes, row: Row) -> None:
    curves = row.records[0].curves
    values: list[np.ndarray] = []
    for i, name in enumerate(shown_curves(curves["name"])):
        curve = curves[curves["name"] == name].sort_values("step", kind="stable")
        steps, means = _binned(curve["step"].to_numpy(np.float64), curve["value"].to_numpy(np.float64))
        dashed = "--" if name.startswith("val/") else "-"
        axes.plot(steps, means, dashed, color=PALETTE[i % len(PALETTE)], linewidth=1.4, label=name)
        values.append(means[np.isfinite(means)])
    axes.set_title(wrapped(row.label, 44))
    axes.set_xlabel("step")
    _scale(axes, np.concatenate(values))
    axes.grid()
    axes.legend(loc="upper right")


def shown_curves(names: Iterable[str]) -> list[str]:
    """The totals, of training and validation; without any, the first few curves by name."""
    unique = sorted(set(map(str, names)))
    totals = [name for name in unique if name.rpartition("/")[2] == "total"]
    return totals or unique[:MAX_CURVES]


def _scale(axes: Axes, values: np.ndarray) -> None:
    """Logarithmic where all values allow it; else linear, without the first steps' outliers."""
    if len(values) and (values > 0).all():
        axes.set_yscale("log")
    elif len(values):
        low, high = values.min(), np.percentile(values, 97)
        margin = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)


def wrapped(label: str, width: int) -> str:
    """A label in lines of at most so many characters."""
    return textwrap.fill(label, width)


def _binned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MAX_POINTS means of neighbouring points."""
    if len(steps) <= MAX_POINTS:
        return steps, values
    groups = np.array_split(np.arange(len(steps)), MAX_POINTS)
    return np.array([steps[g].mean() for g in groups]), np.array([values[g].mean() for g in groups])


def _forest_caption(board: Board) -> str:
    metric = board.metrics[board.ranking_metric]
    rings = "; rings are single training seeds" if any(len(row.records) > 1 for row in board.rows) else ""
    return f"{metric.title} with its 95 % interval over test samples{rings}."


def draw(key: str, name: str, caption: str, make: Callable[[], Figure]) -> Drawing:
    """A figure in its forms; what ``make`` returns under ``key`` and ``name`` has the same bytes each time."""
    with _style(f"{key}-{name}"):
        figure, png = make(), io.BytesIO()
        figure.savefig(png, format="png", dpi=200, facecolor="white", metadata={"Software": None})
        figure.set_layout_engine("none")  # as laid out once
        svg = _svg(figure, name, "path")
        themed = themed_svg(_svg(figure, name, "none"), caption)
    return Drawing(name, caption, svg, themed, png.getvalue())


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Matplotlib's defaults with ours on top, whatever the user's own settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        matplotlib.rcParams.update({"svg.hashsalt": salt})
        yield


def _svg(figure: Figure, name: str, fonttype: Literal["path", "none"]) -> str:
    """The figure as SVG, its letters as outlines or as text."""
    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": fonttype}):
        metadata = {"Date": None, "Creator": None, "Title": name}
        figure.savefig(out, format="svg", transparent=True, metadata=metadata)
    return out.getvalue().decode()


def themed_svg(svg: str, title: str) -> str:
    """The SVG element alone, for a page: ink and grid in the page's colours, text in its font, no idle ids."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)
    head, rest = svg.split(">", 1)
    width_pt = re.search(r' width="([\d.]+)pt"', head)
    limit = f"{PX_PER_PT * float(width_pt[1]):.0f}px" if width_pt else "100%"
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{html.escape(title)}" style="max-width: {limit}">{rest}'
