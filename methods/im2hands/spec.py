"""The declaration of Im2Hands."""

from methods.base import MethodSpec

SPEC = MethodSpec(
    name="im2hands",
    title="Im2Hands",
    kind="paper",
    version=1,
    tasks=("two_hands",),
    summary="implicit two-hand shapes: occupancy by query-image attention, refined in view of the other hand",
    source="Lee, Sung, Choi, Kim, CVPR 2023, arXiv 2302.14348",
    implementation="methods.im2hands.method:Im2Hands",
    config="methods.im2hands.config:Im2HandsConfig",
    keypoints=True,
)
