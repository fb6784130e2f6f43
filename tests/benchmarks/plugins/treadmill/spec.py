"""The declaration of the treadmill."""

from methods.base import MethodSpec, StageSpec, always

STAGE = StageSpec("walk")

SPEC = MethodSpec(
    name="treadmill",
    title="Treadmill",
    kind="baseline",
    version=1,
    tasks=("single_hand",),
    summary="one stage that computes for as long as it is told, and learns the mean joints",
    source="benchmarks",
    implementation="tests.benchmarks.plugins.treadmill.method:Treadmill",
    config="tests.benchmarks.plugins.treadmill.method:TreadmillConfig",
    stages=always(STAGE),
)
