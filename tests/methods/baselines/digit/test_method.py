from dataclasses import replace

import pytest
import torch

from methods.base import Progress
from methods.baselines.digit.config import DigitConfig
from methods.baselines.digit.losses import Targets
from methods.baselines.digit.method import Digit, in_space
from methods.baselines.digit.model import DigitOutput
from tasks.hands.hand import HandModel
from tasks.two_hands.batch import TwoHandBatch
from tests.methods.baselines.digit.small import SMALL

N, SIZE = 6, 64


@pytest.fixture
def method(hand: HandModel) -> Digit:
    return Digit(DigitConfig.model_validate(SMALL), hand)


def true_output(batch: TwoHandBatch) -> DigitOutput:
    """What a network that is right about everything says."""
    truth = Targets.of(batch)
    return DigitOutput(
        truth.joints, truth.relative_root, 20 * truth.handedness - 10, truth.log_crop_width, torch.zeros(N, 33, 4, 4)
    )  # fmt: skip


def test_a_network_that_is_right_puts_every_hand_where_it_is(batch: TwoHandBatch) -> None:
    fields = in_space(true_output(batch), batch.intrinsics_px, SIZE)
    there = batch.has_hand
    torch.testing.assert_close(fields["joints_cam_m"][there], batch.joints_cam_m[there], atol=1e-5, rtol=1e-4)
    pairs = there.all(1)
    relative = batch.joints_cam_m[pairs, 1, 0] - batch.joints_cam_m[pairs, 0, 0]
    torch.testing.assert_close(fields["relative_root_m"][pairs], relative, atol=1e-5, rtol=1e-4)
    assert torch.equal(fields["handedness"] > 0.5, there)
    assert all(value.isfinite().all() for value in fields.values())


def test_the_left_wrist_hangs_on_the_right_one_where_that_is_seen(batch: TwoHandBatch) -> None:
    """A wrong width at the left wrist matters to left hands alone."""
    out = true_output(batch)
    wrong = replace(out, log_crop_width=out.log_crop_width + torch.tensor([0.0, 0.1]))
    right, left_off = (in_space(o, batch.intrinsics_px, SIZE) for o in (out, wrong))
    moved = ~torch.isclose(left_off["joints_cam_m"], right["joints_cam_m"]).flatten(2).all(2)
    alone = batch.has_hand[:, 1] & ~batch.has_hand[:, 0]
    assert torch.equal(moved[:, 1], alone)
    assert not moved[:, 0].any()
    torch.testing.assert_close(left_off["relative_root_m"], right["relative_root_m"])
    torch.testing.assert_close(
        left_off["joints_cam_m"][alone, 1, 0, 2],
        right["joints_cam_m"][alone, 1, 0, 2] * torch.tensor(0.1).exp(),
    )


def test_predictions_see_the_image_and_the_camera_alone(method: Digit, batch: TwoHandBatch) -> None:
    modules = {"digit": method.stages()[0].build(method.config, method.hand, {}).eval()}
    named = {"image", "intrinsics_px", "index"}
    blind = replace(
        batch,
        **{
            name: torch.zeros_like(value)
            for name, value in vars(batch).items()
            if isinstance(value, torch.Tensor) and name not in named
        },
    )
    fields, again = (method.predict(modules, b) for b in (batch, blind))
    assert set(fields) == {"joints_cam_m", "relative_root_m", "handedness"}
    assert fields["joints_cam_m"].shape == (N, 2, 21, 3)
    assert all(torch.equal(again[name], value) for name, value in fields.items())


@pytest.mark.slow
def test_it_learns_a_batch_by_heart(method: Digit, batch: TwoHandBatch) -> None:
    torch.manual_seed(0)
    (stage,) = method.stages()
    module = stage.build(method.config, method.hand, {})
    optimiser = torch.optim.AdamW(module.parameters(), 5e-3)
    first = None
    for _ in range(60):
        optimiser.zero_grad()
        terms = stage.loss(module, batch, Progress(0, 1, 0, 1))
        terms["total"].backward()
        optimiser.step()
        first = first or {name: float(term.detach()) for name, term in terms.items()}
    for name in ("joints", "segmentation"):
        assert float(terms[name].detach()) < 0.5 * first[name], name
