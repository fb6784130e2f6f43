"""Every protocol's declaration: what is measured, on which frames, after which alignment. Imports nothing heavy.

A protocol is versioned: when its numbers would change, its version is raised, and older records are stale. How it is
computed stands with its task (``single_hand/scoring.py``, ``two_hands/scoring.py``, ``hand_object/scoring.py``).
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from tasks.base import Metric, Protocol
from tasks.metrics.declarations import METRICS

POINTS = ("mpjpe_mm", "pa_mpjpe_mm", "mpvpe_mm", "pa_mpvpe_mm", "abs_mpjpe_mm", "abs_mpvpe_mm")
FREIHAND_CURVES = (
    "auc_joints",
    "auc_verts",
    "f5",
    "f15",
    "abs_auc_joints",
    "abs_auc_verts",
    "abs_f5",
    "abs_f15",
)
UNCERTAINTY = ("nll", "calibration_error")
TEXTURE = (
    "psnr_db", "ssim", "texture_l1", "lpips", "psnr_flat_db",
    "psnr_db_pred_mask", "ssim_pred_mask", "texture_l1_pred_mask", "lpips_pred_mask",
)  # fmt: skip
SINGLE_HAND_LADDER = (
    "ladder_abs_mm",
    "ladder_wrist_mm",
    "ladder_mcp_mm",
    "ladder_bone_mm",
    "ladder_rigid_mm",
    "ladder_p2_mm",
    "ladder_p1_mm",
)
"""One joint error under every alignment, whatever the protocol: the protocol-sensitivity table."""

_BESIDE = (
    "Beside it: likelihood of the wrist-relative vertices, and texture at the image's own size on the true hand mask "
    "(the silhouette of the true mesh in a split without masks)."
)

FREIHAND = Protocol(
    name="freihand",
    version=1,
    tasks=("single_hand",),
    text=(
        "FreiHAND's official protocol, every test frame: PA errors, AUC (0 to 50 mm) and F-scores after the similarity "
        "that fits each frame best (reflections allowed; joints and vertices each by themselves), abs. ones without "
        "any alignment. Vertices that are not MANO's have F-scores alone, aligned as the script does it: wrongly. "
        "Beside it: MPJPE and MPVPE relative to the wrist, and texture at the image's own size on the silhouette of "
        "the true mesh, as the test split has no masks."
    ),
    root_joint="wrist",
    alignment="P1",
    metrics=(*POINTS, *FREIHAND_CURVES, *UNCERTAINTY, *TEXTURE, *SINGLE_HAND_LADDER),
    source="lmb-freiburg/freihand: eval.py",
    scores_other_meshes=True,
)

_HO3D_TEXT = (
    "HO-3D's official protocol on every listed evaluation frame ({version} has {frames}): FreiHAND's numbers, and "
    "joints after bone scale and translation (wrist to middle base as long as the true one, wrist on the true wrist). "
    "abs. numbers are camera space: submissions usually add the given wrist. MPJPE and MPVPE are about the wrist. "
    + _BESIDE
)


def _ho3d(name: str, version: str, frames: str) -> Protocol:
    return Protocol(
        name=name,
        version=1,
        tasks=("single_hand",),
        text=_HO3D_TEXT.format(version=version, frames=frames),
        root_joint="wrist",
        alignment="P1",
        metrics=(
            *POINTS, "st_mpjpe_mm", *FREIHAND_CURVES, "st_auc_joints", *UNCERTAINTY, *TEXTURE, *SINGLE_HAND_LADDER
        ),
        source="shreyashampali/ho3d: eval.py",
        scores_other_meshes=True,
    )  # fmt: skip


HO3D_V2 = _ho3d("ho3d_v2", "HO-3D v2", "11,524")
HO3D_V3 = _ho3d("ho3d_v3", "HO-3D v3", "20,137")

DEXYCB = Protocol(
    name="dexycb",
    version=1,
    tasks=("single_hand",),
    text=(
        "DexYCB's official hand pose protocol: joint errors and AUC (0 to 50 mm) in camera space, relative to the "
        "wrist, and after the best similarity (reflections allowed), on every frame of the setup's test split that "
        "shows a hand. Vertices by the same alignments are ours. " + _BESIDE
    ),
    root_joint="wrist",
    alignment="P1",
    metrics=(
        *POINTS, "abs_auc_joints", "rel_auc_joints", "auc_joints", "auc_verts", "f5", "f15",
        *UNCERTAINTY, *TEXTURE, *SINGLE_HAND_LADDER,
    ),
    source="NVlabs/dex-ycb-toolkit: dex_ycb_toolkit/hpe_eval.py",
    aligns_in_mm=True,
)  # fmt: skip

_P2 = "after the similarity without reflection that fits the joints best"
_P2_MESH = "after the similarity without reflection that fits the vertices best"


def _redefined(definitions: dict[str, str]) -> tuple[Metric, ...]:
    """Metrics of the same name that this protocol computes in another way."""
    return tuple(replace(METRICS[name], definition=text, source="ours") for name, text in definitions.items())


HAMER_PA = Protocol(
    name="hamer_pa",
    version=1,
    tasks=("single_hand",),
    text=(
        "HaMeR's evaluation: MPJPE relative to the wrist and PA-MPJPE after the similarity without reflection that "
        "fits each frame best, in float32; vertices in the same way."
    ),
    root_joint="wrist",
    alignment="P2",
    metrics=("mpjpe_mm", "pa_mpjpe_mm", "mpvpe_mm", "pa_mpvpe_mm", *SINGLE_HAND_LADDER),
    source="geopavlakos/hamer: hamer/utils/pose_utils.py",
    precision="float32",
    own_forms=tuple(
        replace(METRICS[name], definition=f"mean {point} distance {how}", source="geopavlakos/hamer")
        for name, point, how in (("pa_mpjpe_mm", "joint", _P2), ("pa_mpvpe_mm", "vertex", _P2_MESH))
    ),
)

HOUSE = Protocol(
    name="house",
    version=1,
    tasks=("single_hand",),
    text=(
        "The strict house protocol: root-relative errors about the wrist, the wrist itself not counted; alignment by a "
        "similarity without reflection, so that a left hand scores as one; vertices aligned by the joints' similarity, "
        "so that a mesh must agree with its skeleton; AUC from the first threshold above 0. A frame without a finite "
        "prediction is undefined, counted, and lowers the coverage. " + _BESIDE
    ),
    root_joint="wrist",
    alignment="P2",
    metrics=(*POINTS, *FREIHAND_CURVES, *UNCERTAINTY, *TEXTURE, *SINGLE_HAND_LADDER),
    source="ours",
    counts_root=False,
    mesh_follows_joints=True,
    auc_from_zero=False,
    own_forms=_redefined(
        {
            "mpjpe_mm": "mean distance of the 20 joints that are not the wrist, the wrist moved to the origin",
            "pa_mpjpe_mm": f"mean joint distance {_P2}",
            "pa_mpvpe_mm": f"mean vertex distance {_P2}",
            "auc_joints": f"area under the PCK curve of joints, 99 thresholds above 0 up to 50 mm, {_P2}",
            "auc_verts": f"area under the PCK curve of vertices, 99 thresholds above 0 up to 50 mm, {_P2}",
            "f5": f"{METRICS['f5'].definition.split(', after')[0]}, {_P2}",
            "f15": f"{METRICS['f15'].definition.split(', after')[0]}, {_P2}",
        }
    ),
)

HANDS, N_JOINTS = ("right", "left"), 21
JOINT_ERRORS = tuple(f"joint_error_{hand}_{joint:02d}_mm" for hand in HANDS for joint in range(N_JOINTS))
"""Per-sample columns of two-hand protocols: the error of each joint (finger-major), NaN where it is not valid."""
IS_SCORED, IS_SINGLE, IS_INTERACTING = "is_scored", "is_single", "is_interacting"
"""Per-sample columns, 1 or 0: the frames that the protocol scores, and those among them with one hand and with two."""
HAS_FIT, HAS_BOTH_WRISTS, HAS_HAND_TYPE = "has_fit", "has_both_wrists", "has_hand_type"
"""Per-sample columns, 1 or 0: the frames that mesh errors, that MRRPE and that handedness are about."""
_FRAMES = {
    "mpjpe_single_mm": IS_SINGLE,
    "mpjpe_interacting_mm": IS_INTERACTING,
    "mrrpe_mm": HAS_BOTH_WRISTS,
    "handedness_accuracy": HAS_HAND_TYPE,
}


def _on_frames(
    metrics: tuple[str, ...], definitions: Mapping[str, str] = MappingProxyType({}), **frames: str
) -> tuple[Metric, ...]:
    """Metrics of a two-hand protocol with the column of the frames that each is about, and definitions of its own.

    A frame outside counts for nothing; one inside without a value is a hole.
    """
    columns, found = _FRAMES | frames, [METRICS[name] for name in metrics]
    return tuple(
        replace(m, where=columns.get(m.name, IS_SCORED), definition=definitions.get(m.name, m.definition))
        for m in found
    )


_MIDDLE_BASE = {
    "mpjpe_mm": (
        "mean distance of the 21 predicted joints of both hands to those regressed from the true vertices, after "
        "moving each hand's middle base, predicted and true, to the origin; no scale, no rotation"
    ),
    "mpvpe_mm": (
        "mean vertex distance of both hands after moving each mesh's own middle base to the origin; no scale, no "
        "rotation"
    ),
}


def _of_pairs(metrics: tuple[str, ...]) -> tuple[Metric, ...]:
    """IntagHand's metrics: the plain errors are scaled and about the middle base, the mean of left and right."""
    return tuple(
        replace(
            metric, definition=METRICS[f"{bare}_left_mm"].definition.replace("the left hand", "both hands")
        )
        if (bare := metric.name.removesuffix("_mm")) in ("mpjpe", "mpvpe")
        else metric
        for metric in _on_frames(metrics)
    )


def _per_joint(columns: tuple[str, ...], note: str) -> tuple[Metric, ...]:
    """MPJPE of all, single-hand and interacting frames as a mean over joints of means over frames."""
    return tuple(
        replace(metric, columns=columns, per_column=True, definition=f"{metric.definition}; {note}")
        for metric in _on_frames(("mpjpe_mm", "mpjpe_single_mm", "mpjpe_interacting_mm"))
    )


INTERHAND26M = Protocol(
    name="interhand26m",
    version=1,
    tasks=("two_hands",),
    text=(
        "InterHand2.6M's official protocol: each hand relative to its own wrist, every valid joint; each joint's mean "
        "over its frames, then the mean over all 42 joints, the two wrists with their zero error among them; for "
        "single-hand frames, interacting frames and all. MRRPE over interacting frames with both wrists valid; "
        "handedness where the hand type is valid. True absolute wrist depth is used where a submission has pixels."
    ),
    root_joint="wrist",
    alignment="none",
    metrics=("mpjpe_mm", "mpjpe_single_mm", "mpjpe_interacting_mm", "mrrpe_mm", "handedness_accuracy"),
    source="facebookresearch/InterHand2.6M: data/InterHand2.6M/dataset.py",
    own_forms=(
        *_per_joint(JOINT_ERRORS, "mean over frames per joint, then over all 42 joints"),
        *_on_frames(("mrrpe_mm", "handedness_accuracy")),
    ),
)

INTAGHAND_METRICS = (
    "mpjpe_mm", "mpvpe_mm", "mpjpe_left_mm", "mpjpe_right_mm", "mpvpe_left_mm", "mpvpe_right_mm",
    "mpjpe_unscaled_mm", "mpvpe_unscaled_mm", "mrrpe_mm",
)  # fmt: skip
IM2HANDS_METRICS = (
    "iou", "iou_near", "iou_mixed", "cd_mm", "cd_l2_mm2", "normal_consistency", "penetration_cm3", "penetration_mm",
    "mpjpe_mm", "mpvpe_mm", "mrrpe_mm", "no_mesh", "broken_mesh", "open_mesh",
)  # fmt: skip
HOUSE_TWO_HANDS_METRICS = (
    "mpjpe_mm", "mpjpe_single_mm", "mpjpe_interacting_mm", "mpvpe_mm", "mrrpe_mm", "handedness_accuracy",
    "penetration_cm3", "penetration_mm",
)  # fmt: skip

INTAGHAND = Protocol(
    name="intaghand",
    version=1,
    tasks=("two_hands",),
    text=(
        "IntagHand's protocol on interacting frames with both fits, but for black images: joints regressed from "
        "predicted and from true vertices, each hand relative to its own middle base and scaled to the true length of "
        "middle base to wrist; the mean of left and right. Unscaled errors and MRRPE beside it, which the protocol "
        "leaves out."
    ),
    root_joint="middle_mcp",
    alignment="none",
    metrics=INTAGHAND_METRICS,
    source="Dw1010/IntagHand: apps/eval_interhand.py",
    own_forms=_of_pairs(INTAGHAND_METRICS),
)  # fmt: skip

IM2HANDS = Protocol(
    name="im2hands",
    version=2,
    tasks=("two_hands",),
    text=(
        "Im2Hands' protocol on the frames of IntagHand's: each hand a closed mesh (free surfaces as they are, the hand "
        "model's sealed at the wrist), its wrist (of a free surface, that of the predicted joints) put on the true "
        "one, measured in the true hand's canonical frame: IoU at 100,000 uniform points of a 44 cm box, at as many "
        "near-surface points (sigma 4 mm) and at both together, as the released loader mixes them; two-sided mean "
        "unsquared Chamfer distance of 100,000 surface points; the mean of left and right. Fixed sampling seeds. "
        "Penetration in the camera frame as the hands stand. Joints and vertices about each hand's middle base, not "
        "scaled. A frame with a hand whose mesh is missing, not finite or not closed is undefined and counted, by "
        "what is wrong, where the released script scores IoU 0 and skips its Chamfer distance."
    ),
    root_joint="middle_mcp",
    alignment="none",
    metrics=IM2HANDS_METRICS,
    source="autonomousvision/occupancy_networks: im2mesh/eval.py; jyunlee/Im2Hands: artihand/nasa",
    own_forms=_on_frames(IM2HANDS_METRICS, _MIDDLE_BASE),
)  # fmt: skip

HOUSE_TWO_HANDS = Protocol(
    name="house_two_hands",
    version=1,
    tasks=("two_hands",),
    text=(
        "The strict house protocol for two hands: each hand relative to its own wrist, the wrist itself not counted, "
        "no scale; every valid joint of a frame weighs the same; single-hand, interacting and all frames apart; "
        "vertices relative to the mesh's own wrist; MRRPE; hands in one common space for penetration; a missing hand "
        "is undefined and counted."
    ),
    root_joint="wrist",
    alignment="none",
    metrics=HOUSE_TWO_HANDS_METRICS,
    source="ours",
    counts_root=False,
    own_forms=_on_frames(
        HOUSE_TWO_HANDS_METRICS,
        mpvpe_mm=HAS_FIT,
        penetration_cm3=IS_INTERACTING,
        penetration_mm=IS_INTERACTING,
    ),
)  # fmt: skip

DIFFHOI_OBJECT = Protocol(
    name="diffhoi_object",
    version=1,
    tasks=("hand_object",),
    text=(
        "DiffHOI's object protocol: the reconstructed object registered to the true one from ten starts, rigidly and, "
        "in columns of their own, with a scale; F at 5, 10 and 20 mm and the sum of mean squared nearest distances "
        "over 10,000 surface points of each; apart from it, hand-object Chamfer distance in the hand frame without any "
        "registration, the mean over a clip's frames. Fixed sampling seed."
    ),
    root_joint="wrist",
    alignment="none",
    metrics=(
        "object_f5", "object_f10", "object_f20", "object_cd_cm2",
        "object_f5_similarity", "object_f10_similarity", "object_f20_similarity", "object_cd_cm2_similarity",
        "hand_object_f20", "hand_object_cd_cm2",
    ),
    source="JudyYe/diffhoi: tools/harvest.py, tools/icp_recon.py",
)  # fmt: skip

DIFFHOI_HAND = Protocol(
    name="diffhoi_hand",
    version=1,
    tasks=("hand_object",),
    text=(
        "DiffHOI's hand protocol: HO-3D's numbers on every frame of a clip, joints and vertices relative to the index "
        "base. The scale-translation error is as released: its bone is thumb tip to wrist, because finger-major joints "
        "enter code written for another order. Each clip counts once. Acceleration error beside it."
    ),
    root_joint="index_mcp",
    alignment="P1",
    metrics=(
        "mpjpe_mm", "pa_mpjpe_mm", "st_mpjpe_mm", "mpvpe_mm", "pa_mpvpe_mm", "rel_auc_joints", "auc_joints",
        "st_auc_joints", "rel_auc_verts", "auc_verts", "rel_f5", "rel_f15", "f5", "f15", "acceleration_error_mm",
    ),
    source="JudyYe/diffhoi: tools/hand_eval.py, tools/harvest.py",
    scale_bone=(0, 4),
    own_forms=tuple(
        replace(
            METRICS[name],
            definition=METRICS[name].definition.replace("wrist to middle base", "wrist to thumb tip"),
            source="JudyYe/diffhoi: tools/hand_eval.py, as released",
        )
        for name in ("st_mpjpe_mm", "st_auc_joints")
    ),
)  # fmt: skip

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        FREIHAND, HO3D_V2, HO3D_V3, DEXYCB, HAMER_PA, HOUSE,
        INTERHAND26M, INTAGHAND, IM2HANDS, HOUSE_TWO_HANDS,
        DIFFHOI_OBJECT, DIFFHOI_HAND,
    )
}  # fmt: skip
