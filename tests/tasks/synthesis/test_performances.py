import numpy as np
import pytest

from tasks.hands.hand import load_hand
from tasks.synthesis.performances import REACH_M, Performance, perform
from tasks.synthesis.shading import Stage
from tasks.synthesis.things import THINGS, contact

THING = THINGS["006_mustard_bottle"]


def act(seed: int, n_frames: int, name: str = THING.name) -> Performance:
    hand = load_hand("right")
    return perform(Stage(hand.data), hand, np.random.default_rng(seed), np.zeros(10), THINGS[name], n_frames)


@pytest.fixture(scope="module")
def long() -> Performance:
    return act(0, 60)


def test_the_same_stream_plays_the_same_performance() -> None:
    np.testing.assert_array_equal(act(3, 9).verts_m, act(3, 9).verts_m)
    assert not np.array_equal(act(3, 9).verts_m, act(4, 9).verts_m)


def test_hand_and_object_move_smoothly_and_do_move(long: Performance) -> None:
    steps = np.linalg.norm(np.diff(long.joints_m, axis=0), axis=-1)
    jerks = np.linalg.norm(np.diff(long.joints_m, n=2, axis=0), axis=-1)
    assert steps.max() < 0.05
    assert jerks.max() < 0.025
    assert steps.max(axis=1).mean() > 0.003
    assert np.linalg.norm(np.diff(long.thing_centre_m, axis=0), axis=-1).max() < 0.05


def test_the_hand_stays_in_the_middle_of_the_stage(long: Performance) -> None:
    middle = long.verts_m[:, : load_hand("right").n_verts].mean(axis=1)
    assert (np.abs(middle) <= np.array(REACH_M) + 1e-9).all()


def test_numbers_of_one_instant_belong_together(long: Performance) -> None:
    np.testing.assert_allclose(long.joints_m[:, 0], long.wrist_m, atol=1e-9)
    np.testing.assert_allclose(long.rotation @ long.rotation.mT, np.tile(np.eye(3), (60, 1, 1)), atol=1e-9)
    n_object = len(THING.verts_m)
    posed = THING.verts_m @ long.thing_rotation.mT + long.thing_centre_m[:, None]
    np.testing.assert_allclose(long.verts_m[:, -n_object:], posed, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["003_cracker_box", "011_banana", "024_bowl", "037_scissors", "019_pitcher_base"]
)
def test_the_hand_touches_the_thing_and_sinks_into_it_little(name: str) -> None:
    inside, touching = [], []
    for seed in range(4):
        played = act(seed, 6, name)
        verts_m = played.verts_m[0, : load_hand("right").n_verts]
        distance, within, _ = contact(
            THINGS[name], played.thing_rotation[0], played.thing_centre_m[0], verts_m
        )
        inside.append(within.mean())
        touching.append(distance.min())
    assert np.median(inside) < 0.1
    assert max(touching) < 0.004
