"""Films performances: static calibrated cameras, whole frames of 640 x 480 pixels, and the labels of what they see.

Only the window that hand, forearm and object can reach is rendered; it is then pasted before the camera's background.
A left hand is filmed in a mirror: the mirrored cameras see the right-handed performance, and image and labels are
mirrored back.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import HandModel, load_hand
from tasks.hands.skeleton import MIRROR_POINT, articulated_joints, mirror_pose
from tasks.synthesis.backgrounds import SCENE_PX
from tasks.synthesis.compositing import over
from tasks.synthesis.patterns import BICUBIC, scene
from tasks.synthesis.performances import Performance, perform
from tasks.synthesis.rendering import Skins, forearm, lights, material, wrist_colours
from tasks.synthesis.shading import SKIN_TEXELS, Light, Stage
from tasks.synthesis.streams import stream
from tasks.synthesis.subjects import betas_of, skin_colours, skin_picture
from tasks.synthesis.things import Thing, print_of

FRAME_PX = (480, 640)
"""Height and width."""
FOCAL_PX, CENTRE_PX = (617.0, 3.0), ((312.0, 4.0), (241.0, 3.0))
"""Mean and spread, as of the RealSense cameras that filmed HO-3D and DexYCB."""
DISTANCE_M = (0.55, 0.75)
"""Of the cameras from the middle of the stage."""
AZIMUTH_DEG, ELEVATION_DEG = 80.0, 35.0
"""Farthest directions of further cameras from the first one's."""
WALL_M = (1.8, 2.6)
"""Depth of the background."""
GAIN = (0.6, 1.1)
VISIBLE_SHARE = 0.5
"""Of the hand's pixels, on average over a performance: one that shows less is drawn again."""
ATTEMPTS = 8
HAND, THING = 1, 2
"""In segmentations; 0 is everything else, forearms too."""
_COARSE_PX = (60, 80)
_MARGIN_PX = 3
_NEAR_M = 0.05
_NOWHERE = (0.0, 0.0, -5.0)
_MIRROR = np.diag(MIRROR_POINT).astype(np.float64)


@dataclass(frozen=True)
class Camera:
    """A static pinhole camera, OpenCV axes, seen from the stage's frame."""

    intrinsics_px: np.ndarray
    """(3, 3)."""
    rotation: np.ndarray
    """(3, 3) stage to camera."""
    trans_m: np.ndarray
    """(3,)."""

    def points(self, points_m: np.ndarray) -> np.ndarray:
        """(..., 3) stage to camera."""
        return points_m @ self.rotation.T + self.trans_m

    @property
    def to_stage(self) -> np.ndarray:
        """(4, 4) camera to stage."""
        transform = np.eye(4)
        transform[:3, :3] = self.rotation.T
        transform[:3, 3] = -self.rotation.T @ self.trans_m
        return transform

    def mirrored(self) -> "Camera":
        """The camera that sees the mirrored stage as this one sees the stage, but for left and right."""
        intrinsics = self.intrinsics_px.copy()
        intrinsics[0, 2] = FRAME_PX[1] - intrinsics[0, 2]
        return Camera(intrinsics, _MIRROR @ self.rotation @ _MIRROR, _MIRROR @ self.trans_m)


@dataclass(frozen=True)
class Scenery:
    """What a camera sees where nothing happens."""

    rgb: np.ndarray
    """(480, 640, 3) uint8 sRGB."""
    depth_m: np.ndarray
    """(480, 640) float32."""


@dataclass(frozen=True)
class Cast:
    """A performance and how its surfaces look."""

    performance: Performance
    materials: torch.Tensor
    light: Light
    skin: torch.Tensor
    left: bool


@dataclass(frozen=True)
class Shot:
    """One frame of one camera and all that is true of it; metres, OpenCV camera frame."""

    rgb: np.ndarray
    """(480, 640, 3) uint8."""
    depth_m: np.ndarray
    """(480, 640) float32."""
    parts: np.ndarray
    """(480, 640) uint8: HAND, THING or 0."""
    camera: Camera
    betas: np.ndarray
    """(10,)."""
    pose_aa: np.ndarray
    """(48,) axis-angle, the mean pose included."""
    trans_m: np.ndarray
    """(3,) what is added to the posed model."""
    rest_wrist_m: np.ndarray
    """(3,)."""
    joints_mano16_m: np.ndarray
    """(16, 3)."""
    verts_m: np.ndarray
    """(V, 3)."""
    thing_rotation: np.ndarray
    """(3, 3)."""
    thing_centre_m: np.ndarray
    """(3,)."""

    def joints_m(self, tips: str) -> np.ndarray:
        """(21, 3) in order B: posed joints, and a convention's tip vertices."""
        return articulated_joints(self.joints_mano16_m[None], self.verts_m[None], tips)[0]

    def mirrored(self) -> "Shot":
        """The same shot of the mirrored world: a right hand becomes a left one."""
        return Shot(
            rgb=np.ascontiguousarray(self.rgb[:, ::-1]),
            depth_m=np.ascontiguousarray(self.depth_m[:, ::-1]),
            parts=np.ascontiguousarray(self.parts[:, ::-1]),
            camera=self.camera.mirrored(),
            betas=self.betas,
            pose_aa=mirror_pose(self.pose_aa),
            thing_rotation=_MIRROR @ self.thing_rotation @ _MIRROR,
            **{
                name: getattr(self, name) * np.diagonal(_MIRROR)
                for name in ("trans_m", "rest_wrist_m", "joints_mano16_m", "verts_m", "thing_centre_m")
            },
        )


def rig(rng: np.random.Generator, n: int) -> list[Camera]:
    """The first camera before the stage, the others around it; all look at its middle, with the floor below."""
    cameras = []
    for i in range(n):
        azimuth, elevation = rng.uniform(-1, 1, 2) * (AZIMUTH_DEG, ELEVATION_DEG) * (i > 0)
        distance, roll = rng.uniform(*DISTANCE_M), rng.normal(0, 5.0)
        turn = Rotation.from_euler("zxy", [roll, elevation, azimuth], degrees=True).as_matrix()
        aim = rng.normal([0, 0, distance], 0.01)
        cameras.append(Camera(_intrinsics_px(rng), turn, aim))
    return cameras


def _intrinsics_px(rng: np.random.Generator) -> np.ndarray:
    focal = FOCAL_PX[0] + FOCAL_PX[1] * rng.uniform(-1, 1)
    column, row = (mean + spread * rng.uniform(-1, 1) for mean, spread in CENTRE_PX)
    return np.array([[focal, 0, column], [0, focal, row], [0, 0, 1]])


def scenery(rng: np.random.Generator) -> Scenery:
    """One background, out of focus, and a wall for its depth."""
    height, width = FRAME_PX
    rows = SCENE_PX * height // width
    top = int(rng.integers(0, SCENE_PX - rows + 1))
    picture = Image.fromarray(scene(rng, SCENE_PX)[top : top + rows])
    tint = rng.uniform(*GAIN) * rng.uniform(0.9, 1.1, 3)
    rgb = np.asarray(picture.resize((width, height), BICUBIC), np.float32) * tint.astype(np.float32)
    depth = np.full(FRAME_PX, rng.uniform(*WALL_M), np.float32)
    return Scenery(np.clip(rgb + 0.5, 0, 255).astype(np.uint8), depth)


def cast(
    stage: Stage, hand: HandModel, seed: int, dataset: str, number: int, subject: int, thing: Thing,
    n_frames: int, cameras: list[Camera], left: bool = False,
) -> Cast:  # fmt: skip
    """A dataset's performance of this number, drawn until enough of the hand shows in these cameras.

    ``hand`` is the right one; ``left`` says that the footage is to be of a left hand. The subject is the dataset's, its
    shape and skin the same in all performances.
    """
    rng = stream(seed, dataset, number, "performance")
    betas = betas_of(seed, dataset, subject)
    watching = [camera.mirrored() for camera in cameras] if left else cameras
    tried = []
    for _ in range(ATTEMPTS):
        performance = perform(stage, hand, rng, betas, thing, n_frames)
        share = _visible_share(stage, hand, performance, watching)
        tried.append((share, performance))
        if share >= VISIBLE_SHARE:
            break
    best = max(tried, key=lambda attempt: attempt[0])[1]
    return _dressed(stage, hand, seed, dataset, number, subject, best, left)


def _visible_share(stage: Stage, hand: HandModel, performance: Performance, cameras: list[Camera]) -> float:
    """The mean share of the hand's own pixels that neither forearm, object nor border hides, at a few instants."""
    instants = performance.verts_m[:: max(1, len(performance) // 4)]
    verts = torch.from_numpy(np.concatenate([camera.points(instants) for camera in cameras])).float()
    scale = torch.tensor([_COARSE_PX[0] / FRAME_PX[0]] * 2 + [1.0])[:, None]
    each = torch.from_numpy(np.stack([camera.intrinsics_px for camera in cameras])).float() * scale
    intrinsics = each.repeat_interleave(len(instants), dim=0)
    alone = rasterise(verts[:, : hand.n_verts], hand.faces, intrinsics, _COARSE_PX).mask
    together = rasterise(verts, stage.faces, intrinsics, _COARSE_PX).face_index
    seen = (together >= 0) & (together < stage.arm_face)
    return float((seen.flatten(1).sum(1) / alone.flatten(1).sum(1).clamp(min=1)).mean())


def _dressed(
    stage: Stage, hand: HandModel, seed: int, dataset: str, number: int, subject: int,
    performance: Performance, left: bool,
) -> Cast:  # fmt: skip
    """The performance with its skin, sleeve, print and light."""
    rng = stream(seed, dataset, number, "material")
    skins = _skins(hand, seed, dataset, subject)
    sleeve = forearm(rng, wrist_colours(stage, hand, skins)[0], performance.arm)
    picture = material(skins.pictures[0], sleeve, print_of(seed, performance.thing))
    return Cast(
        performance=performance,
        materials=torch.from_numpy(picture)[None],
        light=lights([stream(seed, dataset, number, "light")]),
        skin=torch.from_numpy(skins.colours),
        left=left,
    )


@lru_cache(maxsize=32)
def _skins(hand: HandModel, seed: int, dataset: str, subject: int) -> Skins:
    if hand.data.vt is not None:
        return Skins([skin_picture(seed, dataset, subject)], np.zeros((1, 1, 3), np.float32))
    plain = np.zeros((SKIN_TEXELS, SKIN_TEXELS, 3), np.float32)
    return Skins([plain], skin_colours(seed, dataset, subject, hand.data)[None])


def film(
    stage: Stage, played: Cast, instant: int, camera: Camera, behind: Scenery, with_hand: bool = True
) -> Shot:
    """What a camera sees at an instant; ``with_hand=False`` leaves the object alone in the picture."""
    if played.left:
        own = Scenery(behind.rgb[:, ::-1], behind.depth_m[:, ::-1])
        return _film(stage, played, instant, camera.mirrored(), own, with_hand).mirrored()
    return _film(stage, played, instant, camera, behind, with_hand)


def _film(stage: Stage, played: Cast, instant: int, camera: Camera, behind: Scenery, with_hand: bool) -> Shot:
    act, turn = played.performance, camera.rotation
    verts_m = camera.points(act.verts_m[instant])
    rgb, depth_m, parts = _picture(stage, played, camera, verts_m, behind, with_hand)
    wrist = camera.points(act.wrist_m[instant])
    turned = Rotation.from_matrix(turn @ act.rotation[instant]).as_rotvec()
    return Shot(
        rgb, depth_m, parts, camera, act.betas,
        pose_aa=np.concatenate([turned, act.hand_pose[instant]]),
        trans_m=wrist - act.rest_wrist_m,
        rest_wrist_m=act.rest_wrist_m,
        joints_mano16_m=camera.points(act.joints_m[instant]),
        verts_m=verts_m[: stage.n_hand_verts],
        thing_rotation=turn @ act.thing_rotation[instant],
        thing_centre_m=camera.points(act.thing_centre_m[instant]),
    )  # fmt: skip


def _picture(
    stage: Stage, played: Cast, camera: Camera, verts_m: np.ndarray, behind: Scenery, with_hand: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, depth and parts of the whole frame."""
    drawn = verts_m.copy()
    if not with_hand:
        drawn[: stage.object_first] = _NOWHERE
    rgb, depth_m, parts = behind.rgb.copy(), behind.depth_m.copy(), np.zeros(FRAME_PX, np.uint8)
    rows, columns = _window(camera, drawn)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if min(size) > 0:
        intrinsics = camera.intrinsics_px - np.array([[0, 0, columns.start], [0, 0, rows.start], [0, 0, 0]])
        verts, lens = torch.from_numpy(drawn[None]).float(), torch.from_numpy(intrinsics[None]).float()
        light = replace(
            played.light, direction=played.light.direction @ torch.from_numpy(camera.rotation.T).float()
        )
        picture = stage.shade(verts, lens, played.materials, light, played.skin, size)
        window = over(
            255 * picture.rgb[0], picture.alpha[0][..., None], rgb[rows, columns].astype(np.float32)
        )
        rgb[rows, columns] = window + 0.5
        _label(stage, verts, lens, depth_m[rows, columns], parts[rows, columns])
    return rgb, depth_m, parts


def _label(
    stage: Stage, verts_m: torch.Tensor, intrinsics_px: torch.Tensor, depth_m: np.ndarray, parts: np.ndarray
) -> None:
    """Write depth and parts of a window (H, W) where something stands before the background."""
    seen = rasterise(verts_m, stage.faces, intrinsics_px, parts.shape, cull_backfaces=True)
    face, covered = seen.face_index[0].numpy(), seen.mask[0].numpy()
    depth_m[covered] = seen.depth_m[0].numpy()[covered]
    parts[covered & (face < stage.arm_face)] = HAND
    parts[covered & (face >= stage.object_face)] = THING


def _window(camera: Camera, verts_m: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the frame that the vertices can reach; all where some stand beside the camera."""
    before = verts_m[verts_m[:, 2] > 0]
    if len(before) == 0:
        return slice(0, 0), slice(0, 0)
    height, width = FRAME_PX
    if (before[:, 2] < _NEAR_M).any():
        return slice(0, height), slice(0, width)
    pixels = before @ camera.intrinsics_px.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    low = np.clip(np.floor(pixels.min(axis=0)) - _MARGIN_PX, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + _MARGIN_PX, 0, (width, height)).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


@lru_cache(maxsize=1)
def tools(mano_folder: str) -> tuple[HandModel, Stage]:
    """The right hand in use and its stage, once per process, anew when another hand model is chosen."""
    hand = load_hand("right")
    return hand, Stage(hand.data)
