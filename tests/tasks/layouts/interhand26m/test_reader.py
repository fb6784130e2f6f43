import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.hands.skeleton import reorder
from tasks.layouts.interhand26m import InterHand26M
from tasks.layouts.interhand26m.data_file import read_data
from tasks.layouts.registry import find_layout, open_layout
from tests.tasks.layouts.interhand26m.conftest import edit

C_TO_B = [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16]


def raw(root: Path, key: str, split: str = "test") -> dict:
    return json.loads((root / "annotations" / split / f"InterHand2.6M_{split}_{key}.json").read_text())


def by_formula(root: Path, image: dict) -> NDArray[np.float64]:
    """Joints (2, 21, 3) in metres of an image record, from the files, one step at a time."""
    capture = str(image["capture"])
    world = np.array(raw(root, "joint_3d")[capture][str(image["frame_idx"])]["world_coord"])
    cameras = raw(root, "camera")[capture]
    camrot, campos = (np.array(cameras[name][image["camera"]]) for name in ("camrot", "campos"))
    seen = np.array([camrot @ (joint - campos) for joint in world]) / 1000
    return np.stack([seen[:21][C_TO_B], seen[21:][C_TO_B]])


def test_single_hands_come_first_then_interacting_ones(pristine: Path) -> None:
    test = InterHand26M(pristine).split("test")
    assert test.hand_type.tolist() == ["right"] * 2 + ["left"] * 2 + ["interacting"] * 4
    assert test.annotation_ids.tolist() == [2, 3, 4, 5, 0, 1, 6, 7]


def test_ids_and_clusters_name_capture_and_sequence(pristine: Path) -> None:
    test = InterHand26M(pristine).split("test")
    assert test.ids[0] == "test/Capture0/ROM0_b/cam400/101"
    assert test.clusters[0] == "test/Capture0/ROM0_b"
    assert len(set(test.ids)) == len(test) == 8
    assert len(set(test.clusters)) == 3


def test_joints_are_those_of_the_disk_in_the_camera_frame(pristine: Path) -> None:
    test = InterHand26M(pristine).split("test")
    images = {image["id"]: image for image in raw(pristine, "data")["images"]}
    for i, annotation in enumerate(test.annotation_ids):
        expected = by_formula(pristine, images[annotation])
        there = np.isfinite(test.joints_m[i]).all(axis=(1, 2))
        assert there.tolist() == [test.hand_type[i] != "left", test.hand_type[i] != "right"]
        np.testing.assert_allclose(test.joints_m[i][there], expected[there], atol=1e-12)


def test_a_test_split_keeps_float64_and_a_train_split_does_not(pristine: Path) -> None:
    layout = InterHand26M(pristine)
    assert layout.split("test").joints_m.dtype == np.float64
    assert layout.split("train").joints_m.dtype == np.float32
    assert layout.split("train").fits(np.arange(2))["verts_m"].dtype == np.float32


def test_the_wrist_decides_for_its_hand(dataset: Path) -> None:
    def cover(content: dict) -> None:
        content["annotations"][0]["joint_valid"][20] = [0]
        content["annotations"][1]["joint_valid"][0] = [0]

    edit(dataset, "data", cover)
    test = InterHand26M(dataset).split("test")
    before = InterHand26M(dataset).split("train")
    assert before.joint_valid.shape == (8, 2, 21)
    assert not test.joint_valid[4, 0].any()
    assert test.joint_valid[4, 1].all()
    thumb_tip = 4
    assert np.flatnonzero(~test.joint_valid[5, 0]).tolist() == [thumb_tip]


def test_a_joint_that_nobody_annotated_is_nan_and_never_valid(dataset: Path) -> None:
    edit(dataset, "joint_3d", lambda content: content["0"]["101"]["joint_valid"].__setitem__(7, [0]))
    test = InterHand26M(dataset).split("test")
    index_base = 5
    assert np.isnan(test.joints_m[0, 0, index_base]).all()
    assert not test.joint_valid[0, 0, index_base]
    assert test.joint_valid[0, 0].sum() == 20


def test_annotations_find_their_images_by_id_and_not_by_position(dataset: Path) -> None:
    expected = InterHand26M(dataset).split("test")
    edit(dataset, "data", lambda content: content["images"].reverse())
    test = InterHand26M(dataset).split("test")
    assert test.ids == expected.ids
    for i in range(8):
        assert round(float(test.image(i).mean())) == 20 + 10 * test.annotation_ids[i]


def test_an_unusual_file_name_is_kept(dataset: Path) -> None:
    def rename(content: dict) -> None:
        content["images"][2]["file_name"] = "Capture0/elsewhere.jpg"

    shutil.move(
        dataset / "images/test/Capture0/ROM0_b/cam400/image101.jpg",
        dataset / "images/test/Capture0/elsewhere.jpg",
    )
    edit(dataset, "data", rename)
    assert InterHand26M(dataset).split("test").image(0).shape == (512, 334, 3)


def test_fits_give_the_annotated_joints_in_the_camera_frame(pristine: Path) -> None:
    test = InterHand26M(pristine).split("test")
    fits = test.fits(np.arange(8))
    assert fits["verts_m"].shape == (8, 2, 778, 3)
    np.testing.assert_array_equal(np.isfinite(fits["verts_m"]).all(axis=(2, 3)), test.has_fit)
    joints = test.joints_of(fits["verts_m"])
    np.testing.assert_array_equal(np.isfinite(joints).all(axis=(2, 3)), test.has_fit)
    np.testing.assert_allclose(joints[test.has_fit], test.joints_m[test.has_fit], atol=1e-6)


def test_pose_shape_and_translation_of_a_fit_give_its_vertices(pristine: Path) -> None:
    test = InterHand26M(pristine).split("test")
    fits = test.fits(np.array([6, 0]))
    for hand, side in enumerate(("right", "left")):
        pose, betas = (torch.from_numpy(fits[name][:1, hand]).float() for name in ("pose_aa", "betas"))
        verts = load_hand(side)(pose, betas)[0][0].numpy() + fits["trans_m"][0, hand]
        np.testing.assert_allclose(verts, fits["verts_m"][0, hand], atol=1e-6)
    assert np.isnan(fits["pose_aa"][1, 1]).all()


def test_fits_may_be_asked_for_in_any_number(pristine: Path) -> None:
    test = InterHand26M(pristine).split("test")
    assert test.fits(np.array([], np.int64))["verts_m"].shape == (0, 2, 778, 3)
    some = test.fits(np.array([3, 5, 3]))["verts_m"]
    np.testing.assert_array_equal(some[0], some[2])


def test_a_missing_fit_is_nan_and_leaves_the_mesh_protocols(dataset: Path) -> None:
    def drop(content: dict) -> None:
        content["0"]["100"]["left"] = None
        del content["0"]["101"]

    edit(dataset, "MANO_NeuralAnnot", drop)
    test = InterHand26M(dataset).split("test")
    assert test.has_fit[[0, 4]].tolist() == [[False, False], [True, False]]
    assert test.mesh_frames().tolist() == [6, 7]
    fits = test.fits(np.array([0, 4]))
    assert np.isnan(fits["verts_m"][0]).all()
    assert np.isnan(fits["verts_m"][1, 1]).all()
    assert np.isfinite(fits["verts_m"][1, 0]).all()


def test_doubtful_hand_types_leave_the_mesh_protocols(dataset: Path) -> None:
    edit(dataset, "data", lambda content: content["annotations"][6].__setitem__("hand_type_valid", 0))
    test = InterHand26M(dataset).split("test")
    assert test.hand_type_valid.tolist() == [True] * 6 + [False, True]
    assert test.mesh_frames().tolist() == [4, 5, 7]


def test_the_official_regressor_is_used_where_it_lies_beside(dataset: Path) -> None:
    rows = np.zeros((21, 778))
    rows[np.arange(21), np.arange(21) * 3] = 1
    np.save(dataset / "J_regressor_mano_ih26m.npy", rows)
    test = InterHand26M(dataset).split("test")
    verts = test.fits(np.array([4]))["verts_m"]
    np.testing.assert_allclose(test.joints_of(verts)[0, 0, 0], verts[0, 0, 60], atol=1e-12)
    np.save(dataset / "J_regressor_mano_ih26m.npy", rows[:20])
    with pytest.raises(RequestError, match=r"J_regressor_mano_ih26m.npy: has shape \(20, 778\), expected"):
        test.joints_of(verts)


def test_the_order_lists_are_inverse_to_each_other() -> None:
    for order in ("A", "C", "D"):
        assert reorder("B", order)[reorder(order, "B")].tolist() == list(range(21))


def test_boxes_sizes_and_cameras_are_those_of_the_image(pristine: Path) -> None:
    test = InterHand26M(pristine).split("test")
    assert test.image_size_px.tolist() == [[334, 512]] * 8
    assert test.intrinsics_px[0].tolist() == [[900, 0, 165], [0, 905, 250], [0, 0, 1]]
    pixels = test.joints_m @ np.swapaxes(test.intrinsics_px, 1, 2)[:, None]
    pixels = pixels[..., :2] / pixels[..., 2:]
    low = np.nanmin(pixels, axis=(1, 2))
    np.testing.assert_allclose(test.box_px[:, :2], low, atol=0.01)


def test_records_are_columns_without_objects_for_joints(pristine: Path) -> None:
    images, annotations, defects = read_data(pristine / "annotations/test/InterHand2.6M_test_data.json")
    assert defects == []
    assert not images.odd_names
    assert annotations.joint_valid.shape == (8, 42)
    assert images.camera[0] is images.camera[2]
    content = raw(pristine, "data")
    for k, record in enumerate(content["annotations"]):
        assert annotations.joint_valid[k].tolist() == [bool(v[0]) for v in record["joint_valid"]]
        assert annotations.box_px[k].tolist() == record["bbox"]


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("camera", lambda c: c["0"]["camrot"].pop("400") and None, r"camera.json\[0/400\]: lacks 'camrot'"),
        ("camera", lambda c: c.pop("0") and None, r"camera.json\[annotation 0\]: has no camera"),
        ("joint_3d", lambda c: c["3"].pop("103") and None, r"joint_3d.json\[annotation 6\]: has no joints"),
        (
            "data",
            lambda c: c["images"].pop(0) and None,
            r"data.json\[annotation 0\]: names an image that is not there",
        ),
        (
            "data",
            lambda c: c["annotations"][3].pop("bbox") and None,
            r"data.json\[annotations 3\]: lacks 'bbox'",
        ),
        ("data", lambda c: [], r"data.json: is no JSON object"),
        ("data", lambda c: {"images": [], "annotations": []}, "holds no annotation"),
    ],
)
def test_damaged_annotations_are_refused_with_their_record(
    dataset: Path, key: str, change: Callable[[dict], Any], said: str
) -> None:
    edit(dataset, key, change)
    with pytest.raises(RequestError, match=said):
        InterHand26M(dataset).split("test")


def test_a_missing_file_is_named(dataset: Path) -> None:
    (dataset / "annotations/test/InterHand2.6M_test_camera.json").unlink()
    with pytest.raises(RequestError, match=r"lacks annotations/test/InterHand2.6M_test_camera\.json"):
        InterHand26M(dataset).split("test")
    with pytest.raises(RequestError, match="split"):
        InterHand26M(dataset).split("tset")


def test_a_missing_image_is_named(dataset: Path) -> None:
    (dataset / "images/test/Capture0/ROM0_b/cam400/image101.jpg").unlink()
    with pytest.raises(RequestError, match=r"cam400/image101.jpg does not exist"):
        InterHand26M(dataset).split("test").image(0)


def test_the_fingerprint_depends_on_content_and_not_on_place(pristine: Path, dataset: Path) -> None:
    before = InterHand26M(pristine).fingerprint()
    assert InterHand26M(dataset).fingerprint() == before
    assert len(before) == 16
    edit(dataset, "camera", lambda content: content["0"]["focal"].__setitem__("400", [901, 905]))
    changed = InterHand26M(dataset).fingerprint()
    assert changed != before
    (dataset / "images/train/Capture0/ROM0_b/cam400/image101.jpg").write_bytes(b"x")
    assert InterHand26M(dataset).fingerprint() != changed


def test_the_registry_opens_it(pristine: Path) -> None:
    layout = open_layout("interhand26m", pristine)
    assert isinstance(layout, InterHand26M)
    assert layout.synthetic
    assert find_layout("interhand26m").tasks == ("two_hands",)
