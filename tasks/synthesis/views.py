"""From where the camera sees the hand: the distribution of viewpoints, of distance and of the place in the image.

Hand axes are MANO's: fingers along -x, palm towards -y, thumb towards +z. Camera axes are OpenCV's.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.layouts.freihand.files import IMAGE_SIZE_PX

SIDES: tuple[tuple[float, tuple[float, float, float]], ...] = (
    (0.45, (-0.1, 1.0, 0.15)),
    (0.30, (-0.1, -1.0, 0.15)),
    (0.25, (-0.1, 0.25, 1.0)),
)
"""Share and direction, in hand axes, of the places where cameras gather: back, palm and thumb side."""
SPREAD = 0.40
"""Standard deviation of a camera's direction about its place, per axis of a unit vector."""
ROLL_SD_DEG = 50.0
"""In-plane rotation about fingers pointing up."""
FOCAL_PX = (440.0, 520.0)
BOX_SHARE = (0.58, 0.85)
"""Longer side of the hand's box as a share of the image, where the range of depths allows it."""
DEPTH_M = (0.38, 0.90)
JITTER_PX = 14.0
"""Largest shift of the box's centre from the image's centre."""
BORDER_PX = 3.0
"""The box keeps this distance to the border."""
_FINGERS, _BACK = np.array([-1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class View:
    """One camera, drawn before the hand's posed size is known."""

    rotation: np.ndarray
    """(3, 3) hand axes to camera axes."""
    intrinsics_px: np.ndarray
    """(3, 3)."""
    box_share: float
    jitter: np.ndarray
    """(2,) in [-1, 1]."""


def sample_view(rng: np.random.Generator) -> View:
    """One view."""
    shares = np.array([share for share, _ in SIDES])
    side = SIDES[rng.choice(len(SIDES), p=shares / shares.sum())][1]
    towards_camera = np.array(side) / np.linalg.norm(side) + rng.normal(0, SPREAD, 3)
    roll = Rotation.from_euler("z", rng.normal(0, ROLL_SD_DEG), degrees=True).as_matrix()
    focal, centre = rng.uniform(*FOCAL_PX), IMAGE_SIZE_PX / 2
    return View(
        rotation=roll @ look_from(towards_camera),
        intrinsics_px=np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]]),
        box_share=rng.uniform(*BOX_SHARE),
        jitter=rng.uniform(-1, 1, 2),
    )


def look_from(towards_camera: np.ndarray) -> np.ndarray:
    """(3, 3) rotation from hand to camera axes of a camera in this direction, with the fingers pointing up."""
    z_axis = -towards_camera / np.linalg.norm(towards_camera)
    along_fingers = abs(_FINGERS @ z_axis) > 0.999  # there, any roll is as good
    up = _BACK if along_fingers else _FINGERS
    down = (up @ z_axis) * z_axis - up
    y_axis = down / np.linalg.norm(down)
    return np.stack([np.cross(y_axis, z_axis), y_axis, z_axis])


def translation_m(points_m: np.ndarray, view: View) -> np.ndarray:
    """(3,) shift that puts points (N, 3) in camera axes where the view wants their box."""
    focal = view.intrinsics_px[0, 0]
    extent = np.ptp(points_m[:, :2], axis=0).max()
    depth = np.clip(focal * extent / (view.box_share * IMAGE_SIZE_PX), *DEPTH_M)
    shift = -(points_m.max(axis=0) + points_m.min(axis=0)) / 2
    shift[2] = depth - points_m[:, 2].mean()
    for _ in range(3):  # perspective moves the box a little with each shift
        low, high = _box_px(points_m + shift, view.intrinsics_px)
        room = np.clip((IMAGE_SIZE_PX - (high - low)) / 2 - BORDER_PX, 0, JITTER_PX)
        error_px = (low + high) / 2 - (IMAGE_SIZE_PX / 2 + view.jitter * room)
        shift[:2] -= error_px * depth / focal
    return shift


def _box_px(points_m: np.ndarray, intrinsics_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels = (points_m @ intrinsics_px.T)[:, :2] / points_m[:, 2:]
    return pixels.min(axis=0), pixels.max(axis=0)
