"""From regressed parameters to a wrist-relative MANO mesh and its 21 joints."""

import copy

import torch
from torch import Tensor, nn

from methods.layers.rotations import axis_angle_to_matrix, six_d_to_matrix
from tasks.hands.hand import HandModel

ROTATION_SIZES = {"axis_angle": 3, "six_d": 6}


class ManoDecoder(nn.Module):
    """The hand model behind a regressor; it owns no parameter and leaves nothing in a checkpoint.

    Joints are regressed from the posed vertices (FreiHAND's rule), so joints and vertices always agree.
    """

    components: Tensor
    joint_regressor: Tensor

    def __init__(self, hand: HandModel, n_components: int = 45) -> None:
        super().__init__()
        self.hand = copy.deepcopy(hand)
        components = torch.as_tensor(hand.data.hands_components[:n_components], dtype=torch.float32)
        self.register_buffer("components", components, persistent=False)
        self.register_buffer("joint_regressor", hand.joint_regressor21().clone(), persistent=False)

    def hand_pose(self, coefficients: Tensor) -> Tensor:
        """(B, n) coefficients on the pose basis -> (B, 45) axis-angle, ``hands_mean`` included."""
        return coefficients @ self.components + self.hand.hands_mean

    def forward(self, rotation: Tensor, hand_pose_aa: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Rotation (B, 3, 3), pose (B, 45) with the mean included, betas (B, 10).

        Returns wrist-relative metres: verts (B, V, 3), joints (B, 21, 3).
        """
        pose_aa = torch.cat([torch.zeros_like(hand_pose_aa[:, :3]), hand_pose_aa], 1)
        verts, _ = self.hand(pose_aa, betas, flat_hand_mean=True)
        joints = self.joint_regressor @ verts
        wrist = joints[:, :1]
        return (verts - wrist) @ rotation.mT, (joints - wrist) @ rotation.mT


def decode_rotation(raw: Tensor) -> Tensor:
    """(B, 3) axis-angle or (B, 6) offsets from two columns of the identity -> (B, 3, 3).

    The hand is first turned by pi about x, so that zero is fingers along -x and palm up in an OpenCV camera
    (AMVUR and S2HAND do the same).
    """
    turned = torch.diag(raw.new_tensor([1.0, -1.0, -1.0]))
    if raw.shape[-1] == ROTATION_SIZES["axis_angle"]:
        return axis_angle_to_matrix(raw) @ turned
    identity = raw.new_tensor([1.0, 0, 0, 0, 1, 0])
    return six_d_to_matrix(raw + identity) @ turned
