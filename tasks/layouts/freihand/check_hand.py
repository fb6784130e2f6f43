"""Checks that FreiHAND's annotations are those of a right hand, and that mesh, joints and parameters are of one hand.

With the hand model that the data were made with, the orientation of the mesh's surface tells left from right in every
pose. Whether the model in use is that one shows in the mesh: only with the right topology are its edges short. Without
it, the bend of the fingers and the place of the thumb decide, where they are clear.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.layouts.base import Problem
from tasks.layouts.freihand.annotations import split_mano
from tasks.layouts.freihand.table import Table, sound_together

if TYPE_CHECKING:
    from tasks.hands.hand import HandModel

LONGEST_EDGE_M = 0.04
"""An edge of a hand mesh is at most half as long; one between unrelated vertices spans centimetres."""
CLEARLY_LEFT = -0.3
"""Bound of ``right_evidence``; over sampled poses of right hands its smallest value is about zero."""
JOINT_TOLERANCE_M = 0.01
DECODE_TOLERANCE_M = 0.01
"""Version 1 of FreiHAND differs from its own parameters by up to 6 mm."""
CHUNK = 512
LEFT = "is a left hand: only right hands are allowed"


def check_hands(tables: dict[str, Table]) -> Iterator[Problem]:
    """Every left hand of one split, and every record whose mesh, joints and parameters disagree."""
    with np.errstate(all="ignore"):
        if "verts" in tables and tables["verts"].sound.any():
            model = _MatchingHand.find(tables["verts"])
            if model:
                yield from _check_with_model(model, tables)
        if "xyz" in tables:
            yield from tables["xyz"].drop(right_evidence(tables["xyz"].rows) < CLEARLY_LEFT, LEFT)


def _check_with_model(model: "_MatchingHand", tables: dict[str, Table]) -> Iterator[Problem]:
    verts = tables["verts"]
    yield from verts.drop(_by_chunk(model.signed_volume_m3, verts.rows) < 0, LEFT)
    if "xyz" in tables:
        at = sound_together(verts, tables["xyz"])
        error = _by_chunk(model.joint_error_m, verts.rows[at], tables["xyz"].rows[at])
        yield from tables["xyz"].drop_at(
            at[error > JOINT_TOLERANCE_M], "the joints are not those of the mesh"
        )
    if "mano" in tables:
        at = sound_together(verts, tables["mano"])
        error = _by_chunk(model.decode_error_m, verts.rows[at], tables["mano"].rows[at])
        yield from tables["mano"].drop_at(
            at[~(error <= DECODE_TOLERANCE_M)], "the parameters do not give the mesh"
        )


def _by_chunk(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
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
class _MatchingHand:
    """The loaded hand model, known to have the data's topology."""

    model: "HandModel"

    @classmethod
    def find(cls, verts: Table) -> "_MatchingHand | None":
        """The right hand in use, if the meshes have its topology."""
        from tasks.hands.hand import load_hand  # torch is slow to import; a folder without meshes needs none

        model = load_hand("right")
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

    def joint_error_m(self, verts_m: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
        """(n,) largest distance of a joint from where FreiHAND's rule puts it on the mesh."""
        expected = self.model.joint_regressor21("freihand").numpy() @ verts_m
        return np.linalg.norm(expected - joints_m, axis=-1).max(axis=1)

    def decode_error_m(self, verts_m: np.ndarray, mano: np.ndarray) -> np.ndarray:
        """(n,) mean distance between the posed model and the mesh, both about their mean vertex."""
        import torch

        pose, betas = (torch.from_numpy(part.astype(np.float32)) for part in split_mano(mano))
        with torch.no_grad():
            posed = self.model(pose, betas)[0].numpy()
        difference = posed - posed.mean(axis=1, keepdims=True) - verts_m + verts_m.mean(axis=1, keepdims=True)
        return np.linalg.norm(difference, axis=-1).mean(axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
