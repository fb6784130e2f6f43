"""The mesh of two hands with their forearms, shaded as one: they shade and hide each other."""

import numpy as np
import torch
from torch import Tensor

from tasks.geometry.normals import vertex_normals
from tasks.hands.model_file import HandModelData
from tasks.hands.skeleton import MIRROR_POINT
from tasks.synthesis.arm import N_RINGS, Arm, arm_faces, arm_rings_m, lengthened
from tasks.synthesis.shading import BLOCKERS, Stage, arm_texels, openness, skin_texels

ARM_LONGER_M = 0.8
"""Beyond the forearm of a close-up: cameras all around look along arms, and shall not see their ends."""


class TwoHandStage(Stage):
    """Right hand, left hand, right forearm, left forearm: faces and texture coordinates are the same in every frame.

    Both hands wear one skin, both forearms one sleeve; no object.
    """

    def __init__(self, right: HandModelData, left: HandModelData) -> None:
        if right.wrist_loop is None or left.wrist_loop is None:
            raise ValueError(f"hand model '{right.name}' names no wrist loop")
        self.one_hand, self.loops = right.n_verts, (right.wrist_loop, left.wrist_loop)
        self.loop = right.wrist_loop
        self.n_hand_verts = 2 * right.n_verts
        rings = len(self.loop) * (N_RINGS - 1)
        self.object_first = self.n_hand_verts + 2 * rings
        parts = [
            right.faces,
            left.faces + right.n_verts,
            arm_faces(right.wrist_loop, self.n_hand_verts),
            arm_faces(left.wrist_loop + right.n_verts, self.n_hand_verts + rings),
        ]
        self.faces = torch.from_numpy(np.concatenate(parts))
        self.arm_face, self.object_face = len(right.faces) + len(left.faces), len(self.faces)
        forearm = arm_texels(len(self.loop))
        texels = [skin_texels(right), skin_texels(left), forearm, forearm]
        self.texels = torch.from_numpy(np.concatenate(texels).astype(np.float32))
        self.painted = right.vt is not None

    def verts(self, hands_m: np.ndarray, arms: tuple[Arm, Arm]) -> list[np.ndarray]:
        """Hand and forearm of each side, (V + rings, 3), from hands (2, V, 3) in their own axes."""
        whole = []
        for hand, (verts, loop, arm) in enumerate(zip(hands_m, self.loops, arms, strict=True)):
            mirror = MIRROR_POINT.astype(np.float64) if hand else np.ones(3)
            rings = lengthened(arm_rings_m(arm, verts[loop] * mirror), ARM_LONGER_M)
            whole.append(np.concatenate([verts, rings.reshape(-1, 3) * mirror]))
        return whole

    def ordered(self, whole: list[np.ndarray]) -> np.ndarray:
        """(V', 3) the vertices of both sides in the order of ``faces``."""
        n = self.one_hand
        return np.concatenate([whole[0][:n], whole[1][:n], whole[0][n:], whole[1][n:]])

    def _normals(self, verts_m: Tensor) -> Tensor:
        return vertex_normals(verts_m, self.faces)

    def _openness(self, verts_m: Tensor, normals: Tensor) -> Tensor:
        n_hand = self.n_hand_verts
        free = verts_m.new_ones((*verts_m.shape[:2], 1))
        hands = verts_m[:, :n_hand]
        free[:, :n_hand, 0] = openness(hands, normals[:, :n_hand], hands[:, ::BLOCKERS])
        return free
