"""The declaration of the mean hand."""

from methods.base import MethodSpec, StageSpec, always

STAGE = StageSpec("mean", settings=lambda config: {"image_size_px": config.image_size_px})

SPEC = MethodSpec(
    name="mean_hand",
    title="Mean hand",
    kind="baseline",
    version=1,
    tasks=("single_hand",),
    summary="the mean training hand in the mean place, in the mean skin colour; sees no image",
    source="closed form",
    implementation="methods.baselines.mean_hand.method:MeanHand",
    config="methods.config:SingleStageConfig",
    stages=always(STAGE),
)
