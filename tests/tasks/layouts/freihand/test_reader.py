import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.layouts.freihand import FreiHand
from tasks.layouts.registry import find_layout, open_layout

FREIHAND_TIPS = (744, 320, 443, 555, 672)


def test_four_versions_of_a_sample_share_one_annotation(pristine: Path) -> None:
    train = FreiHand(pristine).split("train")
    assert len(train) == 20
    assert train.annotation_of.tolist() == [*range(5)] * 4
    assert train.ids[7] == "training/00032562"
    assert train.clusters[7] == train.clusters[2] == "training/00000002"


def test_an_image_is_found_at_the_official_version_offset(pristine: Path) -> None:
    train = FreiHand(pristine).split("train")
    brightness = [int(train.image(i).mean().round()) for i in range(20)]
    assert brightness == [20 + 40 * version + 5 * sample for version in range(4) for sample in range(5)]


def test_the_evaluation_split_has_one_version_and_no_masks(pristine: Path) -> None:
    test = FreiHand(pristine).split("test")
    assert test.ids == ["evaluation/00000000", "evaluation/00000001", "evaluation/00000002"]
    assert len(set(test.clusters)) == 3
    assert test.mask(0) is None
    assert test.image(1).shape == (224, 224, 3)


def test_masks_are_thresholded_and_shared_by_the_versions(pristine: Path) -> None:
    train = FreiHand(pristine).split("train")
    mask = train.mask(3)
    assert mask is not None
    assert mask.dtype == bool
    assert mask.sum() == 100 * 60
    np.testing.assert_array_equal(mask, train.mask(3 + 15))


def test_annotations_have_the_promised_shapes_and_types(pristine: Path) -> None:
    train = FreiHand(pristine).split("train")
    shapes = {
        "intrinsics_px": (5, 3, 3),
        "joints_m": (5, 21, 3),
        "verts_m": (5, 778, 3),
        "pose_aa": (5, 48),
        "betas": (5, 10),
    }
    for name, shape in shapes.items():
        assert getattr(train, name).shape == shape
        assert getattr(train, name).dtype == (np.float64 if name == "intrinsics_px" else np.float32)


def test_joints_are_the_regressed_posed_mesh_with_freihands_tips(pristine: Path) -> None:
    train, hand = FreiHand(pristine).split("train"), load_hand("right").data
    np.testing.assert_allclose(
        train.joints_m[:, [4, 8, 12, 16, 20]], train.verts_m[:, FREIHAND_TIPS], atol=1e-7
    )
    np.testing.assert_allclose(train.joints_m[:, 9], hand.J_regressor[4] @ train.verts_m, atol=1e-6)


def test_the_61_mano_numbers_decode_to_the_vertices(pristine: Path) -> None:
    records = {
        key: np.array(json.loads((pristine / f"training_{key}.json").read_text())) for key in ("mano", "K")
    }
    train, hand = FreiHand(pristine).split("train"), load_hand("right")
    with torch.no_grad():
        verts = hand(torch.from_numpy(train.pose_aa), torch.from_numpy(train.betas))[0]
        joint_9 = hand.joints_from_verts(verts)[:, 9]
    u, v, s = records["mano"][:, 0, 58:].T
    k = records["K"]
    f = (k[:, 0, 0] + k[:, 1, 1]) / 2
    root = np.stack([(u - k[:, 0, 2]) / s, (v - k[:, 1, 2]) / s, f / s], axis=1)
    decoded = verts.numpy() - joint_9.numpy()[:, None] + root[:, None]
    np.testing.assert_allclose(decoded, train.verts_m, atol=2e-6)


def test_scale_is_the_length_of_the_middle_proximal_bone(pristine: Path) -> None:
    scale = np.array(json.loads((pristine / "training_scale.json").read_text()))
    xyz = np.array(json.loads((pristine / "training_xyz.json").read_text()))
    assert scale.shape == (5,)
    np.testing.assert_allclose(scale, np.linalg.norm(xyz[:, 9] - xyz[:, 10], axis=1), atol=1e-6)
    palm = np.linalg.norm(xyz[:, 9] - xyz[:, 0], axis=1)
    assert ((palm > 0.075) & (palm < 0.115)).all()


def test_a_copy_without_the_other_backgrounds_is_read(dataset: Path) -> None:
    for image in (dataset / "training" / "rgb").iterdir():
        if int(image.stem) >= 32560:
            image.unlink()
    assert len(FreiHand(dataset).split("train")) == 5


@pytest.mark.parametrize("key", ["xyz", "verts"])
def test_public_data_without_evaluation_annotations_cannot_be_scored(dataset: Path, key: str) -> None:
    (dataset / f"evaluation_{key}.json").unlink()
    assert len(FreiHand(dataset).split("train")) == 20
    with pytest.raises(
        RequestError, match=f"evaluation_{key}.json: the test split cannot be scored.*_eval.zip"
    ):
        FreiHand(dataset).split("test")


def test_a_truncated_file_is_named(dataset: Path) -> None:
    path = dataset / "training_verts.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RequestError, match=r"training_verts.json: is truncated JSON after \d whole records"):
        FreiHand(dataset).split("train")


def test_counts_that_differ_are_refused(dataset: Path) -> None:
    records = json.loads((dataset / "training_K.json").read_text())
    (dataset / "training_K.json").write_text(json.dumps(records[:-1]))
    with pytest.raises(RequestError, match=r"training_K.json 4, training_xyz.json 5"):
        FreiHand(dataset).split("train")


def test_a_record_of_another_shape_is_named(dataset: Path) -> None:
    records = json.loads((dataset / "training_xyz.json").read_text())
    records[3] = records[3][:20]
    (dataset / "training_xyz.json").write_text(json.dumps(records))
    with pytest.raises(
        RequestError, match=r"training_xyz.json\[3\]: has shape \(20, 3\): \(21, 3\) expected"
    ):
        FreiHand(dataset).split("train")


def test_an_undecodable_image_is_named(dataset: Path) -> None:
    (dataset / "training/rgb/00000002.jpg").write_bytes(b"\xff\xd8 no image")
    (dataset / "training/mask/00000001.jpg").unlink()
    train = FreiHand(dataset).split("train")
    with pytest.raises(RequestError, match=r"rgb/00000002.jpg is no readable JPEG"):
        train.image(2)
    with pytest.raises(RequestError, match=r"mask/00000001.jpg does not exist"):
        train.mask(1)


def test_an_unknown_split_is_refused(pristine: Path) -> None:
    with pytest.raises(RequestError, match="unknown split 'trian': did you mean 'train'"):
        FreiHand(pristine).split("trian")


def test_the_marker_alone_says_synthetic(dataset: Path) -> None:
    assert FreiHand(dataset).synthetic
    (dataset / "palmares.json").write_text("[]")
    assert not FreiHand(dataset).synthetic
    (dataset / "palmares.json").unlink()
    assert not FreiHand(dataset).synthetic


def test_the_fingerprint_depends_on_content_only(pristine: Path, dataset: Path) -> None:
    fingerprint = FreiHand(pristine).fingerprint()
    assert len(fingerprint) == 16
    assert FreiHand(dataset).fingerprint() == fingerprint
    text = (dataset / "training_K.json").read_text()
    (dataset / "training_K.json").write_text(text.replace("480", "481", 1))
    changed = FreiHand(dataset).fingerprint()
    assert changed != fingerprint
    (dataset / "training/rgb/00000000.jpg").unlink()
    assert FreiHand(dataset).fingerprint() not in (fingerprint, changed)


def test_the_registry_opens_the_layout(pristine: Path) -> None:
    layout = open_layout("freihand", pristine)
    assert isinstance(layout, FreiHand)
    assert find_layout("freihand").tasks == ("single_hand",)
    with pytest.raises(RequestError, match="unknown layout 'frihand': did you mean 'freihand'"):
        open_layout("frihand", pristine)
    with pytest.raises(RequestError, match="no folder at"):
        open_layout("freihand", pristine / "nowhere")


def test_scoring_needs_neither_parameters_nor_images_of_the_evaluation_set(dataset: Path) -> None:
    whole = FreiHand(dataset).split("test")
    (dataset / "evaluation_mano.json").unlink()
    shutil.rmtree(dataset / "evaluation")
    bare = FreiHand(dataset).split("test")
    assert bare.ids == whole.ids
    np.testing.assert_array_equal(bare.verts_m, whole.verts_m)
    assert np.isnan(bare.pose_aa).all()
    assert bare.pose_aa.shape == whole.pose_aa.shape
    assert bare.betas.shape == whole.betas.shape
    with pytest.raises(RequestError, match="does not exist"):
        bare.image(0)


def test_labels_of_the_test_split_are_as_exact_as_on_disk(dataset: Path) -> None:
    on_disk = np.array(json.loads((dataset / "evaluation_xyz.json").read_text()))
    test = FreiHand(dataset).split("test")
    assert test.joints_m.dtype == np.float64
    np.testing.assert_array_equal(test.joints_m, on_disk)
