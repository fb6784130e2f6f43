"""From two posed hands to images: forearms, skin, sleeve and light of each sequence, and what its cameras see."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from tasks.hands.hand import HandModel
from tasks.layouts.interhand26m.frames import to_camera
from tasks.layouts.interhand26m.writer import Camera
from tasks.synthesis.arm import sample_arm
from tasks.synthesis.compositing import NOISE_SD, over
from tasks.synthesis.rendering import Skins, forearm, material, wrist_colours
from tasks.synthesis.shading import SKIN_TEXELS, Light
from tasks.synthesis.streams import stream
from tasks.synthesis.subjects import skin_colours, skin_picture
from tasks.synthesis.two_hands_stage import TwoHandStage
from tasks.synthesis.two_hands_studio import FRAME_PX, backdrop, light_in, studio, studio_light

_NOWHERE = (0.0, 0.0, -5.0)
"""Where hands are that are not there: behind the camera."""
_NEAR_M = 0.1
"""Forearms that come nearer to the plane of the camera may reach across the frame."""
_GRAIN_PX = (640, 480)


@dataclass(frozen=True)
class Instant:
    """One frame of a sequence in the world frame of its capture; right hand, then left."""

    split: str
    """Name of the streams that the capture's random draws come from."""
    capture: int
    sequence: int
    number: int
    """Of the frame in its sequence."""
    shows: np.ndarray
    """(2,) bool."""
    hands_m: np.ndarray
    """(2, V, 3) in their own axes."""
    rotation: np.ndarray
    """(2, 3, 3) own axes to world."""
    j0_m: np.ndarray
    """(2, 3) the pivots, own axes."""
    wrist_m: np.ndarray
    """(2, 3) where the pivots are in the world."""
    bend_aa: np.ndarray
    """(2, 3) of the forearms about the wrists, as ``Arm`` has it."""

    @property
    def names(self) -> tuple[str, int]:
        """Of the sequence's random streams."""
        return self.split, self.sequence

    def in_world(self, hand: int, points_m: np.ndarray) -> np.ndarray:
        """(N, 3) points of a hand's own axes in the world."""
        return (points_m - self.j0_m[hand]) @ self.rotation[hand].T + self.wrist_m[hand]


def film(
    stage: TwoHandStage, hand: HandModel, seed: int, instant: Instant, numbers: list[int]
) -> list[np.ndarray]:
    """The images (512, 334, 3) uint8 of an instant by the cameras with these numbers."""
    look = _look(stage, hand, seed, instant)
    images = []
    for number in numbers:
        camera = studio(seed, instant.split, instant.capture).cameras[number]
        frame = backdrop(seed, instant.split, instant.sequence, number).copy()
        _draw(stage, look, camera, frame)
        images.append(_exposed(stream(seed, *instant.names, f"grain {instant.number} {number}"), frame))
    return images


def _draw(stage: TwoHandStage, look: "_Look", camera: Camera, frame: np.ndarray) -> None:
    """Put the hands before a backdrop (H, W, 3) float32, in the window that they can reach."""
    verts_m, intrinsics_px = _seen(look.verts_m, camera), _intrinsics_px(camera)
    rows, columns = _window(verts_m, intrinsics_px)
    corner = np.array([[0, 0, columns.start], [0, 0, rows.start], [0, 0, 0]])
    picture = stage.shade(
        torch.from_numpy(verts_m)[None],
        torch.from_numpy(intrinsics_px - corner).float()[None],
        torch.from_numpy(look.material)[None],
        light_in(look.light, camera),
        torch.from_numpy(look.skin)[None],
        (rows.stop - rows.start, columns.stop - columns.start),
    )
    behind = frame[rows, columns]
    frame[rows, columns] = over(255 * picture.rgb[0], picture.alpha[0][..., None], behind)


def _window(verts_m: np.ndarray, intrinsics_px: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the frame that hands and forearms can reach; all where a forearm passes the camera."""
    if (np.abs(verts_m[:, 2]) < _NEAR_M).any():
        return slice(0, FRAME_PX[0]), slice(0, FRAME_PX[1])
    there = verts_m[verts_m[:, 2] > 0] @ intrinsics_px.T
    pixels = there[:, :2] / there[:, 2:]
    size = np.array(FRAME_PX[::-1])
    low = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, size - 1).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 1, low + 1, size).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _exposed(rng: np.random.Generator, frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a frame in [0, 255] with the camera's noise."""
    height, width = frame.shape[:2]
    top, left = (int(rng.integers(0, n - m)) for n, m in zip(_GRAIN_PX, (height, width), strict=True))
    noise = _grain()[top : top + height, left : left + width] * np.float32(rng.uniform(*NOISE_SD))
    return np.clip(frame + noise + 0.5, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    """A sheet of noise of unit variance that frames take their crops from: drawing it afresh would cost most."""
    return stream(0, "", 0, "grain").normal(0, 1, (*_GRAIN_PX, 3)).astype(np.float32)


@dataclass(frozen=True)
class _Look:
    """An instant's surfaces, and how they look."""

    verts_m: np.ndarray
    """(V', 3) world, NaN where a hand is not there."""
    material: np.ndarray
    light: Light
    skin: np.ndarray
    """(2 V, 3)."""


def _look(stage: TwoHandStage, hand: HandModel, seed: int, instant: Instant) -> _Look:
    rng = stream(seed, *instant.names, "sleeve")
    arm = sample_arm(rng)
    arms = replace(arm, bend_aa=instant.bend_aa[0]), replace(arm, bend_aa=instant.bend_aa[1])
    skins = _skins(hand, seed, instant)
    around = wrist_colours(stage, hand, skins)[0]
    whole = [instant.in_world(k, points) for k, points in enumerate(stage.verts(instant.hands_m, arms))]
    for points, there in zip(whole, instant.shows, strict=True):
        points[:] = points if there else np.nan
    return _Look(
        verts_m=stage.ordered(whole),
        material=material(skins.pictures[0], forearm(rng, around, arm), None),
        light=studio_light(seed, *instant.names, studio(seed, instant.split, instant.capture)),
        skin=np.concatenate([skins.colours[0], skins.colours[0]]),
    )


def _skins(hand: HandModel, seed: int, instant: Instant) -> Skins:
    """The subject's skin, on the atlas or on the vertices; both hands have one."""
    if hand.data.vt is not None:
        picture = skin_picture(seed, instant.split, instant.capture)
        return Skins([picture], np.zeros((1, 1, 3), np.float32))
    plain = np.zeros((SKIN_TEXELS, SKIN_TEXELS, 3), np.float32)
    return Skins([plain], skin_colours(seed, instant.split, instant.capture, hand.data)[None])


def _seen(verts_m: np.ndarray, camera: Camera) -> np.ndarray:
    """(V', 3) float32 in the camera's frame."""
    turned = to_camera(verts_m[None], camera.camrot[None], camera.campos_mm[None] / 1000)[0]
    return np.where(np.isfinite(turned), turned, _NOWHERE).astype(np.float32)


def _intrinsics_px(camera: Camera) -> np.ndarray:
    (fx, fy), (cx, cy) = camera.focal_px, camera.princpt_px
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
