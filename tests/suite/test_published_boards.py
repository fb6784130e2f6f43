"""The methods' published numbers beside rows of two hands, and what ranks them under each protocol."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import methods
from reports.boards import make_boards
from reports.leaderboard import leaderboard_table, published_tables
from reports.record import read_records, write_record
from tasks.registry import PROTOCOLS, TASKS, metrics_of

ROWS = (
    ("halo", "HALO", ["true keypoints"]),
    ("digit+halo", "DIGIT + HALO", []),
    ("intaghand", "IntagHand", []),
)


@pytest.fixture(scope="module")
def published():
    files = sorted(Path(methods.__file__).parent.rglob("published.yaml"))
    return [entry for file in files for entry in yaml.safe_load(file.read_text())]


@pytest.fixture
def board(tmp_path):
    """The board of three rows by a protocol, each with every metric of it but those named."""

    def made(name, without=()):
        protocol = PROTOCOLS[name]
        metrics = metrics_of(protocol)
        columns = {column for m in protocol.metrics if m not in without for column in metrics[m].needs}
        for k, (method, title, flags) in enumerate(ROWS):
            table = pd.DataFrame(
                {"cluster": ["a", "a", "b", "b"], **{c: np.ones(4) + 0.1 * k for c in sorted(columns)}},
                index=pd.Index(list("abcd"), name="sample"),
            )
            header = {
                "cell": f"{k:016x}", "kind": "run", "identity": {"method": method}, "method": method,
                "method_title": title, "task": "two_hands", "layout": "interhand26m", "split": "test", "seed": 0,
                "protocol": protocol.header(), "synthetic": True, "flags": flags,
            }  # fmt: skip
            write_record(tmp_path, header, table, {})
        (board,) = make_boards(read_records(tmp_path), TASKS)
        return board

    return made


def quoted(table):
    """Title -> column -> text, of the published columns."""
    shown = [i for i, c in enumerate(table.columns) if c.key.startswith("published")]
    return {
        row[0].text: {table.columns[i].title.split("data")[1]: row[i].text for i in shown if row[i].text}
        for row in table.rows
    }


def test_rows_with_true_and_with_predicted_keypoints_have_their_own_published_numbers(board, published):
    assert quoted(leaderboard_table(board("im2hands"), published)) == {
        "HALO": {", image and true keypoints": "IoU 0.747, CD 2.62"},
        "DIGIT + HALO": {", image only": "IoU 0.451, CD 7.64"},
        "IntagHand": {", image only": "IoU 0.59, CD 4.69"},
    }


def test_both_tables_of_the_poster_stand_on_its_protocols_board_alone(board, published):
    given, alone = published_tables(board("im2hands"), published)
    assert [cell.text for row in given.rows for cell in row[:1]] == [
        "HALO", "HALO*", "IntagHand", "Two-Hand-Shape-Pose", "Im2Hands"
    ]  # fmt: skip
    assert len(alone.rows) == 6
    assert [column.heading for column in given.columns[1:4]] == ["Inputs", "IoU ↑", "CD ↓ mm"]


def test_joint_errors_are_quoted_under_their_own_protocol(board, published):
    shown = quoted(leaderboard_table(board("intaghand"), published))
    assert shown["IntagHand"] == {"": "MPJPE 8.8, MPVPE 9.03, MPJPE left 8.93, MPJPE right 8.66, MPVPE left 9.17, "
                                      "MPVPE right 8.89"}  # fmt: skip
    (table,) = published_tables(board("interhand26m"), published)
    assert [row[0].text for row in table.rows] == ["DIGIT", "Keypoint Transformer", "InterNet"]
    assert published_tables(board("house_two_hands"), published) == []


@pytest.mark.parametrize(
    ("protocol", "ranks"),
    [
        ("im2hands", "iou"),
        ("intaghand", "mpjpe_mm"),
        ("interhand26m", "mpjpe_mm"),
        ("house_two_hands", "mpjpe_mm"),
    ],
)
def test_each_protocol_ranks_by_its_own_first_metric(board, protocol, ranks):
    assert board(protocol).ranking_metric == ranks == PROTOCOLS[protocol].metrics[0]


def test_joints_alone_rank_by_their_error(board):
    surface = [m for m in PROTOCOLS["im2hands"].metrics if m not in ("mpjpe_mm", "mrrpe_mm")]
    assert board("im2hands", surface).ranking_metric == "mpjpe_mm"
