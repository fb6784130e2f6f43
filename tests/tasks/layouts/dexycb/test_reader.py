import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.hands.skeleton import articulated_joints
from tasks.layouts.dexycb import DexYcb, DexYcbS1, DexYcbS2, DexYcbS3
from tasks.layouts.dexycb.annotations import coefficients_of, hand_angles
from tasks.layouts.dexycb.files import SERIALS, SETUPS, SUBJECTS
from tasks.layouts.dexycb.grid import images_in
from tasks.layouts.registry import open_layout
from tests.tasks.layouts.dexycb.conftest import CAMERAS, N_FRAMES, hands_of, name_of
from tests.tasks.layouts.views import CAMERA, projected

LEFT, RIGHT = 3, 7
"""Subjects of the test split of s0 with a left and with right hands."""


def label_of(root: Path, subject: int, index: int, frame: int, serial: str = CAMERAS[0]) -> dict:
    with np.load(root / name_of(subject, index) / serial / f"labels_{frame:06d}.npz") as label:
        return dict(label)


def test_the_splits_have_their_official_sizes() -> None:
    """Positions alone: 1,000 sequences, eight cameras (subject, sequence and camera of each split)."""
    counts = {
        (setup, split): len(part.subjects) * len(part.cameras) * sum(map(part.takes, range(100)))
        for setup, parts in SETUPS.items()
        for split, part in parts.items()
    }
    assert counts == {
        ("s0", "train"): 6400, ("s0", "val"): 320, ("s0", "test"): 1280,
        ("s1", "train"): 5600, ("s1", "val"): 800, ("s1", "test"): 1600,
        ("s2", "train"): 6000, ("s2", "val"): 1000, ("s2", "test"): 1000,
        ("s3", "train"): 6000, ("s3", "val"): 800, ("s3", "test"): 1200,
    }  # fmt: skip


def test_no_setup_shows_in_training_what_it_tests() -> None:
    for parts in SETUPS.values():
        shown = [
            {(s, c, i) for s in part.subjects for c in part.cameras for i in range(100) if part.takes(i)}
            for part in parts.values()
        ]
        assert sum(map(len, shown)) == len(set.union(*shown))
    s1, s2, s3 = (SETUPS[name] for name in ("s1", "s2", "s3"))
    assert not set(s1["train"].subjects) & set(s1["test"].subjects)
    assert not set(s2["train"].cameras) & set(s2["test"].cameras)
    assert not any(
        s3["train"].takes(i) and s3["test"].takes(i // 5 * 5 + k) for i in range(100) for k in range(5)
    )


def test_ids_and_image_ids_follow_the_toolkits_order_and_images_without_a_hand_keep_theirs(
    pristine: Path,
) -> None:
    test = DexYcb(pristine).split("test")
    expected = [
        f"{name_of(subject, 4)}/{serial}/{frame:06d}"
        for subject in (LEFT, RIGHT)
        for serial in CAMERAS
        for frame in range(N_FRAMES)
    ]
    assert test.ids == expected
    assert test.image_ids.tolist() == [i for i in range(18) if i % 3 != 2]
    every = list(images_in(pristine, SETUPS["s0"]["test"]))
    assert [image.image_id for image in every] == list(range(18))


def test_cameras_of_one_sequence_are_one_cluster(pristine: Path) -> None:
    train = DexYcb(pristine).split("train")
    assert len(set(train.clusters)) == 12
    assert train.clusters[0] == name_of(1, 0)
    assert len(train) == 12 * len(CAMERAS) * N_FRAMES


def test_setups_hold_out_what_they_say(pristine: Path) -> None:
    assert {i.split("/")[2] for i in DexYcbS2(pristine).split("test").ids} == {SERIALS[7]}
    assert {i.split("/")[2] for i in DexYcbS2(pristine).split("train").ids} == {SERIALS[5]}
    assert {i.split("/")[0] for i in DexYcbS1(pristine).split("test").ids} == {SUBJECTS[7]}
    assert {i.split("/")[0] for i in DexYcbS1(pristine).split("train").ids} == {SUBJECTS[1], SUBJECTS[3]}
    with pytest.raises(RequestError, match="the test split of setup s3 holds no image with a hand"):
        DexYcbS3(pristine).split("test")


def test_labels_of_the_file_are_mano_with_45_components_and_the_mean(pristine: Path) -> None:
    """The file's own numbers by manopth's rule, written out."""
    for subject, side, tips in ((RIGHT, "right", "manopth"), (LEFT, "left", "manopth_left")):
        hand, label = load_hand(side), label_of(pristine, subject, 4, 1)
        pose_m = label["pose_m"][0].astype(np.float64)
        angles = sum(c * row for c, row in zip(pose_m[3:48], hand.data.hands_components, strict=True))
        pose = np.concatenate([pose_m[:3], angles + hand.data.hands_mean])
        betas = hands_of(subject, 4).betas[:1]
        tensors = (torch.tensor(a, dtype=torch.float32) for a in (pose[None], betas))
        verts, skeleton = (part.numpy() for part in hand(*tensors, flat_hand_mean=True))
        joints = articulated_joints(skeleton, verts, tips) + pose_m[48:]
        np.testing.assert_allclose(joints, label["joint_3d"], atol=5e-6)
        np.testing.assert_allclose(projected(joints, CAMERA), label["joint_2d"], atol=0.02)


def test_components_and_angles_invert_each_other() -> None:
    data = load_hand("right").data
    angles = np.random.default_rng(0).normal(size=(5, 45))
    np.testing.assert_allclose(hand_angles(data, coefficients_of(data, angles)), angles, atol=1e-6)


def test_the_truth_of_a_test_split_is_the_official_scripts(pristine: Path) -> None:
    """float32 of the file, times 1000 in float32, then float64."""
    test = DexYcb(pristine).split("test")
    row = test.ids.index(f"{name_of(RIGHT, 4)}/{CAMERAS[1]}/000001")
    on_disk = label_of(pristine, RIGHT, 4, 1)["joint_3d"].reshape(21, 3)
    on_disk *= 1000
    np.testing.assert_allclose(test.joints_m[row] * 1000, on_disk.astype(np.float64), rtol=1e-15)
    assert test.joints_m.dtype == np.float64


def test_left_hands_are_given_as_right_hands_in_a_mirror(pristine: Path) -> None:
    test, hands = DexYcb(pristine).split("test"), hands_of(LEFT, 4)
    assert test.mirrored.tolist() == [True] * 6 + [False] * 6
    np.testing.assert_allclose(test.joints_m[:2], hands.joints_m * [-1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(test.verts(np.arange(2)), hands.verts_m * [-1, 1, 1], atol=5e-6)
    right = load_hand("right")
    with torch.no_grad():
        posed = right(torch.from_numpy(test.pose_aa[:2]), torch.from_numpy(test.betas[:2]))[0].numpy()
    shift = test.verts(np.arange(2)) - posed
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=5e-6)


def test_true_vertices_of_a_test_split_do_not_depend_on_what_is_asked_for_together(pristine: Path) -> None:
    test = DexYcb(pristine).split("test")
    every = test.verts_m
    assert every.dtype == np.float64
    for rows in ([4], [11, 0], [3, 9, 2]):
        np.testing.assert_allclose(test.verts(np.array(rows)), every[rows], rtol=0, atol=1e-14)
    assert DexYcb(pristine).split("train").verts(np.arange(2)).dtype == np.float32


def test_right_hands_are_given_as_they_are(pristine: Path) -> None:
    test, hands = DexYcb(pristine).split("test"), hands_of(RIGHT, 4)
    rows = np.array([7, 6])
    np.testing.assert_allclose(test.joints_m[rows], hands.joints_m[[1, 0]], atol=1e-6)
    np.testing.assert_allclose(test.verts(rows), hands.verts_m[[1, 0]], atol=5e-6)
    mean = load_hand("right").data.hands_mean
    np.testing.assert_allclose(test.pose_aa[rows, 3:] + mean, hands.pose_aa[[1, 0], 3:], atol=5e-6)
    ours = Rotation.from_rotvec(test.pose_aa[rows, :3]).as_matrix()
    np.testing.assert_allclose(ours, Rotation.from_rotvec(hands.pose_aa[[1, 0], :3]).as_matrix(), atol=1e-5)


@pytest.mark.parametrize("split", ["train", "test"])
def test_crops_and_masks_show_the_hand_where_the_cameras_of_the_crops_project_it(
    pristine: Path, split: str
) -> None:
    samples = DexYcb(pristine).split(split)
    joints_px = projected(samples.joints_m.astype(np.float64), samples.intrinsics_px)
    assert ((joints_px > 0) & (joints_px < 224)).all()
    for i in range(0, len(samples), 5):
        x, y = joints_px[i].astype(int).T
        assert (samples.image(i)[y, x] > 200).all()
        assert samples.mask(i)[y, x].all()
        assert samples.mask(i).mean() < 0.5


def test_mirroring_twice_gives_the_whole_image_back(pristine: Path) -> None:
    """What the crop of a left hand shows at u is what the file has at the mirrored place."""
    test = DexYcb(pristine).split("test")
    k, crop = test.intrinsics_px[0], test.crops_px[0]
    assert k[0, 2] == pytest.approx((640 - 312.5 - crop[0]) * 224 / crop[2])
    joints_px = projected(test.joints_m[:1], test.intrinsics_px[:1])[0]
    back = 640 - (joints_px[:, 0] * crop[2] / 224 + crop[0])
    np.testing.assert_allclose(back, projected(hands_of(LEFT, 4).joints_m, CAMERA)[0][:, 0], atol=0.01)


def test_labels_without_images_are_enough_to_score(dataset: Path) -> None:
    for path in dataset.glob("*/*/*/color_*.jpg"):
        path.unlink()
    test = DexYcb(dataset).split("test")
    with pytest.raises(RequestError, match=r"color_000000.jpg does not exist"):
        test.image(0)


def test_a_real_copy_with_missing_sequences_is_refused(dataset: Path) -> None:
    (dataset / "palmares.json").unlink()
    with pytest.raises(
        RequestError, match="subject-01 holds 0 sequences, expected 100: splits go by their positions"
    ):
        DexYcb(dataset).split("train")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            f"calibration/intrinsics/{CAMERAS[0]}_640x480.yml",
            r"_640x480.yml: cannot be read .* camera's calib",
        ),
        (
            f"calibration/mano_{SUBJECTS[3]}_left_4/mano.yml",
            r"mano.yml: cannot be read .* hand's calibration",
        ),
        (f"{name_of(3, 4)}/meta.yml", r"meta.yml: cannot be read .* known of the sequence"),
        (f"{name_of(3, 4)}/{CAMERAS[0]}/labels_000001.npz", r"labels_000001.npz does not exist"),
    ],
)
def test_a_missing_file_is_named(dataset: Path, path: str, message: str) -> None:
    (dataset / path).unlink()
    with pytest.raises(RequestError, match=message):
        DexYcb(dataset).split("test")


def test_an_undecodable_image_is_named(dataset: Path) -> None:
    path = dataset / name_of(LEFT, 4) / CAMERAS[0] / "color_000000.jpg"
    path.unlink()
    Image.new("RGB", (640, 481)).save(path)
    with pytest.raises(RequestError, match=r"color_000000\.jpg is 640 x 481 pixels, expected 640 x 480"):
        DexYcb(dataset).split("test").image(0)


def test_the_fingerprint_depends_on_content_only(pristine: Path, dataset: Path) -> None:
    fingerprint = DexYcb(pristine).fingerprint()
    assert len(fingerprint) == 16
    assert DexYcb(dataset).fingerprint() == fingerprint
    path = dataset / name_of(1, 0) / CAMERAS[0] / "labels_000000.npz"
    label = label_of(dataset, 1, 0, 0)
    path.unlink()
    np.savez(path, **label)
    assert DexYcb(dataset).fingerprint() == fingerprint
    label["joint_3d"][0, 5, 2] += 1e-4
    np.savez_compressed(path, **label)
    changed = DexYcb(dataset).fingerprint()
    assert changed != fingerprint
    shutil.rmtree(dataset / name_of(1, 0) / CAMERAS[1])
    assert DexYcb(dataset).fingerprint() not in (fingerprint, changed)


def test_calibration_is_plain_yaml(pristine: Path) -> None:
    content = yaml.safe_load((pristine / f"calibration/intrinsics/{CAMERAS[0]}_640x480.yml").read_text())
    assert content["color"] == {"fx": 617.0, "fy": 615.0, "ppx": 312.5, "ppy": 241.25}
    meta = yaml.safe_load((pristine / name_of(3, 0) / "meta.yml").read_text())
    assert meta["mano_sides"] == ["left"]
    assert meta["num_frames"] == 3


def test_the_registry_opens_every_setup(pristine: Path) -> None:
    for name in ("dexycb", "dexycb_s1", "dexycb_s2", "dexycb_s3"):
        layout = open_layout(name, pristine)
        assert layout.name == name
        assert layout.synthetic
    with pytest.raises(RequestError, match="unknown split 'tset': did you mean 'test'"):
        open_layout("dexycb", pristine).split("tset")
