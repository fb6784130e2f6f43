"""Every option of the configuration runs, gives finite losses and leaves no parameter without a gradient."""

from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from pydantic import BaseModel

from methods.amvur.config import AmvurConfig
from methods.amvur.method import Amvur
from methods.base import Progress
from methods.config import resolve_config
from tasks.hands.hand import HandModel
from tasks.single_hand.batch import HandBatch
from tests.methods.amvur.small import SMALL

LATE = Progress(0, 1, 9, 10)


def choices(model: type[BaseModel], prefix: str = "") -> list[tuple[str, Any]]:
    """Every (dotted key, value) of the enumerations and switches, but the generic groups."""
    found: list[tuple[str, Any]] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if name not in ("training", "augment", "backbone"):
                found += choices(kind, f"{prefix}{name}.")
        elif get_origin(kind) is Literal:
            found += [(prefix + name, value) for value in get_args(kind)]
        elif kind is bool:
            found += [(prefix + name, value) for value in (True, False)]
    return found


COMBINED: list[dict[str, Any]] = [{key: value} for key, value in choices(AmvurConfig)]
COMBINED += [{"supervision": "weak", f"weak.{key}": value} for key, value in [
    ("camera", "predicted_intrinsics"), ("camera", "known_intrinsics"), ("camera", "weak_perspective"),
    ("data_on", "both"),
]]  # fmt: skip
COMBINED += [
    {"supervision": "weak", "weak.camera": camera, "likelihood": likelihood, "variance_2d": "released"}
    for camera in ("predicted_intrinsics", "known_intrinsics", "weak_perspective")
    for likelihood in ("gaussian_nll", "samples")
]
COMBINED += [
    {"branches": "regressor", "likelihood": "samples"},
    {"branches": "regressor", "regressor.offsets_from": "prior", "full.rotation": 1, "full.angles": 1},
    {"full.rotation": 1, "full.angles": 1},
    {"supervision": "weak", "regressor.offsets_from": "prior"},
    {"branches": "regressor", "supervision": "weak"},
    {
        "branches": "prior",
        "supervision": "weak",
        "likelihood": "samples",
        "weak.camera": "predicted_intrinsics",
    },
    {"likelihood": "deterministic", "supervision": "weak", "weak.camera": "predicted_intrinsics"},
    {"likelihood": "samples", "full.camera": "known_intrinsics", "variance_2d": "released"},
    {"texture.pixels": True, "texture.colours": "imagenet"},
    {"texture.features": "global", "texture.pixels": True},
    {"regressor.layers": 0, "texture.layers": 0},
    {"texture.loss_images": 2},
]
RELEASED = {
    "likelihood": "samples",
    "variance_2d": "released",
    "prior.activation": False,
    "prior.rotation": "axis_angle",
    "prior.shape": "zeros",
    "prior.scale": "regressed",
    "prior.variance": "mano_coordinates",
    "regressor.offsets_from": "wrist",
    "full.rotation": 0,
    "full.angles": 0,
    "kl.vertices": "l1_tie",
    "kl.points_2d": "unit_prior",
    "texture.features": "shallow",
    "texture.context": "first_vertices",
    "texture.sampling": "released",
    "texture.colours": "imagenet",
    "texture.light": "phong",
    "texture.visibility": "released",
    "texture.photometric_mask": "rendered",
}
"""All the released forms at once: a test of the README's list."""
COMBINED += [RELEASED, RELEASED | {"supervision": "weak", "weak.camera": "predicted_intrinsics"}]


@pytest.mark.parametrize("changes", COMBINED, ids=lambda c: ",".join(f"{k}={v}" for k, v in c.items())[:90])
def test_an_option_trains_and_predicts(changes: dict[str, Any], hand: HandModel, batch: HandBatch) -> None:
    torch.manual_seed(0)
    config = resolve_config(AmvurConfig, SMALL, {key: str(value) for key, value in changes.items()})
    method = Amvur(config, hand)
    (stage,) = method.stages()
    module = stage.build(config, hand, {})
    terms = stage.loss(module, batch, LATE)
    terms["total"].backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert [name for name, p in module.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
    fields = method.predict({"amvur": module.eval()}, batch)
    check_fields(fields, config, hand, len(batch))


def check_fields(fields: dict[str, torch.Tensor], config: AmvurConfig, hand: HandModel, n: int) -> None:
    expected = {"joints_cam_m": (n, 21, 3), "verts_cam_m": (n, hand.n_verts, 3)}
    if config.likelihood != "deterministic":
        expected |= {"joints_log_var": (n, 21, 3), "verts_log_var": (n, hand.n_verts, 3)}
    if config.texture.enabled:
        expected |= {"vertex_rgb": (n, hand.n_verts, 3), "flat_rgb": (n, 3)}
        assert fields["vertex_rgb"].min() >= 0
        assert fields["vertex_rgb"].max() <= 1
    assert {name: tuple(value.shape) for name, value in fields.items()} == expected
    regressed = hand.joints_from_verts(fields["verts_cam_m"])
    torch.testing.assert_close(fields["joints_cam_m"], regressed, atol=1e-5, rtol=1e-5)


def test_before_the_photometric_loss_begins_the_texture_net_still_has_gradients(
    hand: HandModel, batch: HandBatch
) -> None:
    config = resolve_config(AmvurConfig, SMALL, {"full.texture_from": "0.5"})
    (stage,) = Amvur(config, hand).stages()
    module = stage.build(config, hand, {})
    terms = stage.loss(module, batch, Progress(0, 1, 0, 10))
    terms["total"].backward()
    assert terms["texture"] == 0
    assert all(p.grad is not None for p in module.parameters())
