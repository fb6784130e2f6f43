"""The declaration of HALO."""

from methods.base import MethodSpec, always
from methods.layers.implicit.stage_spec import OCCUPANCY

SPEC = MethodSpec(
    name="halo",
    title="HALO",
    kind="baseline",
    version=1,
    tasks=("two_hands",),
    summary="16 part occupancy networks on a hand that is canonicalised by its keypoints; sees no image",
    source="Karunratanakul et al., 3DV 2021, arXiv 2109.11399",
    implementation="methods.baselines.halo.method:Halo",
    config="methods.baselines.halo.config:HaloConfig",
    stages=always(OCCUPANCY),
    keypoints=True,
)
