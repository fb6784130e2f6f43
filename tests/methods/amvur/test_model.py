import pytest
import torch

from methods.amvur.config import AmvurConfig
from methods.amvur.method import Amvur
from methods.amvur.model import AmvurModule
from methods.amvur.spec import STAGE
from methods.base import Progress
from methods.config import resolve_config
from methods.layers.camera import to_normalised
from methods.registry import load_preset
from tasks.hands.hand import HandModel
from tasks.single_hand.batch import HandBatch
from tests.methods.amvur.small import SMALL
from tests.methods.synthetic import rendered_batch


def module_of(hand: HandModel, **changes: str) -> tuple[AmvurConfig, AmvurModule]:
    config = resolve_config(AmvurConfig, SMALL, {key.replace("__", "."): v for key, v in changes.items()})
    torch.manual_seed(0)
    return config, AmvurModule(config, hand)


def test_tokens_are_the_flat_hands_joints_and_coarse_vertices(hand: HandModel) -> None:
    _, module = module_of(hand)
    assert module.regressor is not None
    template = module.regressor.template
    assert template.shape == (21 + 40, 3)
    verts = torch.as_tensor(hand.data.v_template)
    joints = hand.joints_from_verts(verts)
    torch.testing.assert_close(template[:21], joints - joints[0])
    distance = torch.cdist(template[21:] + joints[0], verts).min(1).values
    assert distance.max() < 1e-4


def test_upsampling_starts_as_interpolation_on_the_mesh(hand: HandModel) -> None:
    _, module = module_of(hand, regressor__coarse_verts="195")
    assert module.regressor is not None
    coarse = module.regressor.template[21:]
    verts = torch.as_tensor(hand.data.v_template)
    upsampled = module.regressor.upsample_mean(coarse.mT).mT
    error = (upsampled - (verts - hand.joints_from_verts(verts)[0])).norm(dim=-1)
    assert error.mean().item() < 0.004


def test_offsets_are_added_to_the_priors_mesh(hand: HandModel, batch: HandBatch) -> None:
    q = {}
    for offsets_from in ("wrist", "prior"):
        _, module = module_of(hand, regressor__offsets_from=offsets_from)
        out = module.eval()(batch.image, batch.intrinsics_px)
        q[offsets_from] = out.q.points
    p = out.p.points
    torch.testing.assert_close(q["prior"].verts.mean, q["wrist"].verts.mean + p.verts.mean)
    torch.testing.assert_close(
        q["prior"].joints.mean, q["wrist"].joints.mean + p.joints.mean, atol=1e-6, rtol=0
    )
    assert torch.equal(q["prior"].verts.log_var, q["wrist"].verts.log_var)


@pytest.mark.parametrize("offsets_from", ["wrist", "prior"])
def test_what_q_says_moves_no_parameter_of_p(hand: HandModel, batch: HandBatch, offsets_from: str) -> None:
    _, module = module_of(hand, regressor__offsets_from=offsets_from)
    module(batch.image, batch.intrinsics_px).q.points.verts.mean.square().sum().backward()
    assert all(parameter.grad is None for parameter in module.prior.parameters())
    assert all(parameter.grad is not None for parameter in module.backbone.parameters())


def test_without_a_prior_offsets_are_from_the_wrist(hand: HandModel, batch: HandBatch) -> None:
    means = []
    for offsets_from in ("wrist", "prior"):
        _, module = module_of(hand, branches="regressor", regressor__offsets_from=offsets_from)
        means.append(module.eval()(batch.image, batch.intrinsics_px).q.points.verts.mean)
    assert torch.equal(*means)


def test_joint_variances_follow_from_vertex_variances(hand: HandModel, batch: HandBatch) -> None:
    _, module = module_of(hand)
    out = module.eval()(batch.image, batch.intrinsics_px)
    for branch in (out.p, out.q):
        verts_var = branch.points.verts.log_var[0, :, 0].exp().double()
        regressor = hand.joint_regressor21().double()
        covariance = regressor @ torch.diag(verts_var) @ regressor.T
        result = branch.points.joints.log_var[0, :, 0].exp().double()
        torch.testing.assert_close(result, covariance.diagonal(), rtol=1e-4, atol=0)


def test_standard_deviations_start_where_the_config_says(hand: HandModel, batch: HandBatch) -> None:
    _, module = module_of(hand, prior__initial_std_mm="7")
    out = module.eval()(batch.image, batch.intrinsics_px)
    for branch in (out.p, out.q):
        std_mm = 1000 * (0.5 * branch.points.verts.log_var).exp()
        assert std_mm.median().item() == pytest.approx(7, rel=0.15)


def test_the_evaluated_branch_follows_supervision_unless_it_is_named(
    hand: HandModel, batch: HandBatch
) -> None:
    for changes, q_wins in (
        ({}, True), ({"supervision": "weak"}, False), ({"predict": "prior"}, False),
        ({"supervision": "weak", "predict": "regressor"}, True), ({"branches": "prior"}, False),
        ({"supervision": "weak", "branches": "regressor"}, True),
    ):  # fmt: skip
        _, module = module_of(hand, **changes)
        out = module(batch.image, batch.intrinsics_px)
        assert (module.evaluated(out.p, out.q) is out.q) is q_wins


def test_the_same_seed_gives_the_same_network_and_the_same_loss(hand: HandModel, batch: HandBatch) -> None:
    totals = []
    for _ in range(2):
        config, module = module_of(hand, likelihood="samples")
        (stage,) = Amvur(config, hand).stages()
        torch.manual_seed(5)
        totals.append(stage.loss(module, batch, Progress(0, 1, 0, 1))["total"].detach())
    assert torch.equal(*totals)


def test_predictions_are_means_without_noise(hand: HandModel, batch: HandBatch) -> None:
    config, module = module_of(hand, likelihood="samples")
    module.skin.update(batch.image, batch.hand_mask)
    method = Amvur(config, hand)
    first, second = (method.predict({"amvur": module.eval()}, batch) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_unseen_vertices_are_black_and_seen_ones_are_not(hand: HandModel, batch: HandBatch) -> None:
    config, module = module_of(hand)
    fields = Amvur(config, hand).predict({"amvur": module.eval()}, batch)
    black = (fields["vertex_rgb"] == 0).all(-1)
    assert 0.2 < black.float().mean() < 0.95


def test_changing_what_is_read_at_prediction_alone_keeps_the_trained_stage(hand: HandModel) -> None:
    slices = []
    for changes in ({}, {"predict": "prior"}, {"texture__visibility_px": "96"}, {"kl__weight": "0.2"}):
        config, _ = module_of(hand, **changes)
        slices.append(STAGE.settings(config))
    assert slices[0] == slices[1] == slices[2] != slices[3]


@pytest.mark.slow
def test_a_batch_can_be_learnt_by_heart(hand: HandModel, batch: HandBatch) -> None:
    config, module = module_of(hand, regressor__dropout="0.0", texture__dropout="0.0")
    (stage,) = Amvur(config, hand).stages()
    optimiser = torch.optim.AdamW(module.parameters(), 3e-3)

    def mpjpe_mm() -> float:
        joints = Amvur(config, hand).predict({"amvur": module}, batch)["joints_cam_m"].detach()
        relative = joints - joints[:, :1] - (batch.joints_cam_m - batch.joints_cam_m[:, :1])
        return 1000 * float(relative.norm(dim=-1).mean())

    first = mpjpe_mm()
    for step in range(150):
        optimiser.zero_grad()
        stage.loss(module, batch, Progress(0, 1, step, 150))["total"].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
    assert mpjpe_mm() < 0.3 * first


@pytest.mark.slow
@pytest.mark.parametrize("camera", ["known_intrinsics", "predicted_intrinsics", "weak_perspective"])
def test_2d_joints_alone_teach_without_the_hand_running_away(
    hand: HandModel, batch: HandBatch, camera: str
) -> None:
    config, module = module_of(
        hand, supervision="weak", weak__camera=camera, texture__enabled="false", likelihood="moments"
    )
    (stage,) = Amvur(config, hand).stages()
    optimiser = torch.optim.AdamW(module.parameters(), 1e-3)
    errors = []
    for step in range(120):
        optimiser.zero_grad()
        out = module(batch.image, batch.intrinsics_px)
        errors.append((out.p.joints_2d.mean - to_normalised(batch.joints_px, 64)).abs().mean().item())
        stage.loss(module, batch, Progress(0, 1, step, 120))["total"].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
    assert errors[-1] < 0.5 * errors[0]
    assert out.prior.betas.abs().max().item() < 4
    assert out.camera.wrist_cam_m[:, 2].min().item() > 0.3
    assert out.camera.wrist_cam_m[:, 2].max().item() < 1.5


@pytest.mark.slow
def test_the_paper_preset_has_the_papers_dimensions_and_runs(hand: HandModel) -> None:
    config = resolve_config(AmvurConfig, load_preset("amvur", "paper"), {})
    with torch.no_grad():
        module = AmvurModule(config, hand).eval()
        shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
        for name, shape in {
            "prior.parameters_mean.0.weight": (512, 2048),
            "prior.parameters_mean.2.weight": (40, 512),
            "prior.rotation.2.weight": (3, 512),
            "camera.weak.2.weight": (3, 512),
            "regressor.blocks.0.embed.weight": (1024, 2051),
            "regressor.blocks.0.residual.weight": (512, 2051),
            "regressor.blocks.0.layers.3.feed_forward.0.weight": (4096, 1024),
            "regressor.blocks.0.position.weight": (216, 1024),
            "regressor.blocks.1.mean.weight": (128, 256),
            "regressor.blocks.2.residual.weight": (3, 128),
            "regressor.log_var.weight": (3, 64),
            "regressor.upsample_mean.weight": (778, 195),
            "regressor.upsample_log_var.weight": (778, 195),
            "texture.net.embed.weight": (216, 448 + 64),
            "texture.net.layers.3.qkv.weight": (648, 216),
        }.items():
            assert shapes[name] == shape, name
        image = rendered_batch(hand, 1, 224)
        fields = Amvur(config, hand).predict({"amvur": module}, image)
    assert fields["verts_cam_m"].shape == (1, hand.n_verts, 3)
    assert all(torch.isfinite(value).all() for value in fields.values())
