"""Tells right hands from left ones, and whether the hand model in use is the one that meshes were made with.

With the right model, the orientation of the mesh's surface tells left from right in every pose. Whether the model in
use is that one shows in the mesh: only with the right topology are its edges short. Without it, the bend of the fingers
and the place of the thumb decide, where they are clear.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.layouts.decoding import hand_in_use, pose_hands
from tasks.layouts.table import Table

if TYPE_CHECKING:
    from tasks.hands.hand import HandModel

LONGEST_EDGE_M = 0.04
"""An edge of a hand mesh is at most half as long; one between unrelated vertices spans centimetres."""
CLEARLY_LEFT = -0.3
"""Bound of ``right_evidence``; over sampled poses of right hands its smallest value is about zero."""
CHUNK = 512
LEFT = "is a left hand: only right hands are allowed"


def by_chunk(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """(n,) the function over chunks of the arrays' rows, so that a full dataset fits into memory."""
    starts = range(0, len(arrays[0]), CHUNK)
    return np.concatenate([np.zeros(0), *(function(*(a[i : i + CHUNK] for a in arrays)) for i in starts)])


def right_evidence(joints_m: np.ndarray) -> np.ndarray:
    """(n,) positive for right hands, negative for their mirror images, from joints (n, 21, 3) alone.

    Fingers bend towards the palm (middle and end joints), and the thumb lies on the palm's side.
    """
    radial = joints_m[:, 5] - joints_m[:, 17]
    bones = _unit(np.diff(joints_m[:, 5:].reshape(-1, 4, 4, 3), axis=2))
    bend = (np.cross(bones[:, :, :-1], bones[:, :, 1:]) * _unit(radial)[:, None, None]).sum(axis=(1, 2, 3))
    wrist = joints_m[:, 0]
    palmar = _unit(np.cross(joints_m[:, 5] - wrist, joints_m[:, 17] - wrist))
    thumb_m = ((joints_m[:, 1:5].mean(axis=1) - wrist) * palmar).sum(axis=-1)
    return bend / 8 + thumb_m / 0.03


@dataclass(frozen=True)
class MatchingHand:
    """The loaded hand model, known to have the data's topology."""

    model: "HandModel"

    @classmethod
    def find(cls, verts: Table) -> "MatchingHand | None":
        """The right hand in use, if the meshes have its topology."""
        model = hand_in_use("right")
        some = verts.rows[np.flatnonzero(verts.sound)[:64]]
        if some.shape[1] != model.n_verts:
            return None
        corners = some[:, model.data.faces]
        edges = np.linalg.norm(corners - np.roll(corners, 1, axis=2), axis=-1)
        return cls(model) if np.median(edges.max(axis=(1, 2))) < LONGEST_EDGE_M else None

    def signed_volume_m3(self, verts_m: np.ndarray) -> np.ndarray:
        """(n,) the volume inside, its wrist closed by a fan from the loop's mean; negative for a mirrored mesh."""
        loop = self.model.data.wrist_loop
        centre = (verts_m if loop is None else verts_m[:, loop]).mean(axis=1, keepdims=True)
        a, b, c = np.moveaxis((verts_m - centre)[:, self.model.data.faces], 2, 0)
        return (np.cross(a, b) * c).sum(axis=(1, 2)) / 6

    def joint_error_m(self, verts_m: np.ndarray, joints_m: np.ndarray, tips: str = "freihand") -> np.ndarray:
        """(n,) largest distance of a joint from where the regressor and the tips put it on the posed mesh."""
        expected = self.model.joint_regressor21(tips).numpy() @ verts_m
        return np.linalg.norm(expected - joints_m, axis=-1).max(axis=1)

    def decode_error_m(self, verts_m: np.ndarray, pose_aa: np.ndarray, betas: np.ndarray) -> np.ndarray:
        """(n,) mean distance between the posed model and the mesh, both about their mean vertex."""
        posed = pose_hands(self.model, pose_aa, betas)[0]
        difference = posed - posed.mean(axis=1, keepdims=True) - verts_m + verts_m.mean(axis=1, keepdims=True)
        return np.linalg.norm(difference, axis=-1).mean(axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
