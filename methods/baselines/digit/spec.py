"""The declaration of DIGIT."""

from methods.base import MethodSpec, StageSpec, always

STAGE = StageSpec("digit")

SPEC = MethodSpec(
    name="digit",
    title="DIGIT",
    kind="baseline",
    version=1,
    tasks=("two_hands",),
    summary="2.5D joints of both hands from heatmaps that see a segmentation into 16 parts of each hand",
    source="Fan, Spurr, Kocabas, Tang, Black, Hilliges, 3DV 2021, arXiv 2107.00434",
    implementation="methods.baselines.digit.method:Digit",
    config="methods.baselines.digit.config:DigitConfig",
    stages=always(STAGE),
)
