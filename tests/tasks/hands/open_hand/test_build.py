import subprocess
import sys

import numpy as np
import pytest

from tasks.hands.model_file import read_model
from tasks.hands.open_hand.anatomy import default_anatomy, random_anatomy
from tasks.hands.open_hand.placement import place_vertices
from tasks.hands.open_hand.shape_space import shape_space
from tasks.hands.open_hand.skinning import bone_transforms, joint_regressor, posed_meshes, skinning_weights
from tasks.hands.open_hand.surface import HandSurface
from tasks.hands.open_hand.topology import N_FACES, N_VERTS, hand_layout, mano_numbering, triangulate
from tasks.hands.skeleton import TIP_VERTICES, WRIST_LOOP


@pytest.fixture(scope="module")
def default_verts():
    return place_vertices(default_anatomy(), 8)


@pytest.fixture(scope="module")
def shapes():
    anatomies = [random_anatomy(np.random.default_rng(seed)) for seed in range(1, 13)]
    verts = np.stack([place_vertices(a, 4) * a.size for a in anatomies])
    return verts, np.stack([a.joints * a.size for a in anatomies])


@pytest.mark.slow
def test_building_again_gives_the_shipped_file(right, tmp_path):
    path = tmp_path / "again.npz"
    command = [sys.executable, "-m", "tasks.hands.open_hand", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    again = read_model(path)
    for name in (
        "v_template",
        "shapedirs",
        "posedirs",
        "weights",
        "J_regressor",
        "vt",
        "hands_mean",
        "hands_components",
    ):
        np.testing.assert_allclose(getattr(again, name), getattr(right, name), atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(again.faces, right.faces)
    np.testing.assert_array_equal(again.ft, right.ft)


def test_counts_follow_from_the_layout(default_verts):
    layout = hand_layout()
    assert layout.n_verts == N_VERTS
    assert triangulate(default_verts).shape == (N_FACES, 3)
    assert len(layout.wrist_loop) == 16
    owned = [*layout.rows, *layout.wrist_rows, layout.webs]
    owned += [ring for rings in layout.rings.values() for ring in rings] + [list(layout.apex.values())]
    assert sorted(i for ids in owned for i in ids if i is not None) == list(range(N_VERTS))


def test_numbering_is_a_permutation_with_the_customary_places():
    order, layout = mano_numbering(), hand_layout()
    assert sorted(order) == list(range(N_VERTS))
    assert [order[i] for i in WRIST_LOOP] == layout.wrist_loop[::-1]
    fingers = ("thumb", "index", "middle", "ring", "pinky")
    assert [order[i] for i in TIP_VERTICES["smplx"]] == [layout.apex[name] for name in fingers]
    for tips in TIP_VERTICES.values():
        for name, tip in zip(fingers, tips, strict=True):
            assert order[tip] in layout.of_digit(name), "neighbours of the apexes carry the other conventions"


def test_vertices_lie_on_the_surface(default_verts):
    distance, _ = HandSurface(default_anatomy()).distance(default_verts)
    assert np.percentile(np.abs(distance), 90) < 0.5


def test_default_hand_has_the_published_lengths():
    anatomy = default_anatomy()
    middle = anatomy.digits["middle"]
    assert np.linalg.norm(middle.tip) == pytest.approx(181, abs=1)
    assert middle.lengths.tolist() == [44.6, 26.3, 21.4]
    assert anatomy.joints.shape == (16, 3)


def test_frames_of_the_digits_are_right_handed_and_orthonormal():
    for digit in default_anatomy().digits.values():
        for bone in range(3):
            along, back, radial = digit.frame(bone)
            frame = np.stack([-along, back, radial])
            np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(frame) == pytest.approx(1)


def test_random_hands_differ_mostly_in_size(shapes):
    space = shape_space(*shapes)
    assert space.explained[0] > 0.7
    coefficients = np.einsum("nvc,vck->nk", shapes[0] - space.mean, space.directions)
    lengths = np.linalg.norm(shapes[1][:, 4] - shapes[1][:, 0], axis=1)
    assert np.corrcoef(coefficients[:, 0], lengths)[0, 1] > 0.6


def test_the_regressor_finds_joints_of_shapes_and_poses(default_verts, shapes):
    anatomy = default_anatomy()
    weights = skinning_weights(anatomy, default_verts)
    poses = np.random.default_rng(0).normal(0, 0.3, (6, 45))
    posed = posed_meshes(default_verts, anatomy.joints, weights, np.zeros((N_VERTS, 3, 135)), poses)
    regressor = joint_regressor(shapes, posed)
    error = np.linalg.norm(regressor @ shapes[0] - shapes[1], axis=-1)
    assert error.mean() < 1.0
    assert (regressor >= 0).all()
    np.testing.assert_allclose(regressor.sum(1), 1)


def test_no_rotation_moves_nothing():
    joints = default_anatomy().joints
    np.testing.assert_allclose(
        bone_transforms(joints, np.tile(np.eye(3), (16, 1, 1))), np.tile(np.eye(4), (16, 1, 1))
    )


def test_the_shipped_regressor_is_accurate_on_hands_it_has_not_seen(right):
    errors = []
    for seed in range(1000, 1004):
        anatomy = random_anatomy(np.random.default_rng(seed))
        verts = place_vertices(anatomy, 14)[mano_numbering()]
        errors.append(np.linalg.norm(right.J_regressor @ verts - anatomy.joints, axis=1))
    assert np.mean(errors) < 0.5
    assert np.max(errors) < 3.0
