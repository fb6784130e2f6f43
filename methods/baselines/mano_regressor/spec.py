"""The declaration of the MANO regressor."""

from methods.base import MethodSpec, StageSpec, always

STAGE = StageSpec("regressor")

SPEC = MethodSpec(
    name="mano_regressor",
    title="MANO regressor",
    kind="baseline",
    version=1,
    tasks=("single_hand",),
    summary="an image network that regresses MANO's pose and shape and a weak-perspective camera",
    source="the plain recipe of Boukhayma et al., CVPR 2019, and Hasson et al., CVPR 2019",
    implementation="methods.baselines.mano_regressor.method:ManoRegressor",
    config="methods.baselines.mano_regressor.config:ManoRegressorConfig",
    stages=always(STAGE),
)
