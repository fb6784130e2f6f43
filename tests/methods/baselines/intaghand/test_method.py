from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import nn

from methods.base import Progress
from methods.baselines.intaghand.config import IntagHandConfig
from methods.baselines.intaghand.method import IntagHand
from methods.baselines.intaghand.model import IntagHandModule, IntagHandOutput
from methods.config import resolve_config
from methods.registry import load_preset
from tasks.errors import RequestError
from tasks.hands.hand import HandModel
from tasks.two_hands.batch import TwoHandBatch
from tests.methods.baselines.intaghand.small import SMALL, small
from tests.methods.baselines.intaghand.test_losses import perfect

FORMS = [
    {},
    {"relative_root": "in_vertices"},
    {"size": "unit_palm"},
    {"relative_root": "in_vertices", "size": "unit_palm"},
]


def built(hand: HandModel, config: IntagHandConfig = SMALL) -> tuple[IntagHand, dict[str, nn.Module]]:
    method = IntagHand(config, hand)
    torch.manual_seed(0)
    module = method.stages()[0].build(config, hand, {})
    return method, {"intaghand": module.eval()}


def true_output(module: IntagHandModule, batch: TwoHandBatch, config: IntagHandConfig) -> IntagHandOutput:
    """A perfect output with cameras that put each hand's own root exactly where it is."""
    out = perfect(batch, module.pair, torch.arange(9), config)  # any: placing reads no coarse vertex
    if config.relative_root == "in_vertices":
        origin = module.pair.roots(out.verts)[:, :, 0, :2]
    else:
        origin = torch.zeros(len(batch), 2, 2)
    unit = torch.ones(len(batch)) if out.log_palm is None else out.log_palm.exp()
    scale, shift = out.cameras[..., :1] * unit[:, None, None], out.cameras[..., 1:] / unit[:, None, None]
    return replace(out, cameras=torch.cat([scale, shift - origin], -1))


@pytest.mark.parametrize("form", FORMS)
def test_a_perfect_output_is_placed_where_the_hands_are(
    hand: HandModel, pair_batch: TwoHandBatch, form: dict[str, str]
) -> None:
    config = small(**form)
    _, modules = built(hand, config)
    module: IntagHandModule = modules["intaghand"]  # type: ignore[assignment]
    out = true_output(module, pair_batch, config)
    placed = module.placed(out, pair_batch.intrinsics_px, pair_batch.has_hand)
    torch.testing.assert_close(placed, pair_batch.verts_cam_m, atol=2e-5, rtol=0)


def test_the_relative_root_overrules_two_depths_that_differ(
    hand: HandModel, pair_batch: TwoHandBatch
) -> None:
    _, modules = built(hand)
    module: IntagHandModule = modules["intaghand"]  # type: ignore[assignment]
    out = true_output(module, pair_batch, SMALL)
    cameras = out.cameras.clone()
    cameras[:, 0, 0] *= 1.2
    wrong = replace(out, cameras=cameras)
    roots = module.pair.roots(module.placed(wrong, pair_batch.intrinsics_px, pair_batch.has_hand))[:, :, 0]
    true_roots = module.pair.roots(pair_batch.verts_cam_m)[:, :, 0]
    torch.testing.assert_close(
        roots[:, 0] - roots[:, 1], true_roots[:, 0] - true_roots[:, 1], atol=2e-5, rtol=0
    )

    alone = torch.tensor([[True, False]]).expand(5, -1)
    roots = module.pair.roots(module.placed(wrong, pair_batch.intrinsics_px, alone))[:, :, 0]
    torch.testing.assert_close(roots[:, 0, 2], true_roots[:, 0, 2] / 1.2, rtol=1e-4, atol=0)


def test_a_hand_that_is_not_there_is_nan_and_joints_follow_the_mesh(
    hand: HandModel, pair_batch: TwoHandBatch
) -> None:
    method, modules = built(hand)
    has_hand = pair_batch.has_hand.clone()
    has_hand[2, 1] = False
    fields = method.predict(modules, replace(pair_batch, has_hand=has_hand))
    for values in fields.values():
        assert torch.equal(values.isfinite().flatten(2).all(2), has_hand)
        assert values[2, 1].isnan().all()
    tips = fields["verts_cam_m"][:, :, [745, 317, 444, 556, 673]]
    torch.testing.assert_close(fields["joints_cam_m"][:, :, [4, 8, 12, 16, 20]], tips, equal_nan=True)


def test_samples_do_not_mix_and_predictions_repeat(hand: HandModel, pair_batch: TwoHandBatch) -> None:
    method, modules = built(hand)
    whole, again = method.predict(modules, pair_batch), method.predict(modules, pair_batch)
    alone = method.predict(
        modules,
        replace(
            pair_batch,
            image=pair_batch.image[3:4],
            intrinsics_px=pair_batch.intrinsics_px[3:4],
            has_hand=pair_batch.has_hand[3:4],
        ),
    )
    for name, values in whole.items():
        assert torch.equal(values, again[name])
        torch.testing.assert_close(values[3:4], alone[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", [FORMS[0], FORMS[3]])
def test_training_lowers_the_loss_and_reaches_every_weight(
    hand: HandModel, pair_batch: TwoHandBatch, form: dict[str, str]
) -> None:
    method, modules = built(hand, small(**form))
    stage, module = method.stages()[0], modules["intaghand"].train()
    optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], 2e-3)
    losses = []
    for step in range(12):
        optimiser.zero_grad()
        terms = stage.loss(module, pair_batch, Progress(0, 1, step, 12))
        terms["total"].backward()
        optimiser.step()
        losses.append(float(terms["total"].detach()))
    assert losses[-1] < 0.7 * losses[0]
    unreached = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert unreached == []


def pre_norm(width: int) -> int:
    """Query, key, value, projection, feed-forward there and back, two norms."""
    return 6 * (width**2 + width) + 4 * width


def decoder_level(vertices: int, width_in: int, width: int, grid: int, patch: int) -> int:
    def block(inputs: int) -> int:
        return (2 * inputs * width + width) + (2 * width**2 + width) + (inputs * width + width) + 4 * width

    graphs = block(width_in) + 3 * block(width)
    look = (
        (256 * grid * patch**2 + grid) + 64 * grid + pre_norm(grid) + (grid * width + width) + pre_norm(width)
    )
    after = 2 * (width**2 + width) + 2 * width
    across = 2 * pre_norm(width) + 4 * width + 4 * (width**2 + width) + 2 * after
    return vertices * width_in + 2 * graphs + 2 * look + across


def parameters_of(module: nn.Module, trained: bool = True) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad is trained)


def test_the_paper_preset_has_the_parameters_of_the_papers_parts(hand: HandModel) -> None:
    config = resolve_config(IntagHandConfig, load_preset("intaghand", "paper"), {})
    module = IntagHandModule(config, hand)
    assert parameters_of(module.encoder) == 23_508_032 + 2 * (2048 * 128 + 27 * 128**2 + 8 * 128) + 50 * 129
    assert parameters_of(module.fuse) == (256 + (256 + 1024) + (256 + 512)) * 256 + 3 * 256
    assert parameters_of(module.decoder.enter) == 2 * (2049 * 509 + 2 * 509)
    sizes = ((63, 512, 256, 256, 1), (126, 256, 128, 128, 2), (252, 128, 64, 64, 4))
    for level, size in zip(module.decoder.levels, sizes, strict=True):
        assert parameters_of(level) == decoder_level(*size)
    assert parameters_of(module.upsample, trained=False) == 778 * 252
    heads = [module.coordinates, module.average, module.camera, module.relative_root]
    counts: Mapping[int, int] = {i: parameters_of(part) for i, part in enumerate(heads) if part is not None}
    assert counts == {0: 195, 1: 253, 2: 195, 3: 129 * 128 + 129 * 3}


def test_settings_that_do_not_fit_together_are_refused(hand: HandModel) -> None:
    preset = load_preset("intaghand", "tiny")
    with pytest.raises(RequestError, match="one width more than levels"):
        resolve_config(IntagHandConfig, preset, {"graph.vertices": "[16]"})
    with pytest.raises(RequestError, match="more vertices than the one before"):
        resolve_config(IntagHandConfig, preset, {"graph.vertices": "[48, 16]"})
    with pytest.raises(RequestError, match="must divide it"):
        IntagHandModule(small(graph=SMALL.graph.model_copy(update={"cells": 3})), hand)
    shallow = SMALL.encoder.model_copy(
        update={"backbone": SMALL.encoder.backbone.model_copy(update={"widths": (8, 12), "blocks": (1, 1)})}
    )
    with pytest.raises(RequestError, match="no more levels than maps"):
        IntagHandModule(small(encoder=shallow), hand)
