"""What is certainly wrong is refused by name; what is only poor passes."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.ragged import Ragged
from tasks.submissions import diagnose

NOISES_MM = [0, 5, 10]
"""Per coordinate. In 10 mm, ring and pinky exchanged are lost: they cost as much."""

MANO_OF_MAJOR = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
MAJOR_OF_MANO = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
INTERHAND_OF_MAJOR = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
RING_PINKY = [*range(13), 17, 18, 19, 20, 13, 14, 15, 16]
BASES_OF_MANO = [*range(7), 10, 11, 12, 7, 8, 9, *range(13, 21)]
"""Pinky and ring of MANO's 16 joints exchanged, as who expects the ring first; the tips stay."""


@pytest.fixture(scope="module")
def dataset(make_single):
    return make_single(60, seed=3)


def noisy(dataset, mm, seed=0):
    joints_m = dataset.samples.joints_m
    return joints_m + np.random.default_rng(seed).normal(0, mm / 1000, joints_m.shape)


def turned(joints_m):
    """Every hand under a rotation of its own."""
    turns = Rotation.random(len(joints_m), random_state=0).as_matrix()
    return np.einsum("nij,npj->npi", turns, joints_m - joints_m[:, :1]) + joints_m[:, :1]


MISTAKES = {
    "millimetres": ("freihand", lambda x: x * 1000, "times as large.*millimetres"),
    "centimetres": ("freihand", lambda x: x * 100, "times as large.*centimetres"),
    "metres / 1000": ("freihand", lambda x: x / 1000, "times as large.*metres where millimetres"),
    "freihand in opengl": ("freihand", lambda x: x * [1, -1, -1], r"wrong axes.*\(x, -y, -z\)"),
    "ho3d without the flip": ("ho3d_v2", lambda x: x * [1, -1, -1], r"wrong axes.*\(x, -y, -z\).*OpenGL"),
    "y and z exchanged": ("freihand", lambda x: x[..., [0, 2, 1]], r"wrong axes.*\(x, z, y\)"),
    "x negated": ("freihand", lambda x: x * [-1, 1, 1], r"wrong axes.*\(-x, y, z\)"),
    "behind the camera": ("freihand", lambda x: x - [0, 0, 1.5], "behind the camera in 100%"),
    "left hands": ("freihand", lambda x: turned(x * [-1, 1, 1]), "mirror images of the true ones"),
    "order A in freihand": (
        "freihand",
        lambda x: x[:, MANO_OF_MAJOR],
        r"wrong order of joints: MANO's.*\(A\)",
    ),
    "order C in freihand": (
        "freihand",
        lambda x: x[:, INTERHAND_OF_MAJOR],
        "wrong order of joints: InterHand2.6M's",
    ),
    "order B in ho3d": (
        "ho3d_v3",
        lambda x: x[:, MAJOR_OF_MANO],
        r"wrong order of joints: finger-major \(B\)",
    ),
    "ring and pinky": ("freihand", lambda x: x[:, RING_PINKY], "ring and pinky exchanged"),
    "ring and pinky but for tips": (
        "ho3d_v2",
        lambda x: x[:, MANO_OF_MAJOR][:, BASES_OF_MANO][:, MAJOR_OF_MANO],
        "ring and pinky exchanged but for their tips",
    ),
    "depths in metres": (
        "freihand",
        lambda x: np.concatenate([x[..., :2], x[:, :1, 2:] + (x[..., 2:] - x[:, :1, 2:]) / 1000], axis=-1),
        "times as deep.*metres where millimetres",
    ),
    "relative to the wrist": ("freihand", lambda x: x - x[:, :1], "joint 0 .* root-relative"),
    "relative to the middle base": ("freihand", lambda x: x - x[:, 9:10], "joint 9 .* root-relative"),
}


@pytest.mark.parametrize(
    ("name", "mm"),
    [(name, mm) for name in MISTAKES for mm in NOISES_MM if mm < 10 or not name.startswith("ring")],
)
def test_a_certain_mistake_is_refused(name, mm, dataset):
    layout, mistake, pattern = MISTAKES[name]
    with pytest.raises(RequestError, match=pattern) as error:
        diagnose({"joints_cam_m": mistake(noisy(dataset, mm))}, layout, dataset)
    assert "\n" not in str(error.value)


def relative(x):
    return x - x[:, :1]


POOR = {
    "perfect": lambda x, rng: x,
    "20 mm": lambda x, rng: x + rng.normal(0, 0.02, x.shape),
    "80 mm": lambda x, rng: x + rng.normal(0, 0.08, x.shape),
    "far off": lambda x, rng: x + np.array([0.1, 0.1, 0.3]),
    "mean hand": lambda x, rng: np.broadcast_to(x.mean(axis=0), x.shape),
    "mean hand at the true root": lambda x, rng: relative(x).mean(axis=0) + x[:, :1],
    "one hand": lambda x, rng: np.broadcast_to(x[0], x.shape),
    "other frames' hands": lambda x, rng: x[rng.permutation(len(x))],
    "zeros": lambda x, rng: np.zeros_like(x),
    "a point": lambda x, rng: np.zeros_like(x) + np.array([0.1, 0, 0.5]),
    "random points": lambda x, rng: rng.normal([0, 0, 0.6], 0.1, x.shape),
    "flat": lambda x, rng: np.concatenate(
        [x[..., :2], np.broadcast_to(x[:, :1, 2:], x[..., 2:].shape)], axis=-1
    ),
    "half the size": lambda x, rng: relative(x) * 0.5 + x[:, :1],
    "twice the size": lambda x, rng: relative(x) * 2 + x[:, :1],
    "timid": lambda x, rng: 0.2 * relative(x) + 0.8 * relative(x).mean(axis=0) + x[:, :1],
    "turned at random": lambda x, rng: turned(x),
    "mirrored in a tenth of the frames": lambda x, rng: np.where(
        np.arange(len(x))[:, None, None] % 10 == 0, x * [-1, 1, 1], x
    ),
}


@pytest.mark.parametrize("frames", [60, 5, 2, 1])
@pytest.mark.parametrize("name", POOR)
@pytest.mark.parametrize("layout", ["freihand", "ho3d_v2"])
def test_a_poor_prediction_passes(name, layout, frames, make_single):
    dataset = make_single(frames, seed=5, turn=1.0)
    joints_m = POOR[name](dataset.samples.joints_m, np.random.default_rng(1))
    diagnose({"joints_cam_m": joints_m}, layout, dataset)


def test_a_frame_that_is_not_finite_is_named(dataset):
    fields = dataset.fields()
    fields["verts_cam_m"][[7, 40], 3, 1] = np.nan
    with pytest.raises(RequestError, match=r"record 7 \('evaluation/00000007'\) of 'verts_cam_m' holds NaN"):
        diagnose(fields, "freihand", dataset)
    for value in (np.inf, -1e200):
        fields["joints_cam_m"][55, 20, 2] = value
        with pytest.raises(RequestError, match=r"record 55 .* of 'joints_cam_m'"):
            diagnose(fields, "freihand", dataset)


def test_shapes_are_checked(dataset):
    with pytest.raises(RequestError, match=r"has shape \(59, 21, 3\): expected \(60, 21, 3\)"):
        diagnose({"joints_cam_m": dataset.samples.joints_m[1:]}, "freihand", dataset)
    with pytest.raises(RequestError, match="lack the field 'joints_cam_m'"):
        diagnose({"verts_cam_m": dataset.samples.verts_m}, "freihand", dataset)


@pytest.mark.parametrize("change", [lambda v: v * 1000, lambda v: v * [1, -1, -1], lambda v: v - [0, 0, 0.6]])
def test_a_mesh_apart_from_its_joints_is_refused(dataset, change):
    fields = dataset.fields()
    fields["verts_cam_m"] = change(fields["verts_cam_m"])
    with pytest.raises(RequestError, match=r"vertices lie .* m from the joints"):
        diagnose(fields, "freihand", dataset)


def test_zeros_in_place_of_a_mesh_pass(dataset):
    fields = dataset.fields()
    fields["verts_cam_m"][:] = 0
    diagnose(fields, "freihand", dataset)


def test_left_hands_that_were_left_mirrored_are_told_from_right_ones(make_single):
    dataset = make_single(60, left=True)
    fields = dataset.fields()
    diagnose(fields, "dexycb", dataset)
    fields["joints_cam_m"][dataset.samples.mirrored] *= [-1, 1, 1]
    with pytest.raises(RequestError, match=r"the left hands are mirror images .*original camera"):
        diagnose(fields, "dexycb", dataset)


def test_two_hands_pass_with_hands_missing(make_two_hands):
    dataset = make_two_hands(60)
    diagnose(dataset.fields(), "interhand26m", dataset)
    fields = dataset.fields()
    fields["joints_cam_m"][:20] = np.nan
    diagnose(fields, "interhand26m", dataset)


def test_a_hand_that_is_missing_in_part_is_named(make_two_hands):
    dataset = make_two_hands(60)
    fields = dataset.fields()
    fields["joints_cam_m"][6, 1, 4] = np.nan
    with pytest.raises(RequestError, match=r"record 6 .*part of a hand"):
        diagnose(fields, "interhand26m", dataset)


def with_surfaces(dataset, change=lambda points: points):
    """The perfect prediction with each hand's vertices as a free surface; a hand that is not there has none."""
    fields = dataset.fields()
    hands = [hand for frame in fields.pop("verts_cam_m") for hand in frame if np.isfinite(hand).all()]
    counts = 778 * np.isfinite(fields["joints_cam_m"]).all(axis=(2, 3)).astype(int)
    faces = Ragged(np.tile(np.arange(3), (counts.astype(bool).sum(), 1)), (counts > 0).astype(int))
    return fields | {
        "surface_verts_cam_m": Ragged(change(np.concatenate(hands)), counts),
        "surface_faces": faces,
    }


def test_free_surfaces_pass_with_hands_missing(make_two_hands):
    dataset = make_two_hands(60)
    diagnose(with_surfaces(dataset), "interhand26m", dataset)


@pytest.mark.parametrize("change", [lambda v: v * 1000, lambda v: v * [1, -1, -1], lambda v: v - [0, 0, 0.6]])
def test_surfaces_apart_from_their_joints_are_refused(make_two_hands, change):
    dataset = make_two_hands(60)
    with pytest.raises(RequestError, match=r"vertices lie .* m from the joints"):
        diagnose(with_surfaces(dataset, change), "interhand26m", dataset)


def test_a_surface_that_is_not_finite_is_named_by_its_record(make_two_hands):
    dataset = make_two_hands(60)
    fields = with_surfaces(dataset)
    fields["surface_verts_cam_m"].values[4 * 778 + 5, 1] = np.nan
    with pytest.raises(
        RequestError, match=r"record 3 \('Capture0/seq/cam/00003'\) of 'surface_verts_cam_m' holds NaN"
    ):
        diagnose(fields, "interhand26m", dataset)


TWO_HANDS = {
    "exchanged": (lambda x: np.where(np.isfinite(x).all(axis=(1, 2, 3), keepdims=True), x[:, ::-1], x), "exchanged"),
    "order": (lambda x: x[:, :, INTERHAND_OF_MAJOR], "wrong order"),
    "millimetres": (lambda x: x * 1000, "millimetres"),
    "axes": (lambda x: x * [1, -1, -1], "wrong axes"),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO_HANDS)
def test_mistakes_with_two_hands_are_refused(name, make_two_hands):
    dataset = make_two_hands(60)
    change, pattern = TWO_HANDS[name]
    with pytest.raises(RequestError, match=pattern):
        diagnose({"joints_cam_m": change(dataset.samples.joints_m)}, "interhand26m", dataset)


def test_one_wrong_hand_before_one_view_hardly_ever_passes_for_other_axes(make_single):
    """The hardest case: all frames show one pose, and the model gives another, turned at random."""
    dataset = make_single(12, seed=8)
    hands_m = make_single(60, seed=9, turn=1.5).samples.joints_m
    rng = np.random.default_rng(0)
    one_m = dataset.samples.joints_m[0]
    dataset.samples.joints_m = one_m + rng.normal(0, 0.002, dataset.samples.joints_m.shape)
    refused = 0
    for hand_m, turn in zip(hands_m, Rotation.random(60, random_state=1).as_matrix(), strict=True):
        turned_m = (hand_m - hand_m[0]) @ turn.T + one_m[0] + rng.normal(0, 0.002, (12, 21, 3))
        try:
            diagnose({"joints_cam_m": turned_m}, "freihand", dataset)
        except RequestError:
            refused += 1
    assert refused <= 3
