import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.layouts.ho3d import Ho3dV2, Ho3dV3
from tasks.layouts.ho3d.annotations import joints_from_official, joints_to_official
from tasks.layouts.ho3d.depth import decode_depth, encode_depth
from tasks.layouts.ho3d.files import performance_of
from tasks.layouts.registry import open_layout
from tests.tasks.layouts.ho3d.conftest import FRAMES, hands_of
from tests.tasks.layouts.views import CAMERA, projected

A_TO_B = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
HO3D_TIPS = (744, 333, 444, 555, 672)


def meta_of(root: Path, split: str, frame: str) -> dict:
    sequence, number = frame.split("/")
    return pickle.loads((root / split / sequence / "meta" / f"{number}.pkl").read_bytes())


def test_the_test_split_keeps_the_order_of_the_list(pristine: Path) -> None:
    assert Ho3dV3(pristine).split("test").ids == FRAMES["evaluation"]
    assert Ho3dV3(pristine).split("train").ids == FRAMES["train"]


def test_cameras_of_one_performance_are_one_cluster(pristine: Path) -> None:
    train, test = (Ho3dV3(pristine).split(name) for name in ("train", "test"))
    assert train.clusters == ["train/ABF1", "train/ABF1", "train/MC1", "train/SS2", "train/SMu4"]
    assert test.clusters == ["evaluation/SM1", "evaluation/AP1", "evaluation/AP1"]


def test_the_thirteen_evaluation_sequences_are_four_performances() -> None:
    names = ["SM1", "SB11", "SB13", *(f"AP1{i}" for i in range(5)), *(f"MPM1{i}" for i in range(5))]
    assert {performance_of(name) for name in names} == {"SM1", "SB1", "AP1", "MPM1"}


def test_files_hold_order_a_in_opengl_axes_and_samples_order_b_in_opencv_axes(pristine: Path) -> None:
    train, hands = Ho3dV3(pristine).split("train"), hands_of("train")
    for i, frame in enumerate(FRAMES["train"]):
        stored = meta_of(pristine, "train", frame)["handJoints3D"]
        assert (stored[:, 2] < 0).all()
        np.testing.assert_allclose(stored[A_TO_B] * [1, -1, -1], hands.joints_m[i], atol=1e-12)
    np.testing.assert_allclose(train.joints_m, hands.joints_m, atol=1e-7)
    assert train.joints_m.dtype == np.float32


def test_the_orders_invert_each_other() -> None:
    joints = np.random.default_rng(0).normal(size=(4, 21, 3))
    np.testing.assert_array_equal(joints_from_official(joints_to_official(joints)), joints)
    np.testing.assert_array_equal(joints_from_official(joints), joints[:, A_TO_B] * [1, -1, -1])


def test_flat_parameters_of_the_file_pose_the_hand_in_opengl_axes(pristine: Path) -> None:
    """The file's own numbers, by MANO's rule: verts = model(pose, betas) + trans, no mean added."""
    import torch

    hand, hands = load_hand("right"), hands_of("train")
    for i, frame in enumerate(FRAMES["train"]):
        meta = meta_of(pristine, "train", frame)
        pose, betas = (torch.tensor(meta[key][None], dtype=torch.float32) for key in ("handPose", "handBeta"))
        verts = hand(pose, betas, flat_hand_mean=True)[0][0].numpy() + meta["handTrans"]
        np.testing.assert_allclose(verts * [1, -1, -1], hands.verts_m[i], atol=2e-6)


def test_training_vertices_are_decoded_on_demand_and_carry_the_datasets_tips(pristine: Path) -> None:
    train, hands = Ho3dV3(pristine).split("train"), hands_of("train")
    some = train.verts(np.array([3, 0]))
    np.testing.assert_allclose(some, hands.verts_m[[3, 0]], atol=2e-6)
    np.testing.assert_allclose(some[:, HO3D_TIPS], train.joints_m[[3, 0]][:, [4, 8, 12, 16, 20]], atol=2e-6)
    np.testing.assert_allclose(train.verts_m[[3, 0]], some, atol=2e-7)


def test_poses_await_the_mean_and_turn_the_hand_in_opencv_axes(pristine: Path) -> None:
    train, hands, mean = (
        Ho3dV3(pristine).split("train"),
        hands_of("train"),
        load_hand("right").data.hands_mean,
    )
    np.testing.assert_allclose(train.pose_aa[:, 3:] + mean, hands.pose_aa[:, 3:], atol=1e-6)
    ours, theirs = (Rotation.from_rotvec(p[:, :3]).as_matrix() for p in (train.pose_aa, hands.pose_aa))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_truth_of_the_test_split_is_as_exact_as_the_file(pristine: Path) -> None:
    test = Ho3dV3(pristine).split("test")
    xyz, verts = (
        np.array(json.loads((pristine / f"evaluation_{key}.json").read_text())) for key in ("xyz", "verts")
    )
    assert test.joints_m.dtype == test.verts_m.dtype == np.float64
    np.testing.assert_array_equal(joints_to_official(test.joints_m), xyz)
    np.testing.assert_array_equal(test.verts(np.arange(3)) * [1, -1, -1], verts)
    assert (xyz[..., 2] < 0).all()
    assert np.isnan(test.pose_aa).all()
    np.testing.assert_allclose(test.given_wrist_m, test.joints_m[:, 0], atol=1e-8)


@pytest.mark.parametrize("split", ["train", "test"])
def test_crops_show_the_hand_where_the_cameras_of_the_crops_project_it(pristine: Path, split: str) -> None:
    samples = Ho3dV3(pristine).split(split)
    joints_px = projected(samples.joints_m.astype(np.float64), samples.intrinsics_px)
    assert ((joints_px > 0) & (joints_px < 224)).all()
    for i in range(len(samples)):
        image = samples.image(i)
        assert image.shape == (224, 224, 3)
        x, y = joints_px[i].astype(int).T
        assert (image[y, x] > 200).all()


def test_train_and_test_are_cropped_by_one_rule(pristine: Path) -> None:
    """The boxes of this dataset go through the projected joints, as the crops of training do."""
    for name, split in (("train", "train"), ("test", "evaluation")):
        samples, hands = Ho3dV3(pristine).split(name), hands_of(split)
        pixels = projected(hands.joints_m, CAMERA)
        side = 1.5 * np.ptp(pixels, axis=1).max(axis=1)
        centre = (pixels.max(axis=1) + pixels.min(axis=1)) / 2
        np.testing.assert_allclose(samples.intrinsics_px[:, 0, 0], 617 * 224 / side, rtol=1e-9)
        shifted = (np.array([312.5, 241.25]) - centre) * 224 / side[:, None] + 112
        np.testing.assert_allclose(samples.intrinsics_px[:, :2, 2], shifted, rtol=1e-6, atol=1e-6)


def test_masks_are_the_hands_colour_of_the_segmentation(pristine: Path) -> None:
    train = Ho3dV3(pristine).split("train")
    joints_px = projected(train.joints_m.astype(np.float64), train.intrinsics_px)
    for i in range(len(train)):
        mask = train.mask(i)
        x, y = joints_px[i].astype(int).T
        assert mask[y, x].mean() > 0.9
        assert 0.005 < mask.mean() < 0.5
    assert Ho3dV3(pristine).split("test").mask(0) is None


def test_v2_has_png_images_and_masks_only_with_the_separate_download(
    pristine_v2: Path, tmp_path: Path
) -> None:
    assert (pristine_v2 / "train/MC1/rgb/0007.png").is_file()
    train = Ho3dV2(pristine_v2).split("train")
    assert train.mask(2) is None
    root = Path(shutil.copytree(pristine_v2, tmp_path / "copy"))
    folder = root / "HO3D_v2_segmentations_rendered/train/MC1/seg"
    folder.mkdir(parents=True)
    red_is_hand = np.zeros((120, 160, 3), np.uint8)
    red_is_hand[:, :, 0], red_is_hand[:, 80:, 0], red_is_hand[:, 80:, 2] = 255, 0, 255
    Image.fromarray(red_is_hand).save(folder / "0007.jpg")
    mask = Ho3dV2(root).split("train").mask(2)
    left, _, side = train.crops_px[2]
    boundary = round((320 - left) * 224 / side)
    assert mask[100, : boundary - 5].mean() > 0.6 or boundary > 224
    assert not mask[:, max(0, boundary + 5) :].any()


def test_a_known_pair_of_bytes_is_its_depth() -> None:
    pixel = np.array([[[0, 1, 0]]], np.uint8)
    assert decode_depth(pixel)[0, 0] == pytest.approx(256 * 0.000124986647279, rel=1e-9)
    depth = np.random.default_rng(0).uniform(0, 4, (3, 5))
    np.testing.assert_allclose(decode_depth(encode_depth(depth)), depth, atol=0.0000625)


def test_metas_that_no_list_names_are_never_read(dataset: Path) -> None:
    (dataset / "train/MC1/meta/0008.pkl").write_bytes(pickle.dumps({"handJoints3D": None}, protocol=2))
    assert len(Ho3dV3(dataset).split("train")) == 5


def test_a_listed_frame_without_annotation_is_refused(dataset: Path) -> None:
    path = dataset / "train/MC1/meta/0007.pkl"
    path.write_bytes(pickle.dumps(meta_of(dataset, "train", "MC1/0007") | {"handPose": None}, protocol=2))
    with pytest.raises(RequestError, match=r"MC1/meta/0007.pkl\[handPose\]: is None"):
        Ho3dV3(dataset).split("train")


@pytest.mark.parametrize("key", ["xyz", "verts"])
def test_public_data_without_evaluation_truth_cannot_be_scored(dataset: Path, key: str) -> None:
    (dataset / f"evaluation_{key}.json").unlink()
    assert len(Ho3dV3(dataset).split("train")) == 5
    with pytest.raises(RequestError, match=f"evaluation_{key}.json: the test split cannot be scored"):
        Ho3dV3(dataset).split("test")


def test_truth_and_list_alone_are_enough_to_score(dataset: Path) -> None:
    whole = Ho3dV3(dataset).split("test")
    shutil.rmtree(dataset / "evaluation")
    test = Ho3dV3(dataset).split("test")
    np.testing.assert_array_equal(test.joints_m, whole.joints_m)
    assert np.isnan(test.intrinsics_px).all()
    with pytest.raises(RequestError, match="does not exist"):
        test.image(0)


def test_counts_that_differ_are_refused(dataset: Path) -> None:
    path = dataset / "evaluation.txt"
    path.write_text("\n".join(path.read_text().split("\n")[:2]))
    with pytest.raises(
        RequestError, match=r"evaluation_xyz.json holds 3 records, but evaluation.txt lists 2"
    ):
        Ho3dV3(dataset).split("test")


def test_a_hand_without_a_place_in_the_image_is_named(dataset: Path) -> None:
    meta = meta_of(dataset, "train", "SS2/0002")
    meta["handJoints3D"][4, 2] = 0
    (dataset / "train/SS2/meta/0002.pkl").write_bytes(pickle.dumps(meta, protocol=2))
    with pytest.raises(RequestError, match=r"SS2/meta/0002.pkl: its hand has no usable place in the image"):
        Ho3dV3(dataset).split("train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no frame"),
        ("MC1/0007\n../../etc/0001\n", "line 2: '../../etc/0001' is no 'SEQ/FRAME'"),
        ("MC1/0007\nMC1/0007", "lists MC1/0007 twice"),
    ],
)
def test_a_malformed_list_is_named(dataset: Path, text: str, message: str) -> None:
    (dataset / "train.txt").write_text(text)
    with pytest.raises(RequestError, match=message):
        Ho3dV3(dataset).split("train")


def test_an_undecodable_or_small_image_is_named(dataset: Path) -> None:
    (dataset / "train/MC1/rgb/0007.jpg").write_bytes(b"\xff\xd8 no image")
    Image.new("RGB", (320, 240)).save(dataset / "train/SS2/rgb/0002.jpg")
    train = Ho3dV3(dataset).split("train")
    with pytest.raises(RequestError, match=r"MC1/rgb/0007.jpg is no readable JPEG"):
        train.image(2)
    with pytest.raises(RequestError, match=r"SS2/rgb/0002.jpg is 320 x 240 pixels, expected 640 x 480"):
        train.image(3)


def test_the_fingerprint_depends_on_content_only(pristine: Path, dataset: Path) -> None:
    fingerprint = Ho3dV3(pristine).fingerprint()
    assert len(fingerprint) == 16
    assert Ho3dV3(dataset).fingerprint() == fingerprint
    meta = meta_of(dataset, "train", "MC1/0007")
    meta["handBeta"][0] += 1e-9
    (dataset / "train/MC1/meta/0007.pkl").write_bytes(pickle.dumps(meta, protocol=2))
    changed = Ho3dV3(dataset).fingerprint()
    assert changed != fingerprint
    (dataset / "train/MC1/rgb/0007.jpg").unlink()
    assert Ho3dV3(dataset).fingerprint() not in (fingerprint, changed)


def test_the_registry_opens_both_versions(pristine: Path, pristine_v2: Path) -> None:
    assert isinstance(open_layout("ho3d_v3", pristine), Ho3dV3)
    assert isinstance(open_layout("ho3d_v2", pristine_v2), Ho3dV2)
    assert open_layout("ho3d_v3", pristine).synthetic
    with pytest.raises(RequestError, match="unknown split 'tset': did you mean 'test'"):
        open_layout("ho3d_v3", pristine).split("tset")
