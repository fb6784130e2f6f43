"""Im2Hands as a method: which stages there are, what each hands on, and what is predicted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from methods.base import Progress
from methods.im2hands.method import Im2Hands, anchors_of, initial_in_both
from methods.im2hands.spec import REFINEMENT
from methods.layers.implicit.hand_field import HandField
from tasks.geometry.mesh import watertight_problem
from tasks.hands.hand import load_hand
from tests.methods.im2hands.small import SIZE, small_config
from tests.methods.pairs import pairs_batch

START = Progress(0, 1, 0, 10)


def method(keypoints: str = "truth", **changes) -> Im2Hands:
    made = Im2Hands(small_config(**changes), load_hand())
    made.keypoints = keypoints
    return made


def built(of: Im2Hands) -> dict:
    modules: dict = {}
    for stage in of.stages():
        torch.manual_seed(0)
        modules[stage.name] = stage.build(of.config, of.hand, modules).eval()
    return modules


@pytest.fixture(scope="module")
def batch():
    return pairs_batch(2, SIZE)


@pytest.fixture(scope="module")
def derived(batch):
    of = method()
    modules = built(of)
    with torch.inference_mode():
        return of.stages()[-1].derive(modules, batch)


def test_stages_are_those_that_are_asked_for():
    def names(*arguments, **changes):
        return [stage.name for stage in method(*arguments, **changes).stages()]

    assert names() == ["initial", "refinement"]
    assert names("digit") == ["keypoints", "initial", "refinement"]
    assert names("digit", refiner={"use": "off"}) == ["initial", "refinement"]
    assert names(refiner={"use": "on"}) == ["keypoints", "initial", "refinement"]
    assert names(refinement={"use": False}) == ["initial"]


def test_a_stage_is_kept_by_its_own_settings_alone():
    plain = method("digit")
    other = method("digit", refinement={"penetration": {"weight": 1.0}}, extraction={"resolution": 16})
    keypoints, initial, refinement = zip(
        *([s.spec.settings(m.config) for s in m.stages()] for m in (plain, other)), strict=True
    )
    assert keypoints[0] == keypoints[1]
    assert initial[0] == initial[1]
    assert refinement[0] != refinement[1]
    derived = [REFINEMENT.derives(m.config) for m in (plain, other)]
    assert derived[0] == derived[1], "the weight of a loss changes nothing that was derived"


def test_where_the_surface_is_read_changes_no_training():
    plain, other = method(), method(initial={"threshold": 0.4}, refinement={"threshold": 0.5})
    for ours, theirs in zip(plain.stages(), other.stages(), strict=True):
        assert ours.spec.settings(plain.config) == theirs.spec.settings(other.config)
    assert REFINEMENT.derives(plain.config) != REFINEMENT.derives(other.config)


def test_what_is_derived_of_a_sample_depends_on_it_alone(batch, derived):
    of = method()
    alone = replace(
        batch,
        **{
            name: value[1:]
            for name, value in vars(batch).items()
            if torch.is_tensor(value) and len(value) == len(batch)
        },
    )
    with torch.inference_mode():
        again = of.stages()[-1].derive(built(of), alone)
    assert set(again) == set(derived) == {"anchors", "pool", "pool_occupied", "pool_initial"}
    for name, values in again.items():
        torch.testing.assert_close(values[0], derived[name][1], atol=2e-3, rtol=0)


def test_anchors_lie_on_the_initial_surface(batch):
    of = method()
    field: HandField = built(of)["initial"]
    with torch.inference_mode():
        hands = field.hands(batch.image, batch.intrinsics_px, batch.keypoints_cam_m)
        anchors = anchors_of(field, hands, of.config)
        occupancy = field.logits(hands, anchors.flatten(0, 1)).sigmoid()
    assert anchors.shape == (2, 2, 32, 3)
    assert float((occupancy - 0.5).abs().median()) < 0.2


def test_keypoints_of_no_hand_have_anchors_all_the_same(batch):
    of = method(initial={"threshold": 0.999})
    field: HandField = built(of)["initial"]
    with torch.inference_mode():
        hands = field.hands(batch.image, batch.intrinsics_px, 0 * batch.keypoints_cam_m)
        anchors = anchors_of(field, hands, of.config)
    assert anchors.shape == (2, 2, 32, 3)
    assert anchors.isfinite().all()


def test_initial_occupancy_is_asked_of_both_hands_at_the_same_places(batch):
    """In the other hand's palm frame, which no released slip spoils: a hand's own surface is on its own surface."""
    field: HandField = built(method())["initial"]
    with torch.inference_mode():
        hands = field.hands(batch.image, batch.intrinsics_px, batch.keypoints_cam_m)
        points = 0.1 * torch.randn(2, 2, 9, 3, generator=torch.Generator().manual_seed(1))
        both = initial_in_both(field, hands, points)
        in_camera = hands.frames.from_palm(points.flatten(0, 1))
        for hand in range(4):
            other = hand ^ 1
            there = hands.one(other).frames.to_palm(in_camera[hand : hand + 1])
            expected = field.logits(hands.one(other), there).sigmoid()[0]
            torch.testing.assert_close(both.flatten(0, 1)[hand, :, 1], expected, atol=1e-5, rtol=1e-4)


def test_refinement_draws_from_the_pool_and_is_trained_on_both_terms(batch, derived):
    of = method()
    stage = of.stages()[-1]
    pooled = replace(batch, derived=dict(derived))
    prepared = stage.prepare(pooled, torch.Generator().manual_seed(0))
    assert prepared.queries.points.shape == (2, 2, 32, 3)
    pool = derived["pool"][0, 0].float()
    assert all((pool == point).all(dim=1).any() for point in prepared.queries.points[0, 0])
    module = built(of)["refinement"].train()
    terms = stage.loss(module, prepared, START)
    assert set(terms) == {"total", "occupancy", "penetration"}
    weight = of.config.refinement.penetration.weight
    torch.testing.assert_close(terms["total"], terms["occupancy"] + weight * terms["penetration"])
    terms["total"].backward()
    lacking = [name for name, p in module.named_parameters() if p.grad is None]
    assert lacking == [], "data-parallel training waits for every weight"


@pytest.mark.parametrize("name", ["keypoints", "initial"])
def test_every_weight_of_the_other_stages_is_trained(batch, name):
    of = method("digit")
    stage = next(stage for stage in of.stages() if stage.name == name)
    module = built(of)[name].train()
    stage.loss(module, stage.prepare(batch, torch.Generator()), START)["total"].backward()
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


def test_the_refiner_learns_from_true_keypoints(batch):
    """Its error is that of the given keypoints about each middle knuckle, in mm^2, when it does nothing."""
    of = method("digit", refiner={"output": "offsets"})
    shift = 0.004 * torch.randn_like(batch.keypoints_cam_m)
    given = replace(batch, keypoints_cam_m=batch.keypoints_cam_m + shift)
    loss = of.stages()[0].loss(built(of)["keypoints"], given, START)["total"]
    relative_mm = 1000 * (shift - shift[:, :, 9, None])
    expected = relative_mm.square().mean(dim=(2, 3)).mean(dim=0).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-3)


def test_predictions_are_closed_meshes_about_the_keypoints(batch):
    of = method(refinement={"initial": "residual"})
    with torch.inference_mode():
        fields = of.predict(built(of), batch)
    torch.testing.assert_close(fields["joints_cam_m"], batch.keypoints_cam_m)
    verts, faces = fields["surface_verts_cam_m"], fields["surface_faces"]
    assert verts.shape == faces.shape == (2, 2)
    for sample in range(2):
        for side, (v, f) in enumerate(zip(verts.parts(sample), faces.parts(sample), strict=True)):
            assert watertight_problem(v, f) is None
            middle = batch.keypoints_cam_m[sample, side].mean(0).numpy()
            assert np.linalg.norm(v.mean(0) - middle) < 0.04


def test_a_hand_that_is_not_there_has_no_mesh_and_the_other_is_not_refined(batch):
    there = torch.tensor([[True, False], [True, True]])
    lone = replace(batch, has_keypoints=there)
    of, plain = method(), method(refinement={"use": False})
    modules = built(of)
    with torch.inference_mode():
        fields, initial = of.predict(modules, lone), plain.predict({"initial": modules["initial"]}, lone)
    counts = fields["surface_verts_cam_m"].counts
    assert counts[0, 1] == 0
    assert fields["joints_cam_m"][0, 1].isnan().all()
    np.testing.assert_array_equal(
        fields["surface_verts_cam_m"].parts(0)[0], initial["surface_verts_cam_m"].parts(0)[0]
    )
