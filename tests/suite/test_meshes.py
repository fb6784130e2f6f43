"""A cell's predicted hands written as mesh files."""

import csv

import numpy as np
import pandas as pd
import pytest
import trimesh

from reports.record import write_record
from suite.meshes import write_meshes
from suite.scoring import sample_meshes
from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.registry import PROTOCOLS, load_task

IDS = ["Capture0/ROM01/cam400001/image00002", "Capture0/ROM01/cam400001/image00001"]


@pytest.fixture(scope="module")
def hands():
    """Two frames; the second has no left hand."""
    rest = np.stack([load_hand(side).data.v_template for side in ("right", "left")])
    verts = np.stack([rest, rest + np.array([0, 0, 0.1])]).astype(np.float32) + np.float32([0, 0, 0.5])
    verts[1, 1] = np.nan
    return {"joints_cam_m": np.zeros((2, 2, 21, 3), np.float32), "verts_cam_m": verts}


def recorded(home, predictions, task="two_hands", hand=None):
    """A cell with these predictions."""
    protocol = PROTOCOLS["im2hands"]
    header = {
        "cell": "0123456789abcdef", "kind": "run", "method": "m", "task": task, "layout": "interhand26m",
        "split": "test", "seed": 0, "protocol": protocol.header(), "synthetic": True, "hand_name": "another",
        "identity": {"hand": hand or load_hand().fingerprint},
    }  # fmt: skip
    table = pd.DataFrame({"cluster": ["c", "c"]}, index=pd.Index(IDS, name="sample"))
    write_record(home.records, header, table, predictions)


@pytest.mark.parametrize(("file_format", "seal", "n_verts"), [("ply", False, 778), ("obj", True, 779)])
def test_every_hand_has_a_file_and_a_line_in_the_index(home, hands, tmp_path, file_format, seal, n_verts):
    recorded(home, hands)
    index = write_meshes(home, "0123", tmp_path / "out", file_format, seal)
    lines = list(csv.DictReader(index.open()))
    assert [(line["sample"], line["hand"]) for line in lines] == [
        (IDS[0], "right"), (IDS[0], "left"), (IDS[1], "right")
    ]  # fmt: skip
    files = {file.name for file in (tmp_path / "out").iterdir()} - {"index.csv"}
    assert files == {line["file"] for line in lines}
    assert lines[0]["file"] == f"Capture0_ROM01_cam400001_image00002_right.{file_format}"
    mesh = trimesh.load(tmp_path / "out" / lines[2]["file"], process=False)
    np.testing.assert_allclose(mesh.vertices[:778], hands["verts_cam_m"][1, 0], atol=1e-6)
    for line in lines:
        assert (int(line["vertices"]), line["closed"], line["kind"]) == (
            n_verts,
            str(int(seal)),
            "hand model",
        )


def test_what_cannot_be_written_is_said_in_a_sentence(home, hands, tmp_path):
    def refused(words, *arguments):
        with pytest.raises(RequestError, match=words):
            write_meshes(home, "0123", tmp_path / "out", *arguments)

    recorded(home, hands)
    refused("unknown format of meshes 'plu': did you mean 'ply'", "plu")
    (tmp_path / "out").write_text("a file")
    refused("cannot write .*out")
    recorded(home, {"joints_cam_m": hands["joints_cam_m"]})
    refused("predicts no meshes: its fields are joints_cam_m")
    recorded(home, hands, hand="0" * 16)
    refused("made with another hand model .*set PALMARES_MANO")
    recorded(home, hands, task="single_hand")
    refused("is of task 'single_hand': only two_hands")


def test_the_meshes_of_a_few_samples_go_into_a_record(home, hands):
    class Dataset:
        ids = IDS

        def __len__(self):
            return len(IDS)

    files = sample_meshes(load_task("two_hands"), hands, Dataset())
    assert sorted(files) == [
        "meshes/Capture0_ROM01_cam400001_image00001_right.ply",
        "meshes/Capture0_ROM01_cam400001_image00002_left.ply",
        "meshes/Capture0_ROM01_cam400001_image00002_right.ply",
    ]
    assert all(content.startswith(b"ply\n") for content in files.values())
    assert sample_meshes(load_task("single_hand"), hands, Dataset()) == {}
