"""The declaration of HALO*."""

from methods.base import MethodSpec, always
from methods.layers.implicit.stage_spec import OCCUPANCY

SPEC = MethodSpec(
    name="halo_star",
    title="HALO*",
    kind="baseline",
    version=1,
    tasks=("two_hands",),
    summary="HALO with what the image shows where each query projects to",
    source="the image-aware baseline of Im2Hands, CVPR 2023, arXiv 2302.14348",
    implementation="methods.baselines.halo_star.method:HaloStar",
    config="methods.baselines.halo_star.config:HaloStarConfig",
    stages=always(OCCUPANCY),
    keypoints=True,
)
