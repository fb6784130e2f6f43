"""Figures: drawn from the records alone, the same bytes each time."""

import hashlib
import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np

from reports.boards import make_boards
from reports.figures import (
    MAX_POINTS,
    board_figures,
    error_distribution,
    forest,
    sample_values,
    shown_curves,
    training_curves,
)
from reports.record import read_records, write_record
from tasks.registry import TASKS


def test_the_same_records_draw_the_same_bytes_whatever_the_users_settings(board):
    first = board_figures(board)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.hashsalt": "other"}):
        second = board_figures(board)
    digests = [
        [hashlib.sha256(d.png + d.svg.encode() + d.themed_svg.encode()).hexdigest() for d in ds]
        for ds in (first, second)
    ]
    assert digests[0] == digests[1]
    assert [drawing.name for drawing in first] == ["forest", "errors", "training"]


def test_figures_carry_no_date_and_no_tool(board):
    for drawing in board_figures(board):
        assert b"Software" not in drawing.png
        assert not re.search(r"<dc:date>|20\d\d-\d\d-\d\d", drawing.svg)


def test_the_pages_figures_are_svg_elements_in_the_pages_colours(board):
    for drawing in board_figures(board):
        root = ElementTree.fromstring(drawing.themed_svg)
        assert root.tag.endswith("svg")
        assert root.attrib["role"] == "img"
        assert "width" not in root.attrib
        assert "currentColor" in drawing.themed_svg
        assert "var(--rule)" in drawing.themed_svg
        assert "DejaVu" not in drawing.themed_svg


def test_the_forest_shows_each_rows_interval_and_seeds(board):
    figure = forest(board, board.rows)
    lines = figure.axes[0].get_lines()
    summary = board.rows[0].summary("mpjpe_mm")
    assert list(lines[0].get_xdata()) == [summary.low, summary.high]
    assert list(lines[1].get_xdata()) == [summary.value]
    assert len(lines[2].get_xdata()) == 3
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert [" ".join(label.split()) for label in labels] == [row.label for row in board.rows]


def test_the_error_distribution_rises_from_zero_to_one(board):
    figure = error_distribution(board, board.rows)
    lines = figure.axes[0].get_lines()
    assert len(lines) == len(board.rows)
    for line in lines:
        assert (np.diff(line.get_ydata()) > 0).all()
        assert line.get_ydata()[-1] == 1.0
        assert (np.diff(line.get_xdata()) >= 0).all()


def test_per_sample_values_are_the_mean_over_seeds_without_holes(board):
    row = board.rows[0]
    values = sample_values(row, ("mpjpe_mm",))
    expected = np.mean([record.per_sample["mpjpe_mm"] for record in row.records], axis=0)
    np.testing.assert_allclose(values, np.sort(expected))


def test_long_curves_are_binned_and_only_totals_are_shown(tmp_path, header, samples, curves):
    write_record(tmp_path, header(), samples(), {}, curves(5000))
    (board,) = make_boards(read_records(tmp_path), TASKS)
    (axes,) = training_curves(board.rows).axes
    assert [line.get_label() for line in axes.get_lines()] == ["total"]
    assert all(len(line.get_xdata()) == MAX_POINTS for line in axes.get_lines())


def test_totals_of_training_and_validation_are_shown_or_else_the_first_curves():
    assert shown_curves(["val/total", "train/total", "train/kl", "total_of_all"]) == [
        "train/total",
        "val/total",
    ]
    assert shown_curves([f"loss{i}" for i in range(9)]) == [f"loss{i}" for i in range(6)]


def test_losses_that_turn_negative_are_drawn_on_a_linear_axis(tmp_path, header, samples, curves):
    table = curves(200)
    table["value"] = table["value"] * 100 - 1
    write_record(tmp_path, header(), samples(), {}, table)
    (board,) = make_boards(read_records(tmp_path), TASKS)
    (axes,) = training_curves(board.rows).axes
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[1] < 150


def test_a_method_that_was_not_trained_has_no_training_figure(tmp_path, header, samples):
    write_record(tmp_path, header(), samples(), {})
    (board,) = make_boards(read_records(tmp_path), TASKS)
    assert [drawing.name for drawing in board_figures(board)] == ["forest", "errors"]
