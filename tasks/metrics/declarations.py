"""Every metric's declaration: name, unit, direction, definition, source. Imports nothing heavy."""

from tasks.base import Metric

FREIHAND = "lmb-freiburg/freihand: eval.py"
CALIBRATION_LEVELS = tuple(level / 10 for level in range(1, 10))
COVERAGE_COLUMNS = tuple(f"coverage_{10 * tenth}" for tenth in range(1, 10))
MIN_MASK_PX = 200

_ROOT = "after moving the wrist of prediction and truth to the origin; no scale, no rotation"
_ABS = "in the camera frame, no alignment at all"
_P1 = "after the similarity that fits {} best (reflections allowed, as the official script does)"
_PIXELS = f"at the image's own resolution; undefined below {MIN_MASK_PX} px"
_TRUE_MASK = (
    f"on the true hand mask (the layout's; in a split without masks the true mesh's silhouette) {_PIXELS}"
)
_PRED_MASK = f"on the predicted mesh's silhouette, so a smaller hand scores better, {_PIXELS}"

_ERRORS = [
    ("mpjpe_mm", "MPJPE", "joint", _ROOT, "field's convention"),
    ("pa_mpjpe_mm", "PA-MPJPE", "joint", _P1.format("the joints"), FREIHAND + ", xyz_al_mean3d"),
    ("mpvpe_mm", "MPVPE", "vertex", _ROOT, "field's convention"),
    ("pa_mpvpe_mm", "PA-MPVPE", "vertex", _P1.format("the vertices"), FREIHAND + ", mesh_al_mean3d"),
    ("abs_mpjpe_mm", "abs. MPJPE", "joint", _ABS, FREIHAND + ", xyz_mean3d"),
    ("abs_mpvpe_mm", "abs. MPVPE", "vertex", _ABS, FREIHAND + ", mesh_mean3d"),
]

_BONE = (
    "after scaling the prediction until wrist to middle base is as long as the true one (not, where its own length is "
    "0) and moving its wrist onto the true one; no rotation"
)
_MCP = "after moving the middle base of prediction and truth to the origin; no scale, no rotation"
_RIGID = "after the rotation and translation that fit the joints best; no scale, no reflection"
_P2 = "after the similarity without reflection that fits the joints best"
_OWN_ROOT = (
    "after moving the protocol's root joint of prediction and truth to the origin; no scale, no rotation"
)
_EACH_WRIST = "after moving the wrist of each hand, predicted and true, to the origin; no scale, no rotation"
HO3D = "shreyashampali/ho3d: eval.py"
DEXYCB = "NVlabs/dex-ycb-toolkit: dex_ycb_toolkit/hpe_eval.py"
INTERHAND = "facebookresearch/InterHand2.6M: data/InterHand2.6M/dataset.py"
INTAGHAND = "Dw1010/IntagHand: apps/eval_interhand.py"
OCCUPANCY = "autonomousvision/occupancy_networks: im2mesh/eval.py"
DIFFHOI = "JudyYe/diffhoi: tools/harvest.py"
DIFFHOI_HAND = "JudyYe/diffhoi: tools/hand_eval.py"

_LADDER = [
    ("ladder_abs_mm", "no alignment", _ABS),
    ("ladder_wrist_mm", "wrist", _ROOT),
    ("ladder_mcp_mm", "middle base", _MCP),
    ("ladder_bone_mm", "wrist, bone scale", _BONE),
    ("ladder_rigid_mm", "rigid", _RIGID),
    ("ladder_p2_mm", "similarity", _P2),
    ("ladder_p1_mm", "similarity or reflection", _P1.format("the joints")),
]


def _error(name: str, title: str, point: str, frame: str, source: str) -> Metric:
    return Metric(name, "mm", "lower", title, f"mean {point} distance {frame}", source)


def _auc(name: str, title: str, point: str, frame: str, source: str) -> Metric:
    definition = f"area under the PCK curve of {point}, 100 thresholds from 0 to 50 mm, {frame}"
    return Metric(name, "", "higher", title, definition, source, digits=3)


def _f_score(name: str, title: str, millimetres: int, frame: str, source: str) -> Metric:
    definition = (
        f"harmonic mean of the shares of predicted and of true vertices with a vertex of the other mesh closer "
        f"than {millimetres} mm, {frame}"
    )
    return Metric(name, "", "higher", title, definition, source, digits=3)


def _texture(suffix: str, label: str, where: str) -> list[Metric]:
    """PSNR, SSIM, L1 and LPIPS of the rendered texture under one mask policy."""
    ssim = "SSIM (11 px Gaussian window, sigma 1.5, range 1), the map's mean over the mask, black outside, "
    lpips = "LPIPS (AlexNet, inputs in [-1, 1]) of the mask's bounding square at 256 px, black outside, "
    return [
        Metric(
            f"psnr_db{suffix}", "dB", "higher", f"PSNR{label}",
            f"10 log10(1 / MSE) of sRGB in [0, 1], float, {where}", "standard definition",
        ),
        Metric(f"ssim{suffix}", "", "higher", f"SSIM{label}", ssim + where, "Wang et al. 2004", digits=3),
        Metric(
            f"texture_l1{suffix}", "", "lower", f"L1{label}",
            f"mean absolute sRGB difference in [0, 1], {where}", "standard definition", digits=4,
        ),
        Metric(f"lpips{suffix}", "", "lower", f"LPIPS{label}", lpips + where, "Zhang et al. 2018", digits=3),
    ]  # fmt: skip


def _intaghand() -> list[Metric]:
    """IntagHand's errors of each hand, and the unscaled ones that it leaves out."""
    scale = "scaled by the true over the predicted length of middle base to wrist"
    regressed = "joints regressed from the vertices of prediction and truth alike"
    metrics = []
    for error, title, point in (("mpjpe", "MPJPE", "joint"), ("mpvpe", "MPVPE", "vertex")):
        for hand in ("left", "right"):
            frame = f"of the {hand} hand, {_MCP.split(';')[0]}, {scale}; {regressed}"
            metrics.append(_error(f"{error}_{hand}_mm", f"{title} {hand}", point, frame, INTAGHAND))
        frame = f"{_MCP}, the mean of left and right; {regressed}"
        metrics.append(_error(f"{error}_unscaled_mm", f"{title} unscaled", point, frame, "definition ours"))
    return metrics


def _iou(name: str, title: str, where: str) -> Metric:
    definition = (
        "points inside both over points inside either of the closed predicted and true hand, mean of both hands; "
        f"inside: an odd number of faces above and below along one axis; {where}"
    )
    return Metric(name, "", "higher", title, definition, OCCUPANCY, digits=3)


def _surface(name: str, unit: str, title: str, distance: str) -> Metric:
    definition = (
        f"(mean {distance} from each predicted point to its nearest true one + the same from true to predicted) / 2, "
        "100,000 points drawn uniformly by area of each closed hand, mean of both hands"
    )
    return Metric(name, unit, "lower", title, definition, OCCUPANCY)


def _failure(name: str, title: str, which: str) -> Metric:
    return Metric(name, "", "lower", title, f"share of predicted hands {which}", "definition ours", digits=3)


def _object_f(name: str, title: str, millimetres: int, how: str) -> Metric:
    definition = (
        f"2PR / (P + R + 1e-6), P and R the shares of 10,000 points drawn uniformly by area of the predicted and of "
        f"the true object that are closer than {millimetres} mm to the other's points, {how}"
    )
    return Metric(name, "", "higher", title, definition, DIFFHOI, digits=3)


def _object_cd(name: str, title: str, how: str) -> Metric:
    definition = (
        "mean squared distance from each predicted point to its nearest true one + the same from true to predicted "
        f"(a sum, not halved), 10,000 points drawn uniformly by area of each object, {how}"
    )
    return Metric(name, "cm2", "lower", title, definition, DIFFHOI)


def _objects() -> list[Metric]:
    """DiffHOI's numbers of the object: registered rigidly, registered with a scale, and in the hand frame."""
    in_hand = "in the hand frame without any registration, mean over a clip's frames"
    metrics = []
    for suffix, label, motion in (
        ("", "", "rotation and translation"),
        ("_similarity", " (scaled)", "similarity"),
    ):
        how = f"after the {motion} with the least Chamfer distance of ten starts (L-BFGS)"
        metrics += [_object_f(f"object_f{t}{suffix}", f"object F@{t}{label}", t, how) for t in (5, 10, 20)]
        metrics.append(_object_cd(f"object_cd_cm2{suffix}", f"object CD{label}", how))
    return [
        *metrics,
        _object_f("hand_object_f20", "F@20 in hand", 20, in_hand),
        _object_cd("hand_object_cd_cm2", "CD in hand", in_hand),
    ]


_AL_J, _AL_V = _P1.format("the joints"), _P1.format("the vertices")

_DECLARED = [
    *(_error(*row) for row in _ERRORS),
    _auc("auc_joints", "AUC-J", "joints", _AL_J, FREIHAND + ", xyz_al_auc3d"),
    _auc("auc_verts", "AUC-V", "vertices", _AL_V, FREIHAND + ", mesh_al_auc3d"),
    _f_score("f5", "F@5", 5, _AL_V, FREIHAND + ", f_al_score_5"),
    _f_score("f15", "F@15", 15, _AL_V, FREIHAND + ", f_al_score_15"),
    _auc("abs_auc_joints", "abs. AUC-J", "joints", _ABS, FREIHAND + ", xyz_auc3d"),
    _auc("abs_auc_verts", "abs. AUC-V", "vertices", _ABS, FREIHAND + ", mesh_auc3d"),
    _f_score("abs_f5", "abs. F@5", 5, _ABS, FREIHAND + ", f_score_5"),
    _f_score("abs_f15", "abs. F@15", 15, _ABS, FREIHAND + ", f_score_15"),
    Metric(
        "nll", "nats", "lower", "NLL",
        "mean negative log-likelihood per coordinate of the true wrist-relative vertices under the predicted "
        "Gaussian (mean and variance per coordinate), coordinates in mm",
        "AMVUR's probabilistic mesh (papers call it the likelihood); definition ours", digits=3,
    ),
    Metric(
        "calibration_error", "", "lower", "calibration error",
        "mean over the levels 0.1 ... 0.9 of the absolute gap between the level and the share of true "
        "wrist-relative vertex coordinates inside the predicted central interval of that level",
        "Kuleshov et al. 2018, on central intervals", digits=3,
        columns=COVERAGE_COLUMNS, levels=CALIBRATION_LEVELS,
    ),
    *_texture("", "", _TRUE_MASK),
    Metric(
        "psnr_flat_db", "dB", "higher", "PSNR, one flat colour",
        "reference for psnr_db: the same predicted mesh painted with the method's mean skin colour only, "
        + _TRUE_MASK, "definition ours",
    ),
    *_texture("_pred_mask", " (own mask)", _PRED_MASK),
    *(_error(name, f"MPJPE ({title})", "joint", frame, "definition ours") for name, title, frame in _LADDER),
    _error("st_mpjpe_mm", "ST-MPJPE", "joint", _BONE, HO3D + ", xyz_scale_trans_al_mean3d"),
    _auc("st_auc_joints", "ST-AUC-J", "joints", _BONE, HO3D + ", xyz_scale_trans_al_auc3d"),
    _auc("rel_auc_joints", "rel. AUC-J", "joints", _OWN_ROOT, DEXYCB),
    _auc("rel_auc_verts", "rel. AUC-V", "vertices", _OWN_ROOT, DIFFHOI_HAND),
    _f_score("rel_f5", "rel. F@5", 5, _OWN_ROOT, DIFFHOI_HAND),
    _f_score("rel_f15", "rel. F@15", 15, _OWN_ROOT, DIFFHOI_HAND),
    _error("mpjpe_single_mm", "MPJPE single", "joint", f"of frames with one hand, {_EACH_WRIST}", INTERHAND),
    _error("mpjpe_interacting_mm", "MPJPE interacting", "joint", f"of frames with two hands, {_EACH_WRIST}", INTERHAND),
    Metric(
        "mrrpe_mm", "mm", "lower", "MRRPE",
        "length of the difference between the predicted and the true vector from the right to the left hand's root "
        "(wrist)", INTERHAND,
    ),
    Metric(
        "handedness_accuracy", "", "higher", "handedness",
        "share of frames whose hands are all told: the probability of each hand that is there above 0.5, of one that "
        "is not below 0.5 (both strict)", INTERHAND, digits=3,
    ),
    *_intaghand(),
    _iou("iou", "IoU", "100,000 points uniform in a cube of 44 cm about the wrist"),
    _iou("iou_near", "IoU near", "100,000 points of the true surface with Gaussian noise of 4 mm per axis"),
    _iou("iou_mixed", "IoU mixed", "the points of both, as many uniform as near the surface"),
    _surface("cd_mm", "mm", "CD", "distance"),
    _surface("cd_l2_mm2", "mm2", "CD-L2", "squared distance"),
    Metric(
        "normal_consistency", "", "higher", "normals",
        "mean absolute cosine between the face normal at each surface point and that at its nearest point on the other "
        "hand, averaged over both ways, points as for CD, mean of both hands", OCCUPANCY, digits=3,
    ),
    Metric(
        "penetration_cm3", "cm3", "lower", "penetration",
        "volume inside both hands' closed predicted meshes, by lines 1 mm apart, exact along each", "definition ours",
    ),
    Metric(
        "penetration_mm", "mm", "lower", "penetration depth",
        "distance to the other hand's surface of the vertex of either closed predicted mesh that lies deepest inside "
        "the other; 0 where none does", "definition ours",
    ),
    _failure("no_mesh", "no mesh", "without a mesh, or without the wrist that it is placed by"),
    _failure("broken_mesh", "broken mesh", "with a mesh that is not finite or has no area"),
    _failure("open_mesh", "open mesh", "with a mesh that is not closed, or whose faces do not wind alike"),
    *_objects(),
    Metric(
        "acceleration_error_mm", "mm", "lower", "acceleration error",
        "mean joint distance between the second differences over three frames in a row, predicted and true (mm per "
        "frame squared), relative to the protocol's root joint",
        "Kanazawa et al. 2019, Learning 3D Human Dynamics from Video, section 4",
    ),
]  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _DECLARED}
