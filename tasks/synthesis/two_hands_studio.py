"""The studio of InterHand2.6M: static cameras on a ring around the hands, a dark backdrop, light from the dome."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.layouts.interhand26m.files import MM
from tasks.layouts.interhand26m.writer import DECIMALS, Camera
from tasks.synthesis.patterns import BICUBIC, scene
from tasks.synthesis.rendering import lights
from tasks.synthesis.shading import Light
from tasks.synthesis.streams import stream

FRAME_PX = (512, 334)
"""Height and width."""
N_CAMERAS = 8
"""Of a capture."""
ARC_DEG = 210.0
"""The ring's arc, its middle before the hands."""
AZIMUTH_SD_DEG, ELEVATION_DEG, ROLL_SD_DEG = 5.0, (-8.0, 40.0), 6.0
DISTANCE_M = (0.95, 1.15)
FOCAL_PX, PIXEL_ASPECT_SD = (1180.0, 1400.0), 0.002
CENTRE_SD_PX = 8.0
AIM_SD_M = 0.012
WORLD_SHIFT_M = 0.8
"""Standard deviation of the world's origin about the hands."""
AMBIENT_GAIN, KEY_GAIN = 1.5, 0.85
"""A dome of lamps is softer than one lamp."""
BACKDROP_GAIN = (0.18, 0.75)
BACKDROP_PX = 144
"""Side of the scenes behind the hands; enlarged, they are out of focus."""


@dataclass(frozen=True)
class Studio:
    """One capture's cameras and world frame."""

    cameras: list[Camera]
    world_rotation: np.ndarray
    """(3, 3) stage to world."""
    world_shift_m: np.ndarray
    """(3,)."""

    def to_world_m(self, points_m: np.ndarray) -> np.ndarray:
        """(..., 3) from the stage's frame."""
        return points_m @ self.world_rotation.T + self.world_shift_m


@lru_cache(maxsize=32)
def studio(seed: int, split: str, capture: int) -> Studio:
    """The studio of a capture; its cameras have the numbers that they have on disk."""
    rng = stream(seed, split, capture, "studio")
    turn = Rotation.from_quat(rng.normal(0, 1, 4)).as_matrix()  # any rotation is as likely
    shift = rng.normal(0, WORLD_SHIFT_M, 3)
    azimuths = np.linspace(-ARC_DEG / 2, ARC_DEG / 2, N_CAMERAS)
    cameras = [_camera(rng, capture, i, azimuth, turn, shift) for i, azimuth in enumerate(azimuths)]
    return Studio(cameras, turn, shift)


def _camera(
    rng: np.random.Generator, capture: int, number: int, azimuth: float, turn: np.ndarray, shift: np.ndarray
) -> Camera:
    around = np.deg2rad(azimuth + rng.normal(0, AZIMUTH_SD_DEG))
    above = np.deg2rad(rng.uniform(*ELEVATION_DEG))
    direction = np.array([np.sin(around) * np.cos(above), -np.cos(around) * np.cos(above), np.sin(above)])
    place, aim = direction * rng.uniform(*DISTANCE_M), rng.normal(0, AIM_SD_M, 3)
    z_axis = (aim - place) / np.linalg.norm(aim - place)
    x_axis = np.cross(z_axis, [0.0, 0.0, 1.0])
    x_axis /= np.linalg.norm(x_axis)
    looking = np.stack([x_axis, np.cross(z_axis, x_axis), z_axis])
    roll = Rotation.from_euler("z", rng.normal(0, ROLL_SD_DEG), degrees=True).as_matrix()
    focal = rng.uniform(*FOCAL_PX) * (1 + rng.normal(0, PIXEL_ASPECT_SD, 2))
    centre = np.array(FRAME_PX[::-1]) / 2 + rng.normal(0, CENTRE_SD_PX, 2)
    return Camera(
        capture=capture,
        camera=f"{400000 + number}",
        campos_mm=np.round(MM * (turn @ place + shift), DECIMALS),
        camrot=roll @ looking @ turn.T,
        focal_px=np.round(focal, DECIMALS),
        princpt_px=np.round(centre, DECIMALS),
    )


def studio_light(seed: int, split: str, sequence: int, studio: Studio) -> Light:
    """The light of a sequence in the world frame: from above, from the side of the first cameras."""
    light = lights([stream(seed, split, sequence, "light")])
    direction = light.direction[0].double().numpy()
    # drawn for a camera whose y axis looks down and whose z axis looks ahead: the stage's -z and y
    on_stage = np.array([direction[0], direction[2], -direction[1]])
    in_world = torch.from_numpy(studio.world_rotation @ on_stage).float()
    return replace(
        light,
        direction=in_world[None],
        key_rgb=KEY_GAIN * light.key_rgb,
        ambient_rgb=AMBIENT_GAIN * light.ambient_rgb,
    )


def light_in(light: Light, camera: Camera) -> Light:
    """A light of the world as a camera sees it."""
    turn = torch.from_numpy(camera.camrot).float()
    return replace(light, direction=light.direction @ turn.T)


@lru_cache(maxsize=64)
def backdrop(seed: int, split: str, sequence: int, camera: int) -> np.ndarray:
    """(512, 334, 3) float32 sRGB in [0, 255] of what one camera sees behind the hands of one sequence: dim, unsharp."""
    rng = stream(seed, split, sequence * N_CAMERAS + camera, "backdrop")
    height, width = FRAME_PX
    columns = BACKDROP_PX * width // height
    left = int(rng.integers(0, BACKDROP_PX - columns + 1))
    picture = Image.fromarray(scene(rng, BACKDROP_PX)[:, left : left + columns])
    tint = rng.uniform(*BACKDROP_GAIN) * rng.uniform(0.88, 1.12, 3)
    return np.asarray(picture.resize((width, height), BICUBIC), np.float32) * tint.astype(np.float32)
