"""Every format written and read back, and seen as the official scripts see it."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from tasks.errors import RequestError
from tasks.ragged import Ragged, to_arrays
from tasks.submissions import read_submission, write_submission

A_OF_B = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
C_OF_B = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]


def difference(fields, other):
    assert set(fields) == set(other)
    return max(np.nanmax(np.abs(fields[name] - other[name]), initial=0) for name in fields)


@pytest.mark.parametrize("layout", ["freihand", "ho3d_v2", "ho3d_v3"])
@pytest.mark.parametrize("name", ["pred.json", "anything.json", "pred.zip", "own.npz"])
def test_what_is_written_is_read_back_to_the_last_bit(small, tmp_path, layout, name):
    write_submission(tmp_path / name, layout, small.fields(), small)
    assert difference(read_submission(tmp_path / name, layout, small, tmp_path / "s"), small.fields()) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "s"])


@pytest.mark.parametrize("layout", ["dexycb", "dexycb_s1"])
def test_dexycb_text_is_read_back_to_its_decimals(make_single, tmp_path, layout):
    dataset = make_single(5, left=True, frames=[3, 4, 9, 10, 17])
    joints = {"joints_cam_m": dataset.fields()["joints_cam_m"]}
    write_submission(tmp_path / "pred.txt", layout, joints, dataset)
    assert (
        difference(read_submission(tmp_path / "pred.txt", layout, dataset, tmp_path / "s"), joints)
        <= 5.01e-10
    )


def test_freihand_json_is_what_the_official_script_loads(small, tmp_path):
    write_submission(tmp_path / "pred.json", "freihand", small.fields(), small)
    xyz, verts = json.loads((tmp_path / "pred.json").read_text())
    np.testing.assert_array_equal(xyz, small.samples.joints_m)
    np.testing.assert_array_equal(verts, small.samples.verts_m)


def test_ho3d_json_has_mano_order_and_opengl_axes(small, tmp_path):
    write_submission(tmp_path / "pred.zip", "ho3d_v2", small.fields(), small)
    with zipfile.ZipFile(tmp_path / "pred.zip") as archive:
        assert archive.namelist() == ["pred.json"]
        xyz, verts = (np.array(part) for part in json.loads(archive.read("pred.json")))
    np.testing.assert_array_equal(xyz, small.samples.joints_m[:, A_OF_B] * [1, -1, -1])
    np.testing.assert_array_equal(verts, small.samples.verts_m * [1, -1, -1])
    assert (xyz[..., 2] < 0).all()


def test_dexycb_text_is_what_the_official_script_loads(make_single, tmp_path):
    dataset = make_single(5, left=True, frames=[3, 4, 9, 10, 17])
    write_submission(tmp_path / "pred.txt", "dexycb", dataset.fields(), dataset)
    rows = [line.split(",") for line in (tmp_path / "pred.txt").read_text().splitlines()]
    assert [int(row[0]) for row in rows] == [3, 4, 9, 10, 17]
    expected_mm = dataset.samples.joints_m * 1000
    expected_mm[[0, 3]] *= [-1, 1, 1]
    np.testing.assert_allclose(
        np.array([row[1:] for row in rows], float).reshape(5, 21, 3), expected_mm, atol=1e-6
    )


def test_dexycb_lines_may_come_in_any_order(make_single, tmp_path):
    dataset = make_single(5, frames=[3, 4, 9, 10, 17])
    write_submission(tmp_path / "a.txt", "dexycb", dataset.fields(), dataset)
    lines = (tmp_path / "a.txt").read_text().splitlines()
    (tmp_path / "b.txt").write_text("\n".join(lines[::-1]) + "\n\n")
    a, b = (read_submission(tmp_path / f"{n}.txt", "dexycb", dataset, tmp_path / n) for n in "ab")
    assert difference(a, b) == 0


def test_left_hands_stand_in_the_original_camera_in_our_own_format_too(make_single, tmp_path):
    dataset = make_single(6, left=True)
    write_submission(tmp_path / "own.npz", "dexycb", dataset.fields(), dataset)
    stored = np.load(tmp_path / "own.npz")["joints_cam_m"]
    np.testing.assert_array_equal(stored[0], dataset.samples.joints_m[0] * [-1, 1, 1])
    np.testing.assert_array_equal(stored[1], dataset.samples.joints_m[1])
    read = read_submission(tmp_path / "own.npz", "dexycb", dataset, tmp_path / "s")
    assert difference(read, dataset.fields()) == 0


def test_interhand_npz_is_what_the_official_script_scores(make_two_hands, tmp_path):
    """Back-projection of the official evaluation, formula by formula."""
    dataset = make_two_hands()
    fields, truth_m = dataset.fields(), dataset.samples.joints_m
    fields["joints_cam_m"] = truth_m + np.random.default_rng(0).normal(0, 0.01, truth_m.shape)
    write_submission(tmp_path / "pred.npz", "interhand26m", fields, dataset)
    with np.load(tmp_path / "pred.npz") as stored:
        coord, rel, types = stored["joint_coord"], stored["rel_root_depth"], stored["hand_type"]
    both = np.flatnonzero(np.isfinite(truth_m).all(axis=(1, 2, 3)))
    for i in both:
        k = dataset.samples.intrinsics_px[i]
        for hand in (0, 1):
            joints = coord[i, 21 * hand : 21 * hand + 21].copy()
            depth = joints[:, 2] + 1000 * truth_m[i, hand, 0, 2]
            x = (joints[:, 0] - k[0, 2]) / k[0, 0] * depth
            y = (joints[:, 1] - k[1, 2]) / k[1, 1] * depth
            official_mm = np.stack([x, y, depth], axis=1)
            np.testing.assert_allclose(official_mm, 1000 * fields["joints_cam_m"][i, hand, C_OF_B], atol=1e-9)
        left_depth = coord[i, 41, 2] + 1000 * truth_m[i, 0, 0, 2] + rel[i, 0]
        assert left_depth == pytest.approx(1000 * fields["joints_cam_m"][i, 1, 0, 2], abs=1e-9)
    np.testing.assert_array_equal(types, np.isfinite(truth_m).all(axis=(2, 3)))


def test_interhand_npz_is_read_back(make_two_hands, tmp_path):
    dataset = make_two_hands()
    truth_m = dataset.samples.joints_m
    fields = dataset.fields()
    fields["joints_cam_m"] = truth_m + np.random.default_rng(0).normal(0, 0.01, truth_m.shape)
    write_submission(tmp_path / "pred.npz", "interhand26m", fields, dataset)
    read = read_submission(tmp_path / "pred.npz", "interhand26m", dataset, tmp_path / "s")
    np.testing.assert_allclose(read["joints_cam_m"], fields["joints_cam_m"], atol=1e-9)
    np.testing.assert_array_equal(read["verts_cam_m"], fields["verts_cam_m"])
    own_m = fields["joints_cam_m"][:, 1, 0] - fields["joints_cam_m"][:, 0, 0]
    np.testing.assert_allclose(read["relative_root_m"], own_m, atol=1e-9)
    assert not {"joint_coord.npy", "rel_root_depth.npy"} & {p.name for p in (tmp_path / "s").iterdir()}


def surfaces(counts=((4, 0), (0, 5), (6, 7))):
    """Free surfaces of three frames, no two rows alike; each hand has as many faces as vertices."""
    counts = np.array(counts)
    verts = np.arange(3.0 * counts.sum()).reshape(-1, 3) / 1000
    corners = np.concatenate([np.arange(n) for n in counts.ravel()])
    faces = np.stack([corners, corners, np.zeros_like(corners)], axis=1)
    return {"surface_verts_cam_m": Ragged(verts, counts), "surface_faces": Ragged(faces, counts)}


def assert_same_surfaces(read, expected):
    for name, values in expected.items():
        np.testing.assert_array_equal(read[name].counts, values.counts)
        np.testing.assert_array_equal(read[name].values, values.values)
    assert read["surface_faces"].values.dtype == np.int64


def test_free_surfaces_are_read_back(make_two_hands, tmp_path):
    dataset, expected = make_two_hands(3), surfaces()
    write_submission(tmp_path / "pred.npz", "interhand26m", dataset.fields() | expected, dataset)
    read = read_submission(tmp_path / "pred.npz", "interhand26m", dataset, tmp_path / "s")
    assert_same_surfaces(read, expected)
    assert isinstance(read["surface_verts_cam_m"].values, np.memmap)
    write_submission(tmp_path / "again.npz", "interhand26m", dataset.fields() | surfaces(), dataset)
    assert (tmp_path / "pred.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
@pytest.mark.parametrize("rows", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_free_surfaces_are_put_in_order_by_ids(make_two_hands, tmp_path, monkeypatch, rows, dtype, order):
    monkeypatch.setattr("tasks.submissions.fields.BLOCK_BYTES", 64)
    dataset, expected = make_two_hands(3), surfaces()
    verts, faces = expected["surface_verts_cam_m"], expected["surface_faces"]
    verts = Ragged(verts.values.astype("f4").astype("f8"), verts.counts)
    shuffled = {"surface_verts_cam_m": verts[np.array(rows)], "surface_faces": faces[np.array(rows)]}
    arrays = to_arrays(shuffled, "_counts")
    arrays["surface_verts_cam_m"] = np.asarray(arrays["surface_verts_cam_m"], dtype, order=order)
    arrays["surface_faces"] = np.asarray(arrays["surface_faces"], "<u2", order=order)
    arrays["joints_cam_m"] = dataset.fields()["joints_cam_m"][rows]
    np.savez(tmp_path / "own.npz", ids=np.array(dataset.ids)[rows], **arrays)
    read = read_submission(tmp_path / "own.npz", "interhand26m", dataset, tmp_path / "s")
    assert_same_surfaces(read, {"surface_verts_cam_m": verts, "surface_faces": faces})
    assert not list((tmp_path / "s").glob("*.columns.npy"))


def test_a_predicted_relative_root_keeps_its_depth(make_two_hands, tmp_path):
    """The official format has one number for it."""
    dataset = make_two_hands()
    fields = {"joints_cam_m": dataset.samples.joints_m}
    own_m = fields["joints_cam_m"][:, 1, 0] - fields["joints_cam_m"][:, 0, 0]
    fields["relative_root_m"] = own_m + np.array([0, 0, 0.02])
    write_submission(tmp_path / "all.npz", "interhand26m", fields, dataset)
    with np.load(tmp_path / "all.npz") as stored:
        official = {name: stored[name] for name in ("joint_coord", "rel_root_depth", "hand_type")}
    np.savez(tmp_path / "official.npz", **official)
    for name in ("all", "official"):
        read = read_submission(tmp_path / f"{name}.npz", "interhand26m", dataset, tmp_path / name)
        np.testing.assert_allclose(read["relative_root_m"][:, 2], fields["relative_root_m"][:, 2], atol=1e-9)


def test_relative_root_depth_may_be_a_column_or_a_row(make_two_hands, tmp_path):
    dataset = make_two_hands(3)
    arrays = {"joint_coord": np.ones((3, 42, 3)), "hand_type": np.ones((3, 2))}
    results = []
    for shape in ((3,), (3, 1)):
        np.savez(tmp_path / "a.npz", rel_root_depth=np.full(shape, 5.0), **arrays)
        results.append(
            read_submission(tmp_path / "a.npz", "interhand26m", dataset, tmp_path / str(len(shape)))
        )
    assert difference(*results) == 0


def test_two_hands_have_our_own_format_too(make_two_hands, tmp_path):
    dataset = make_two_hands()
    fields = dataset.fields() | {"handedness": np.full((len(dataset.ids), 2), 0.7)}
    np.savez_compressed(tmp_path / "own.npz", **fields)
    assert (
        difference(read_submission(tmp_path / "own.npz", "interhand26m", dataset, tmp_path / "s"), fields)
        == 0
    )


def test_records_of_an_npz_are_put_in_order_by_their_ids(small, tmp_path):
    order = [2, 0, 3, 1]
    fields = {name: values[order] for name, values in small.fields().items()}
    np.savez(tmp_path / "own.npz", ids=np.array(small.ids)[order], **fields)
    read = read_submission(tmp_path / "own.npz", "freihand", small, tmp_path / "s")
    assert difference(read, small.fields()) == 0


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npz_may_hold_any_numbers_in_any_memory_order(small, tmp_path, dtype, order):
    fields = {name: np.asarray(values, dtype, order=order) for name, values in small.fields().items()}
    np.savez(tmp_path / "own.npz", **fields)
    read = read_submission(tmp_path / "own.npz", "freihand", small, tmp_path / "s")
    assert difference(read, fields) == 0
    assert all(values.dtype == np.float64 for values in read.values())


def test_json_may_be_indented_and_hold_whole_numbers(small, tmp_path):
    fields = small.fields()
    lists = [fields["joints_cam_m"].tolist(), fields["verts_cam_m"].tolist()]
    lists[0][0][0] = [0, 1, -2]
    (tmp_path / "pred.json").write_text(json.dumps(lists, indent=8) + "\n")
    fields["joints_cam_m"][0, 0] = [0, 1, -2]
    assert difference(read_submission(tmp_path / "pred.json", "freihand", small, tmp_path / "s"), fields) == 0


def test_meshes_may_have_a_topology_of_their_own_or_be_absent(small, tmp_path):
    joints = small.fields()["joints_cam_m"]
    (tmp_path / "a.json").write_text(json.dumps([joints.tolist(), np.ones((4, 100, 3)).tolist()]))
    (tmp_path / "b.json").write_text(json.dumps([joints.tolist(), []]))
    assert read_submission(tmp_path / "a.json", "freihand", small, tmp_path / "a")["verts_cam_m"].shape == (
        4,
        100,
        3,
    )
    assert list(read_submission(tmp_path / "b.json", "freihand", small, tmp_path / "b")) == ["joints_cam_m"]


def test_big_arrays_stay_on_disk(small, tmp_path):
    write_submission(tmp_path / "pred.json", "freihand", small.fields(), small)
    read = read_submission(tmp_path / "pred.json", "freihand", small, tmp_path / "s")
    assert all(isinstance(values, np.memmap) for values in read.values())
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["joints_cam_m.npy", "verts_cam_m.npy"]


@pytest.mark.parametrize("name", ["pred.json", "pred.zip", "own.npz"])
def test_the_same_predictions_are_the_same_bytes(small, tmp_path, name):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_submission(tmp_path / folder / name, "freihand", small.fields(), small)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "layout", "change", "message"),
    [
        ("pred.json", "freihand", lambda f: f.pop("verts_cam_m"), "lack 'verts_cam_m'"),
        (
            "pred.json",
            "freihand",
            lambda f: f["joints_cam_m"].__setitem__((2, 3), np.nan),
            "evaluation/00000002",
        ),
        (
            "own.npz",
            "freihand",
            lambda f: f.update(joint_m=f["joints_cam_m"]),
            "unknown prediction field 'joint_m'",
        ),
        ("own.npz", "freihand", lambda f: f.update(flat_rgb=np.zeros(3)), "field 'flat_rgb' has shape"),
        ("pred.txt", "freihand", lambda f: None, "unknown ending '.txt'"),
        ("pred.json", "dexycb", lambda f: None, "unknown ending '.json'"),
        ("pred.json", "hoi4d", lambda f: None, "no submissions in the layout 'hoi4d'"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_the_old_file(
    small, tmp_path, name, layout, change, message
):
    fields = small.fields()
    change(fields)
    (tmp_path / name).write_text("old")
    with pytest.raises(RequestError, match=message.replace(".", r"\.")):
        write_submission(tmp_path / name, layout, fields, small)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "old")]


def test_a_folder_that_does_not_exist_is_named(small, tmp_path):
    with pytest.raises(RequestError, match=r"cannot write .+absent"):
        write_submission(tmp_path / "absent" / "pred.json", "freihand", small.fields(), small)


def test_archives_of_more_than_four_gigabytes_are_understood(small, tmp_path, monkeypatch):
    """They have a larger table of contents, which a lower limit brings out."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    for name in ("own.npz", "pred.zip"):
        write_submission(tmp_path / name, "freihand", small.fields(), small)
        assert b"PK\x06\x07" in (tmp_path / name).read_bytes()
        read = read_submission(tmp_path / name, "freihand", small, tmp_path / "s")
        assert difference(read, small.fields()) == 0


def test_a_disk_without_room_is_named_before_anything_is_written(small, tmp_path, monkeypatch):
    write_submission(tmp_path / "own.npz", "freihand", small.fields(), small)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(RequestError, match="needs 1 MB of disk and 0 are free"):
        read_submission(tmp_path / "own.npz", "freihand", small, tmp_path / "s")
