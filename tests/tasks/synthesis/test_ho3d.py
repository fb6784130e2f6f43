import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.errors import RequestError
from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import load_hand
from tasks.layouts.ho3d import Ho3dV2, Ho3dV3
from tasks.layouts.ho3d.depth import decode_depth
from tasks.layouts.ho3d.files import V3, performance_of
from tasks.synthesis import ho3d
from tasks.synthesis.ho3d import (
    EVALUATION,
    ROLES,
    TRAINING,
    Sequence,
    Take,
    film_take,
    make_ho3d_v2,
    make_ho3d_v3,
)
from tasks.synthesis.making import signature
from tests.tasks.synthesis.conftest import stops_after

SIZE, SEED = 12, 3


@pytest.fixture(scope="module")
def v2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthesis") / "ho3d_v2"
    make_ho3d_v2(root, size=SIZE, seed=SEED, workers=1)
    return root


@pytest.fixture(scope="module")
def v3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthesis") / "ho3d_v3"
    make_ho3d_v3(root, size=SIZE, seed=SEED, workers=1)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def listed(root: Path, split: str) -> list[str]:
    return (root / f"{split}.txt").read_text().split()


def meta(root: Path, split: str, frame: str) -> dict[str, Any]:
    sequence, number = frame.split("/")
    return pickle.loads((root / split / sequence / "meta" / f"{number}.pkl").read_bytes(), encoding="latin1")


def named(prefixes: str, numbers: str) -> set[str]:
    return {prefix + number for prefix in prefixes.split() for number in numbers.split()}


def test_the_sequences_are_the_official_ones() -> None:
    several = named("ABF BB GPMF GSF MDF SiBF", "10 11 12 13 14") | named("SB", "10 12 14")
    several |= named("SMu", "40 41 42") | named("ShSu", "10 12 13 14")
    single = (
        named("MC", "1 2 4 5 6") | {"ND2", "SMu1", "SiS1"} | named("SM", "2 3 4 5") | named("SS", "1 2 3")
    )
    assert set(TRAINING) == several | single
    assert set(EVALUATION) == {"SM1", "SB11", "SB13"} | named("AP MPM", "10 11 12 13 14")
    assert (len(TRAINING), len(EVALUATION)) == (55, 13)


def test_what_is_made_has_no_problem(v2: Path, v3: Path) -> None:
    assert list(Ho3dV2(v2).check()) == []
    assert list(Ho3dV3(v3).check()) == []
    assert Ho3dV2(v2).synthetic
    assert Ho3dV3(v3).synthetic


def test_the_lists_hold_as_many_frames_as_were_asked_for(v2: Path) -> None:
    assert len(Ho3dV2(v2).split("train")) == len(set(listed(v2, "train"))) == SIZE
    assert len(Ho3dV2(v2).split("test")) == len(set(listed(v2, "evaluation"))) == 16
    performances = {performance_of(frame.split("/")[0]) for frame in listed(v2, "train")}
    assert {"MC1", "ABF1"} <= performances


def test_frames_without_annotation_stand_outside_the_lists(v2: Path) -> None:
    metas = {f"{p.parts[-3]}/{p.stem}" for p in v2.glob("train/*/meta/*.pkl")}
    unlisted = metas - set(listed(v2, "train"))
    assert unlisted
    for frame in unlisted:
        content = meta(v2, "train", frame)
        assert content["handPose"] is content["handJoints3D"] is content["objTrans"] is None
        assert content["camMat"].shape == (3, 3)
    assert all(meta(v2, "train", f)["handPose"] is not None for f in listed(v2, "train"))


def test_an_evaluation_meta_tells_the_wrist_and_the_box_and_no_more_of_the_hand(v2: Path) -> None:
    wrists = np.array(json.loads((v2 / "evaluation_xyz.json").read_text()))[:, 0]
    for frame, wrist in zip(listed(v2, "evaluation"), wrists, strict=True):
        content = meta(v2, "evaluation", frame)
        hand_keys = {key for key in content if key.startswith("hand")}
        assert hand_keys == {"handJoints3D", "handBoundingBox"}
        np.testing.assert_allclose(content["handJoints3D"], wrist, atol=1e-7)


def test_joints_are_in_the_opengl_frame_and_project_into_the_image(v2: Path) -> None:
    inside = []
    for frame in listed(v2, "train"):
        content = meta(v2, "train", frame)
        joints = content["handJoints3D"] * [1, -1, -1]
        assert (joints[:, 2] > 0.2).all()
        pixels = joints @ content["camMat"].T
        pixels = pixels[:, :2] / pixels[:, 2:]
        inside.append(((pixels > 0) & (pixels < (640, 480))).all(axis=1).mean())
        assert 0.07 < np.linalg.norm(joints[4] - joints[0]) < 0.12
    assert np.mean(inside) > 0.99


def test_depth_is_the_hands_where_the_hand_shows(v3: Path) -> None:
    train = Ho3dV3(v3).split("train")
    for i, frame in enumerate(listed(v3, "train")):
        sequence, number = frame.split("/")
        folder = v3 / "train" / sequence
        depth = decode_depth(np.asarray(Image.open(folder / "depth" / f"{number}.png").convert("RGB")))
        mask = np.asarray(Image.open(folder / "seg" / f"{number}.png").convert("RGB"))[..., 2] > 128
        shown = depth[2::4, 2::4][mask]
        z = train.verts(np.array([i]))[0, :, 2]
        assert ((shown > z.min() - 0.002) & (shown < z.max() + 0.002)).mean() > 0.97


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_masks_are_the_visible_part_of_the_hand(request: pytest.FixtureRequest, version: str) -> None:
    root: Path = request.getfixturevalue(version)
    train, hand = (Ho3dV2 if version == "v2" else Ho3dV3)(root).split("train"), load_hand("right")
    verts = torch.from_numpy(train.verts(np.arange(SIZE)))
    cameras = torch.from_numpy(train.intrinsics_px).float()
    silhouettes = rasterise(verts, hand.faces, cameras, 224).mask.numpy()
    masks = np.stack([train.mask(i) for i in range(SIZE)])  # a quarter of the image's resolution on disk
    assert ((masks & silhouettes).sum(axis=(1, 2)) / masks.sum(axis=(1, 2)) > 0.93).all()
    assert np.mean((masks & silhouettes).sum(axis=(1, 2)) / silhouettes.sum(axis=(1, 2))) > 0.5


def test_both_versions_show_the_same_performances(v2: Path, v3: Path) -> None:
    for frame in listed(v2, "train"):
        one, other = meta(v2, "train", frame), meta(v3, "train", frame)
        np.testing.assert_array_equal(one["handPose"], other["handPose"])
        assert set(other) - set(one) == {
            "handVertContact",
            "handVertDist",
            "handVertIntersec",
            "handVertObjSurfProj",
        }


def test_contacts_are_where_skin_and_object_are_close(v3: Path) -> None:
    touched = 0
    for frame in listed(v3, "train"):
        content = meta(v3, "train", frame)
        np.testing.assert_array_equal(content["handVertContact"], content["handVertDist"] <= 0.004)
        touched += bool(content["handVertContact"].any())
        low, high = (getattr(content["objCorners3D"], name)(axis=0) for name in ("min", "max"))
        feet = content["handVertObjSurfProj"]
        assert (feet > low - 1e-3).all()
        assert (feet < high + 1e-3).all()
    assert touched > SIZE / 2


def test_cameras_of_a_performance_see_one_hand(v3: Path) -> None:
    frames = {frame for frame in listed(v3, "train") if frame.endswith("/0000")}
    assert {"ABF10/0000", "ABF11/0000"} <= frames
    common = []
    for camera in "01":
        joints = meta(v3, "train", f"ABF1{camera}/0000")["handJoints3D"] * [1, -1, -1]
        to_common = np.loadtxt(v3 / "calibration/ABF1/calibration" / f"trans_{camera}.txt")
        common.append(joints @ to_common[:3, :3].T + to_common[:3, 3])
    np.testing.assert_allclose(*common, atol=1e-7)


def test_evaluation_brings_an_object_and_a_subject_that_training_never_shows(v2: Path) -> None:
    seen = {meta(v2, "train", frame)["objName"] for frame in listed(v2, "train")}
    evaluated = {frame: meta(v2, "evaluation", frame)["objName"] for frame in listed(v2, "evaluation")}
    assert {name for frame, name in evaluated.items() if frame.startswith("AP")} == {"019_pitcher_base"}
    assert "019_pitcher_base" not in seen
    training = {name.rstrip("0123456789") for name in TRAINING}
    assert ROLES["MPM"][1] not in {ROLES[prefix][1] for prefix in training}
    assert ROLES["AP"][0] not in {ROLES[prefix][0] for prefix in training}


def test_the_marker_tells_how_the_set_was_made(v3: Path) -> None:
    marker = json.loads((v3 / "palmares.json").read_text())
    assert marker == {"synthetic": True, **signature("ho3d_v3", ho3d.GENERATOR_VERSION, SEED, SIZE)}


@pytest.mark.slow
def test_an_interrupted_set_is_taken_up_and_the_same(
    v3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in this process, taken up by two: neither that nor their number changes a byte."""
    monkeypatch.setattr(ho3d, "film_take", stops_after(2, film_take))
    with pytest.raises(KeyboardInterrupt):
        make_ho3d_v3(tmp_path / "again", size=SIZE, seed=SEED, workers=1)
    monkeypatch.undo()
    told: list[tuple[int, int]] = []
    make_ho3d_v3(
        tmp_path / "again", size=SIZE, seed=SEED, workers=2, progress=lambda *step: told.append(step)
    )
    assert told[0][0] > 0
    again, made = contents(tmp_path / "again"), contents(v3)
    assert again.keys() == made.keys()
    assert [name for name in made if again[name] != made[name]] == []
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_another_seed_shows_other_hands(v2: Path, tmp_path: Path) -> None:
    film_take(Take(tmp_path, V3, SEED + 1, 0, "MC1", (Sequence("MC1", "train", 1, False),)))
    first, other = (meta(root, "train", "MC1/0000")["handPose"] for root in (v2, tmp_path))
    assert np.abs(first - other).max() > 0.1


def test_progress_counts_listed_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ho3d, "film_take", lambda take: None)
    told: list[tuple[int, int]] = []
    make_ho3d_v3(tmp_path / "out", size=9, seed=0, workers=1, progress=lambda *step: told.append(step))
    assert told[0] == (0, 25)
    assert told[-1] == (25, 25)
    assert told == sorted(told)


@pytest.mark.parametrize("size", [0, -1, 66_035])
def test_impossible_sizes_are_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(RequestError, match=rf"size is {size}: HO-3D v2 has 1 to 66034"):
        make_ho3d_v2(tmp_path / "out", size=size, seed=0)
    with pytest.raises(RequestError, match="seed is -1"):
        make_ho3d_v2(tmp_path / "out", size=1, seed=-1)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(take: Take) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ho3d, "film_take", fail)
    with pytest.raises(KeyboardInterrupt):
        make_ho3d_v2(tmp_path / "out", size=4, seed=0, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("licensed_hands")
def test_a_licensed_hand_takes_the_place_of_the_open_one(tmp_path: Path) -> None:
    make_ho3d_v3(tmp_path / "out", size=2, seed=SEED, workers=1)
    assert list(Ho3dV3(tmp_path / "out").check()) == []
    assert json.loads((tmp_path / "out/palmares.json").read_text())["hand"] == "MANO"


def test_the_first_frame_of_a_seed_is_what_it_was(v2: Path) -> None:
    content = meta(v2, "train", "MC1/0000")
    np.testing.assert_allclose(content["handBeta"][:3], [-0.32734, 0.672032, -0.281006], atol=1e-5)
    np.testing.assert_allclose(
        content["handPose"][:5], [1.001696, 0.111774, -0.88061, 0.091472, -0.140839], atol=1e-4
    )
    np.testing.assert_allclose(content["handTrans"], [0.037853, -0.023039, -0.818405], atol=1e-5)
    np.testing.assert_allclose(content["objTrans"], [0.035127, 0.026773, -0.803629], atol=1e-5)
