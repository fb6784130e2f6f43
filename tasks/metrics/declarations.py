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
]  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _DECLARED}
