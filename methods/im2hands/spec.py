"""The declaration of Im2Hands and of its stages."""

from collections.abc import Sequence
from typing import Any

from methods.base import TRUTH, MethodSpec, StageSpec

SHARED = ("image_size_px", "augment")


def _refiner(config: Any) -> dict[str, Any]:
    settings: dict[str, Any] = config.model_dump(mode="json", include={"refiner", *SHARED})
    return settings


def _initial(config: Any) -> dict[str, Any]:
    settings: dict[str, Any] = config.model_dump(mode="json", include={"initial", *SHARED})
    settings["initial"].pop("threshold")
    return settings


def _refinement(config: Any) -> dict[str, Any]:
    settings: dict[str, Any] = config.model_dump(mode="json", include={"refinement", *SHARED})
    settings["refinement"].pop("threshold")
    return settings


def _derived(config: Any) -> dict[str, Any]:
    """Anchors of the initial surface, and a pool of queries."""
    chosen = config.refinement.model_dump(mode="json", include={"anchors", "pool", "queries"})
    del chosen["queries"]["count"]
    return {**chosen, "threshold": config.initial.threshold, "image_size_px": config.image_size_px}


REFINER = StageSpec("keypoints", _refiner, lambda config: config.refiner.training, reads_keypoints=True)
INITIAL = StageSpec("initial", _initial, lambda config: config.initial.training)
REFINEMENT = StageSpec(
    "refinement", _refinement, lambda config: config.refinement.training, needs=("initial",), derives=_derived
)


def refines_keypoints(config: Any, keypoints: str) -> bool:
    """Whether given keypoints are corrected first."""
    use = config.refiner.use
    return bool(use == "on" or (use == "auto" and keypoints != TRUTH))


def stages(config: Any, keypoints: str) -> Sequence[StageSpec]:
    """Those that the settings ask for."""
    return (
        *((REFINER,) if refines_keypoints(config, keypoints) else ()),
        INITIAL,
        *((REFINEMENT,) if config.refinement.use else ()),
    )


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
    stages=stages,
    keypoints=True,
)
