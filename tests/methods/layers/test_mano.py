import copy

import torch

from methods.layers.mano import ManoDecoder, decode_rotation
from methods.layers.rotations import axis_angle_to_matrix
from tasks.hands.hand import HandModel
from tasks.single_hand.batch import HandBatch


def test_true_parameters_give_the_true_hand(hand: HandModel, batch: HandBatch) -> None:
    decoder = ManoDecoder(hand)
    rotation = axis_angle_to_matrix(batch.pose_aa[:, :3])
    verts, joints = decoder(rotation, batch.pose_aa[:, 3:] + hand.hands_mean, batch.betas)
    wrist = batch.joints_cam_m[:, :1]
    torch.testing.assert_close(verts, batch.verts_cam_m - wrist, atol=1e-5, rtol=0)
    torch.testing.assert_close(joints, batch.joints_cam_m - wrist, atol=1e-5, rtol=0)


def test_joints_are_regressed_from_the_vertices(hand: HandModel) -> None:
    decoder = ManoDecoder(hand, 12)
    pose = decoder.hand_pose(torch.randn(3, 12, generator=torch.Generator().manual_seed(0)))
    verts, joints = decoder(decode_rotation(torch.zeros(3, 6)), pose, torch.zeros(3, 10))
    regressed = hand.joints_from_verts(verts)
    torch.testing.assert_close(joints, regressed - regressed[:, :1], atol=1e-6, rtol=0)


def test_all_components_reach_every_pose(hand: HandModel) -> None:
    decoder = ManoDecoder(hand, 45)
    wanted = torch.randn(2, 45, generator=torch.Generator().manual_seed(1))
    coefficients = (wanted - hand.hands_mean) @ torch.linalg.inv(decoder.components)
    torch.testing.assert_close(decoder.hand_pose(coefficients), wanted, atol=1e-5, rtol=0)


def test_a_decoder_leaves_nothing_of_the_hand_model_in_a_checkpoint(hand: HandModel) -> None:
    decoder = ManoDecoder(hand)
    assert decoder.state_dict() == {}
    assert not list(decoder.parameters())
    assert decoder.hand is not hand
    copy.deepcopy(decoder)


def test_zero_is_the_same_rotation_in_both_forms() -> None:
    for size in (3, 6):
        torch.testing.assert_close(
            decode_rotation(torch.zeros(1, size))[0], torch.diag(torch.tensor([1.0, -1, -1]))
        )
