"""The declaration of IntagHand."""

from methods.base import MethodSpec, StageSpec, always

STAGE = StageSpec("intaghand")

SPEC = MethodSpec(
    name="intaghand",
    title="IntagHand",
    kind="baseline",
    version=1,
    tasks=("two_hands",),
    summary="both hands' meshes by graph convolutions that attend to the image and to the other hand",
    source="Li et al., CVPR 2022; Dw1010/IntagHand",
    implementation="methods.baselines.intaghand.method:IntagHand",
    config="methods.baselines.intaghand.config:IntagHandConfig",
    stages=always(STAGE),
)
