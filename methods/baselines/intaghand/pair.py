"""What both hand models say of a pair of meshes: joints, roots, faces. Hands are right, then left."""

import torch
from torch import Tensor, nn

from methods.baselines.intaghand.hierarchy import surface_coordinates
from tasks.hands.hand import HandModel, load_hand
from tasks.hands.skeleton import MIDDLE_MCP, WRIST
from tasks.two_hands.dataset import TIPS


class HandPair(nn.Module):
    """Constants of both hand models; it owns no parameter and leaves nothing in a checkpoint."""

    joint_regressors: Tensor
    """(2, 21, V)."""
    faces: Tensor
    """(2, F, 3)."""
    both_faces: Tensor
    """(2 F, 3): those of both meshes as one, the left hand's vertices after the right one's."""
    coordinates: Tensor
    """(V, 3) in [0, 1]."""

    def __init__(self, right: HandModel) -> None:
        super().__init__()
        hands = (right, load_hand("left").cpu())
        faces = torch.stack([hand.faces for hand in hands])
        constants = {
            "joint_regressors": torch.stack([hand.joint_regressor21(TIPS) for hand in hands]),
            "faces": faces,
            "both_faces": torch.cat([faces[0], faces[1] + right.n_verts]),
            "coordinates": surface_coordinates(right),
        }
        for name, value in constants.items():
            self.register_buffer(name, value.clone(), persistent=False)

    def joints(self, verts_m: Tensor) -> Tensor:
        """(B, 2, V, 3) -> (B, 2, 21, 3) by each side's regressor."""
        return self.joint_regressors @ verts_m

    def roots(self, verts_m: Tensor) -> Tensor:
        """(B, 2, V, 3) -> (B, 2, 1, 3): the base of the middle finger."""
        return self.joints(verts_m)[:, :, MIDDLE_MCP, None]


def mean_palm(joints_m: Tensor) -> Tensor:
    """(B, 2, 21, 3) -> (B,): from the wrist to the middle base, the mean of both hands."""
    return (joints_m[:, :, MIDDLE_MCP] - joints_m[:, :, WRIST]).norm(dim=-1).mean(1)
