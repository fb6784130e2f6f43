"""The declaration of AMVUR."""

from typing import Any

from methods.base import MethodSpec, StageSpec, always


def _settings(config: Any) -> dict[str, Any]:
    """All but what is read at prediction alone."""
    settings: dict[str, Any] = config.model_dump(mode="json")
    del settings["predict"], settings["texture"]["visibility_px"]
    return settings


STAGE = StageSpec("amvur", _settings)

SPEC = MethodSpec(
    name="amvur",
    title="AMVUR",
    kind="paper",
    version=1,
    tasks=("single_hand",),
    summary="attention from joints to vertices gives each vertex a mean and a variance, tied to a MANO prior; textured",
    source="Jiang, Rahmani, Black, Williams, CVPR 2023, arXiv 2304.14299",
    implementation="methods.amvur.method:Amvur",
    config="methods.amvur.config:AmvurConfig",
    stages=always(STAGE),
)
