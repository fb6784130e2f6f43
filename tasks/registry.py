"""The benchmark tasks, protocols and metrics by name. Light: imports neither torch nor numpy."""

from importlib import import_module
from typing import Any

from tasks.base import Metric, Protocol, TaskSpec
from tasks.errors import unknown_name
from tasks.metrics.declarations import METRICS as METRICS
from tasks.protocols import PROTOCOLS as PROTOCOLS
from tasks.protocols import SINGLE_HAND_LADDER

_SINGLE_HAND = TaskSpec(
    name="single_hand",
    version=1,
    summary="3D joints, mesh and texture of one right hand from one RGB crop with known intrinsics",
    layouts=("freihand", "ho3d_v2", "ho3d_v3", "dexycb", "dexycb_s1", "dexycb_s2", "dexycb_s3"),
    protocols={
        "freihand": "freihand",
        "ho3d_v2": "ho3d_v2",
        "ho3d_v3": "ho3d_v3",
        **dict.fromkeys(("dexycb", "dexycb_s1", "dexycb_s2", "dexycb_s3"), "dexycb"),
    },
    ladder=SINGLE_HAND_LADDER,
    headline=(
        "mpjpe_mm",
        "pa_mpjpe_mm",
        "mpvpe_mm",
        "pa_mpvpe_mm",
        "auc_joints",
        "f5",
        "f15",
        "nll",
        "psnr_db",
    ),
    reference="mano_regressor",
    implementation="tasks.single_hand:SingleHand",
    prediction_fields={
        "joints_cam_m": "(B, 21, 3) float32, metres, OpenCV camera frame, finger-major, wrist first; required",
        "verts_cam_m": "(B, 778, 3) float32, metres, OpenCV camera frame; without it, mesh metrics do not apply",
        "joints_log_var": "(B, 21, 3) float32, log of m^2, of the wrist-relative joints",
        "verts_log_var": "(B, 778, 3) float32, log of m^2, of the wrist-relative vertices",
        "vertex_rgb": "(B, 778, 3) float32, lit sRGB colour in [0, 1] of each vertex",
        "flat_rgb": "(B, 3) float32, mean skin colour in [0, 1], the reference of the texture",
    },
)

_TWO_HANDS = TaskSpec(
    name="two_hands",
    version=1,
    summary="3D joints, meshes and relative place of both hands from one RGB image with known intrinsics",
    layouts=("interhand26m",),
    protocols={"interhand26m": "interhand26m"},
    ladder=(),
    headline=(
        "iou",
        "iou_near",
        "cd_mm",
        "mpjpe_mm",
        "mpvpe_mm",
        "mrrpe_mm",
        "penetration_cm3",
        "mpjpe_single_mm",
        "mpjpe_interacting_mm",
        "handedness_accuracy",
    ),
    reference="halo",
    implementation="tasks.two_hands:TwoHands",
    prediction_fields={
        "joints_cam_m": "(B, 2, 21, 3) float32, metres, OpenCV camera frame, right hand then left; NaN: no such hand",
        "verts_cam_m": "(B, 2, 778, 3) float32, metres, OpenCV camera frame",
        "surface_verts_cam_m": "Ragged, counts (B, 2), rows (N, 3) float32, metres, OpenCV camera frame: closed meshes "
        "of any size, right hand then left; no rows: no mesh; measured in the place of verts_cam_m",
        "surface_faces": "Ragged, counts (B, 2), rows (M, 3) int32: vertices of surface_verts_cam_m, numbered within "
        "their own mesh; in a submission, counts are a field NAME_counts of their own",
        "relative_root_m": "(B, 3) float32, metres, left wrist minus right wrist; the joints' own unless given",
        "handedness": "(B, 2) float32, probability that a right, that a left hand is there",
    },
)

TASKS: dict[str, TaskSpec] = {task.name: task for task in (_SINGLE_HAND, _TWO_HANDS)}


def find_metric(name: str) -> Metric:
    """A metric's declaration. Raises RequestError with the nearest valid name."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]


def metrics_of(protocol: Protocol | str | None) -> dict[str, Metric]:
    """Every metric's declaration, in the protocol's own form where it has one; a name that is unknown has none."""
    found = PROTOCOLS.get(protocol) if isinstance(protocol, str) else protocol
    return METRICS | {metric.name: metric for metric in found.own_forms} if found else METRICS


def load_task(name: str) -> Any:
    """An instance of the task's implementation, which imports torch. Raises RequestError for an unknown name."""
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    module, attribute = TASKS[name].implementation.split(":")
    return getattr(import_module(module), attribute)()
