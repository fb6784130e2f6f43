import numpy as np
import pytest
import torch

from tasks.errors import RequestError
from tasks.registry import PROTOCOLS, metrics_of
from tasks.two_hands import TwoHandDataset
from tasks.two_hands.renders import from_above, from_the_side
from tasks.two_hands.solids import PROBLEMS
from tests.tasks.two_hands.free_surfaces import SIDES, as_fields, closed, subdivided

TWO_HANDS = [protocol for protocol in PROTOCOLS.values() if "two_hands" in protocol.tasks]
TILE_PX, STEP_PX, HEADER_PX = 192, 198, 26


class MemoryLayout:
    """A layout whose splits are in memory."""

    def __init__(self, **splits):
        self.splits = splits

    def split(self, name):
        return self.splits[name]


@pytest.fixture(scope="module")
def layout(make_pairs):
    kinds = ("interacting",)
    train, val = make_pairs(kinds * 9, awkward=False), make_pairs(kinds * 4, seed=1, awkward=False)
    return MemoryLayout(train=train, val=val, test=make_pairs(seed=2))


@pytest.fixture(scope="module")
def splits(task, layout):
    return task.open(layout, 64)


def test_the_layouts_own_splits_are_opened_whole(task, layout, splits):
    assert {name: len(dataset) for name, dataset in splits.items()} == {"train": 9, "val": 4, "test": 8}
    for name, dataset in splits.items():
        assert dataset.ids == layout.splits[name].ids
        assert dataset.clusters == layout.splits[name].clusters
    assert task.test_set(layout).ids == splits["test"].ids


def test_the_truth_of_a_position_is_that_of_its_sample(splits):
    val = splits["val"]
    truth = val.truth(torch.tensor([3, 0]))
    rows = val.indices[[3, 0]]
    np.testing.assert_array_equal(truth.joints_cam_m, val.samples.joints_m[rows])
    np.testing.assert_array_equal(val.true_verts(torch.tensor([3, 0])), val.samples.verts_m[rows])
    assert truth.joints_cam_m.dtype == torch.float64


def test_the_pairs_that_count_are_interacting_beyond_doubt_and_fitted(dataset):
    truth = dataset.truth(torch.arange(8))
    np.testing.assert_array_equal(truth.fitted_pair, [1, 0, 1, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(dataset.dark(torch.arange(8)), [0, 0, 0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("protocol", TWO_HANDS, ids=lambda protocol: protocol.name)
def test_joints_alone_can_be_scored_and_the_rest_has_its_reason(task, dataset, noisy, protocol):
    scores = task.score(protocol, {"joints_cam_m": noisy["joints_cam_m"]}, dataset, np.arange(8))
    metrics = metrics_of(protocol)
    for name in protocol.metrics:
        assert (name in scores.not_applicable) != (set(metrics[name].needs) <= set(scores.columns)), name
    assert set(scores.not_applicable.values()) <= {"no vertices", "no handedness"}
    for values in scores.columns.values():
        assert values.shape == (8,)
        assert values.dtype == np.float64


@pytest.mark.parametrize("protocol", [p for p in TWO_HANDS if p.name != "im2hands"], ids=lambda p: p.name)
def test_scores_of_a_part_are_the_part_of_the_scores(task, dataset, noisy, protocol):
    whole = task.score(protocol, noisy, dataset, np.arange(8)).columns
    rows = np.array([7, 1, 4])
    part = task.score(protocol, {n: v[rows] for n, v in noisy.items()}, dataset, rows).columns
    assert set(part) == set(whole)
    for name, values in part.items():
        np.testing.assert_allclose(values, whole[name][rows], rtol=1e-12)


@pytest.mark.parametrize("protocol", TWO_HANDS, ids=lambda protocol: protocol.name)
def test_a_prediction_of_nothing_is_all_holes_where_frames_count(task, dataset, noisy, protocol):
    nothing = {name: np.full_like(values, np.nan) for name, values in noisy.items()}
    scores = task.score(protocol, nothing, dataset, np.arange(8))
    metrics = metrics_of(protocol)
    assert not scores.not_applicable
    for name in set(protocol.metrics) - set(PROBLEMS):
        assert scores.columns[metrics[name].where].sum() > 0
        assert all(np.isnan(scores.columns[column]).all() for column in metrics[name].sample_columns)


def test_a_missing_an_unknown_and_a_misshapen_field_are_named(task, dataset, noisy):
    def score(fields):
        task.score(PROTOCOLS["interhand26m"], fields, dataset, np.arange(8))

    with pytest.raises(RequestError, match="lack the field 'joints_cam_m'"):
        score({"verts_cam_m": noisy["verts_cam_m"]})
    with pytest.raises(RequestError, match="unknown prediction field 'colour'"):
        score(noisy | {"colour": np.zeros((8, 3))})
    with pytest.raises(RequestError, match=r"'handedness' has shape \(8, 1\): expected \(8, 2\)"):
        score(noisy | {"handedness": noisy["handedness"][:, :1]})


def test_a_protocol_of_another_task_is_refused(task, dataset, noisy):
    with pytest.raises(RequestError, match="unknown protocol of two_hands 'freihand'"):
        task.score(PROTOCOLS["freihand"], noisy, dataset, np.arange(8))


def tile(picture, row, column):
    top, left = HEADER_PX + row * STEP_PX, 6 + column * STEP_PX
    return np.asarray(picture).astype(int)[top : top + TILE_PX, left : left + TILE_PX]


def test_the_picture_has_a_row_per_frame(task, dataset, perfect):
    picture = task.renders(perfect, dataset, np.arange(8))
    assert picture.size == (7 * STEP_PX + 6, 8 * STEP_PX + HEADER_PX)


def test_truth_and_a_perfect_prediction_cover_the_same_pixels(task, dataset, perfect):
    picture = task.renders(perfect, dataset, np.arange(8))
    for row in range(8):
        for truth, prediction, background in ((1, 2, tile(picture, row, 0)), (3, 4, 255), (5, 6, 255)):
            drawn, own = ((tile(picture, row, c) != background).any(-1) for c in (truth, prediction))
            assert 0.02 < drawn.mean() < 0.6
            assert (drawn == own).mean() > 0.99


def test_a_hand_without_a_mesh_is_drawn_by_its_bones(task, dataset, perfect):
    """Frame 6 has joints for both hands and a fit for the right one only."""
    plain, bones = (task.renders(fields, dataset, np.arange(8)) for fields in (perfect, without(perfect)))
    background = tile(plain, 6, 0)
    drawn, thin = ((tile(p, 6, 2) != background).any(-1) for p in (plain, bones))
    assert 0.005 < thin.mean() < 0.7 * drawn.mean()


def test_a_prediction_of_nothing_shows_the_bare_image(task, dataset, perfect):
    nothing = {name: np.full_like(values, np.nan) for name, values in perfect.items()}
    picture = task.renders(first(nothing, 3), dataset, np.arange(3))
    for row in range(3):
        np.testing.assert_array_equal(tile(picture, row, 2), tile(picture, row, 0))
        assert (tile(picture, row, 4) == 255).all()
        assert (tile(picture, row, 6) == 255).all()


def test_free_surfaces_are_drawn_where_the_models_mesh_is_whichever_way_they_wind(
    task, dataset, pairs, perfect
):
    rows = np.array([0, 2])
    solids = [
        [closed(v, task.hands, side) for v, side in zip(pairs.verts_m[row], SIDES, strict=True)]
        for row in rows
    ]
    joints = perfect["joints_cam_m"][rows]
    outwards = as_fields([[subdivided(*s, times=1) for s in pair] for pair in solids], joints)
    inwards = as_fields([[(v, f[:, ::-1]) for v, f in pair] for pair in solids], joints)
    plain, fine, turned = (
        task.renders(fields, dataset, rows)
        for fields in ({name: values[rows] for name, values in perfect.items()}, outwards, inwards)
    )
    for row in range(2):
        for column, background in ((2, tile(plain, row, 0)), (4, 255), (6, 255)):
            drawn = [(tile(p, row, column) != background).any(-1) for p in (plain, fine, turned)]
            assert (drawn[0] == drawn[1]).mean() > 0.98
            assert (drawn[0] == drawn[2]).mean() > 0.98
            lit = [tile(p, row, column)[drawn[1] & drawn[2]].mean() for p in (fine, turned)]
            assert abs(lit[0] - lit[1]) < 4


def test_a_hand_without_a_surface_is_drawn_by_its_bones(task, dataset, pairs, perfect):
    right = closed(pairs.verts_m[0, 0], task.hands, "right")
    picture = task.renders(as_fields([[right, None]], perfect["joints_cam_m"][:1]), dataset, np.array([0]))
    whole = task.renders(first(perfect, 1), dataset, np.array([0]))
    drawn, both = ((tile(p, 0, 6) != 255).any(-1).mean() for p in (picture, whole))
    assert 0.4 * both < drawn < 0.9 * both


def test_both_other_sides_are_quarter_turns_of_the_camera():
    """What lies deeper is further to the left from the side, and higher from above."""
    points = torch.tensor([[[1.0, 2, 3]]])
    assert from_the_side(points).tolist() == [[[-3, 2, 1]]]
    assert from_above(points).tolist() == [[[1, -3, 2]]]
    for turn in (from_the_side, from_above):
        assert torch.linalg.det(turn(torch.eye(3))) == 1


def test_pictures_are_the_same_bytes_each_time(task, dataset, noisy):
    one, again = (task.renders(first(noisy, 3), dataset, np.arange(3)) for _ in range(2))
    assert one.tobytes() == again.tobytes()


def test_positions_are_those_of_the_part_that_is_scored(task, pairs, scored, noisy):
    part = TwoHandDataset(pairs, [4, 0], 64)
    fields = {name: values[[0, 4]] for name, values in noisy.items()}
    columns = scored("house_two_hands", fields, of=part, positions=np.array([1, 0]))
    whole = scored("house_two_hands", noisy)
    np.testing.assert_allclose(columns["mpjpe_mm"], whole["mpjpe_mm"][[0, 4]], rtol=1e-12)


def without(fields):
    return {name: values for name, values in fields.items() if name != "verts_cam_m"}


def first(fields, count):
    return {name: values[:count] for name, values in fields.items()}
