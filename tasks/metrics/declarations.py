"""Every metric's declaration: name, unit, direction, definition, source. Imports nothing heavy."""

from tasks.base import Metric

FREIHAND = "lmb-freiburg/freihand: eval.py"
CALIBRATION_LEVELS = tuple(level / 10 for level in range(1, 10))
COVERAGE_COLUMNS = tuple(f"coverage_{10 * tenth}" for tenth in range(1, 10))
MIN_MASK_PX = 200

_ROOT = "after moving the wrist of prediction and truth to the origin; no scale, no rotation"
_ABS = "in the camera frame, no alignment at all"
_P1 = "after the similarity that fits {} best (reflections allowed, as the official script does)"
_TRUE_MASK = (
    "on the true hand mask (the layout's; in a split without masks the true mesh's silhouette) at the image's own "
    f"resolution; undefined below {MIN_MASK_PX} px"
)
_PRED_MASK = (
    "on the predicted mesh's silhouette, so a smaller hand scores better; " + _TRUE_MASK.split("; ")[1]
)

_ERRORS = [
    ("mpjpe_mm", "MPJPE", "joint", _ROOT, "field's convention"),
    ("pa_mpjpe_mm", "PA-MPJPE", "joint", _P1.format("the joints"), FREIHAND + ", xyz_al_mean3d"),
    ("mpvpe_mm", "MPVPE", "vertex", _ROOT, "field's convention"),
    ("pa_mpvpe_mm", "PA-MPVPE", "vertex", _P1.format("the vertices"), FREIHAND + ", mesh_al_mean3d"),
    ("abs_mpjpe_mm", "abs. MPJPE", "joint", _ABS, FREIHAND + ", xyz_mean3d"),
    ("abs_mpvpe_mm", "abs. MPVPE", "vertex", _ABS, FREIHAND + ", mesh_mean3d"),
]


_BONE = "after scaling to the true length of wrist to middle base and moving the wrist onto the true one"
_MCP = "after moving the middle base of prediction and truth to the origin; no scale, no rotation"
_RIGID = "after the rotation and translation that fit the joints best; no scale, no reflection"
_P2 = "after the similarity without reflection that fits the joints best"
_INDEX = "after moving the index base of prediction and truth to the origin; no scale, no rotation"
INTERHAND = "facebookresearch/InterHand2.6M: data/InterHand2.6M/dataset.py"
INTAGHAND = "Dw1010/IntagHand: apps/eval_interhand.py"
OCCUPANCY = "autonomousvision/occupancy_networks: im2mesh/eval.py"
DIFFHOI = "JudyYe/diffhoi: tools/harvest.py"

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
    _error("st_mpjpe_mm", "ST-MPJPE", "joint", _BONE, "shreyashampali/ho3d: eval.py, xyz_scale_trans_al_mean3d"),
    _auc("st_auc_joints", "ST-AUC-J", "joints", _BONE, "shreyashampali/ho3d: eval.py, xyz_scale_trans_al_auc3d"),
    _auc("rel_auc_joints", "rel. AUC-J", "joints", "relative to the protocol's root joint", "NVlabs/dex-ycb-toolkit"),
    _auc("rel_auc_verts", "rel. AUC-V", "vertices", "relative to the protocol's root joint", DIFFHOI),
    _f_score("rel_f5", "rel. F@5", 5, "relative to the protocol's root joint", DIFFHOI),
    _f_score("rel_f15", "rel. F@15", 15, "relative to the protocol's root joint", DIFFHOI),
    _error("mpjpe_single_mm", "MPJPE single", "joint", f"{_ROOT}; frames with one hand", INTERHAND),
    _error("mpjpe_interacting_mm", "MPJPE interacting", "joint", f"{_ROOT}; frames with two hands", INTERHAND),
    _error("mrrpe_mm", "MRRPE", "wrist", "from the left hand's wrist to the right one's, predicted against true", INTERHAND),
    Metric(
        "handedness_accuracy", "", "higher", "handedness",
        "share of frames whose hands (right, left, both) are told by probabilities above 0.5", INTERHAND, digits=3,
    ),
    *(
        _error(f"{error}_{suffix}_mm", f"{title} {suffix}", point, f"{_MCP}, {how}", INTAGHAND)
        for error, title, point in (("mpjpe", "MPJPE", "joint"), ("mpvpe", "MPVPE", "vertex"))
        for suffix, how in (
            ("left", "then scaled to the true length of middle base to wrist; the left hand"),
            ("right", "then scaled to the true length of middle base to wrist; the right hand"),
            ("unscaled", "not scaled; the mean of left and right"),
        )
    ),
    Metric("iou", "", "higher", "IoU", "shared over joint volume, at 100,000 uniform points of a 44 cm box", OCCUPANCY, digits=3),
    Metric("iou_near", "", "higher", "IoU near", "shared over joint volume, at points near the true surface (sigma 4 mm)", OCCUPANCY, digits=3),
    Metric("cd_mm", "mm", "lower", "CD", "mean of accuracy and completeness: mean unsquared nearest distances both ways", OCCUPANCY),
    Metric("cd_l2_mm2", "mm2", "lower", "CD-L2", "mean of accuracy and completeness with squared distances", OCCUPANCY),
    Metric(
        "normal_consistency", "", "higher", "normals",
        "mean absolute cosine between a surface point's normal and its nearest neighbour's on the other mesh, both ways",
        OCCUPANCY, digits=3,
    ),
    Metric("penetration_cm3", "cm3", "lower", "penetration", "volume inside both hands' meshes", "definition ours"),
    Metric("penetration_mm", "mm", "lower", "penetration depth", "how deep the deepest vertex of one mesh lies inside the other", "definition ours"),
    *(
        metric
        for suffix, how in (("", "rigid registration"), ("_similarity", "registration with a scale"))
        for metric in (
            *(
                Metric(f"object_f{t}{suffix}", "", "higher", f"object F@{t}", f"share of 10,000 surface points of each mesh closer than {t} mm to the other, harmonic mean, after {how}", DIFFHOI, digits=3)
                for t in (5, 10, 20)
            ),
            Metric(f"object_cd_cm2{suffix}", "cm2", "lower", "object CD", f"sum of the mean squared nearest distances both ways, after {how}", DIFFHOI),
        )
    ),
    Metric("hand_object_f20", "", "higher", "F@20 in hand", "F at 20 mm of the object in the hand frame, no registration, mean over a clip's frames", DIFFHOI, digits=3),
    Metric("hand_object_cd_cm2", "cm2", "lower", "CD in hand", "sum of the mean squared nearest distances of the object in the hand frame, no registration, mean over a clip's frames", DIFFHOI),
    Metric("acceleration_error_mm", "mm", "lower", "acceleration error", "mean distance of the joints' second differences over frames, per frame squared", "Kanazawa et al. 2019 (HMMR)"),
]  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _DECLARED}
