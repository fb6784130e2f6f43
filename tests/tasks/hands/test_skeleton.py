import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.hands import skeleton
from tasks.hands.skeleton import BONES, JOINTS, PARENTS, TIP_VERTICES, mirror_pose, reorder, tip_vertices

# The index lists as the datasets' own scripts write them: new = old[list].
PUBLISHED = {
    ("A", "B"): [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20],
    ("B", "A"): [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20],
    ("A", "C"): [16, 15, 14, 13, 17, 3, 2, 1, 18, 6, 5, 4, 19, 12, 11, 10, 20, 9, 8, 7, 0],
    ("C", "A"): [20, 7, 6, 5, 11, 10, 9, 19, 18, 17, 15, 14, 13, 3, 2, 1, 0, 4, 8, 12, 16],
    ("B", "C"): [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0],
    ("C", "B"): [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16],
    ("A", "D"): [0, 13, 1, 4, 10, 7, 14, 2, 5, 11, 8, 15, 3, 6, 12, 9, 16, 17, 18, 19, 20],
    ("D", "A"): [0, 2, 7, 12, 3, 8, 13, 5, 10, 15, 4, 9, 14, 1, 6, 11, 16, 17, 18, 19, 20],
    ("B", "D"): [0, 1, 5, 9, 13, 17, 2, 6, 10, 14, 18, 3, 7, 11, 15, 19, 4, 8, 12, 16, 20],
    ("D", "B"): [0, 1, 6, 11, 16, 2, 7, 12, 17, 3, 8, 13, 18, 4, 9, 14, 19, 5, 10, 15, 20],
}


@pytest.mark.parametrize(("orders", "published"), PUBLISHED.items())
def test_index_lists_are_the_published_ones(orders, published):
    assert reorder(*orders).tolist() == published


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"))
def test_going_to_another_order_and_back_changes_nothing(one, other):
    assert reorder(one, other)[reorder(other, one)].tolist() == list(range(21))


def test_parents_and_bones_are_the_finger_major_tree():
    assert PARENTS == (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
    assert len(BONES) == 20
    assert all(PARENTS[child] == parent for parent, child in BONES)


def test_mano_parents_follow_the_same_tree_as_order_b():
    to_b = {name: i for i, name in enumerate(JOINTS["B"])}
    for child, parent in enumerate(skeleton.PARENTS_MANO16[1:], start=1):
        a, b = skeleton.JOINTS_MANO16[child], skeleton.JOINTS_MANO16[parent]
        assert PARENTS[to_b[a]] == to_b[b]


def test_tips_of_every_convention_are_five_different_vertices_of_the_mesh():
    assert all(len(set(tips)) == 5 and max(tips) < 778 for tips in TIP_VERTICES.values())
    assert tip_vertices("freihand") == (744, 320, 443, 555, 672)


def test_the_wrist_loop_is_the_cycle_that_published_wrist_caps_use():
    published = [108, 79, 78, 121, 214, 215, 279, 239, 234, 92, 38, 122, 118, 117, 119, 120]
    start = published.index(skeleton.WRIST_LOOP[0])
    reverse = [published[(start - k) % 16] for k in range(16)]
    assert list(skeleton.WRIST_LOOP) == reverse


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_a_mirrored_pose_is_the_rotation_seen_in_a_mirror(angles):
    mirror = np.diag([-1.0, 1.0, 1.0])
    direct = Rotation.from_rotvec(mirror_pose(np.array(angles))).as_matrix()
    np.testing.assert_allclose(direct, mirror @ Rotation.from_rotvec(angles).as_matrix() @ mirror, atol=1e-9)


def test_unknown_names_are_refused_with_the_nearest_one():
    with pytest.raises(RequestError, match="freihand"):
        tip_vertices("freihands")
    with pytest.raises(RequestError, match="joint order"):
        reorder("A", "E")
