from dataclasses import replace

import pytest
import torch

from methods.base import Progress
from methods.baselines.mano_regressor.config import ManoRegressorConfig
from methods.baselines.mano_regressor.method import ManoRegressor
from methods.baselines.mean_hand.method import MeanHand
from methods.config import SingleStageConfig
from methods.layers.backbone_config import BackboneConfig
from tasks.hands.hand import HandModel
from tasks.single_hand.batch import HandBatch

SMALL = BackboneConfig(widths=(8, 12, 16), blocks=(1, 1, 1), features=32, pooling="grid")
PROGRESS = Progress(0, 1, 0, 1)


def part(batch: HandBatch, index: slice) -> HandBatch:
    return replace(batch, **{name: getattr(batch, name)[index] for name in batch.__dataclass_fields__})


def test_mean_hand_predicts_the_mean_whatever_the_batches(hand: HandModel, batch: HandBatch) -> None:
    method = MeanHand(SingleStageConfig(image_size_px=64), hand)
    (stage,) = method.stages()
    module = stage.build(method.config, hand, {})
    assert stage.fit is not None
    stage.fit(module, [part(batch, slice(0, 1)), part(batch, slice(1, 6))])
    fields = method.predict({"mean": module}, part(batch, slice(0, 2)))
    relative = batch.verts_cam_m - batch.joints_cam_m[:, :1]
    expected = relative.mean(0) + batch.joints_cam_m[:, 0].mean(0)
    torch.testing.assert_close(fields["verts_cam_m"], expected.expand(2, -1, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(fields["joints_cam_m"], hand.joints_from_verts(fields["verts_cam_m"]))
    skin = batch.image.movedim(1, -1)[batch.hand_mask].mean(0)
    torch.testing.assert_close(fields["vertex_rgb"], skin.expand(2, hand.n_verts, 3))
    torch.testing.assert_close(fields["flat_rgb"], skin.expand(2, 3))


@pytest.fixture
def regressor(hand: HandModel) -> ManoRegressor:
    return ManoRegressor(ManoRegressorConfig(image_size_px=64, backbone=SMALL, hidden=32), hand)


def test_mano_regressor_predicts_joints_that_belong_to_its_vertices(
    regressor: ManoRegressor, hand: HandModel, batch: HandBatch
) -> None:
    (stage,) = regressor.stages()
    fields = regressor.predict({"regressor": stage.build(regressor.config, hand, {}).eval()}, batch)
    regressed = hand.joints_from_verts(fields["verts_cam_m"])
    torch.testing.assert_close(fields["joints_cam_m"], regressed, atol=1e-5, rtol=0)
    assert fields["verts_cam_m"].shape == (6, hand.n_verts, 3)


def test_mano_regressor_gives_every_parameter_a_gradient(
    regressor: ManoRegressor, hand: HandModel, batch: HandBatch
) -> None:
    (stage,) = regressor.stages()
    module = stage.build(regressor.config, hand, {})
    terms = stage.loss(module, batch, PROGRESS)
    terms["total"].backward()
    assert set(terms) == {"total", "verts", "joints", "points_2d", "rotation", "pose", "betas"}
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.slow
def test_mano_regressor_learns_a_batch_by_heart(
    regressor: ManoRegressor, hand: HandModel, batch: HandBatch
) -> None:
    torch.manual_seed(0)
    (stage,) = regressor.stages()
    module = stage.build(regressor.config, hand, {})
    optimiser = torch.optim.AdamW(module.parameters(), 2e-3)
    first = float(stage.loss(module, batch, PROGRESS)["joints"].detach())
    for _ in range(120):
        optimiser.zero_grad()
        terms = stage.loss(module, batch, PROGRESS)
        terms["total"].backward()
        optimiser.step()
    assert float(terms["joints"].detach()) < 0.3 * first
