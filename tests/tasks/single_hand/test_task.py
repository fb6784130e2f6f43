import numpy as np
import pytest
import torch

from tasks.single_hand import SingleHand


class MemoryLayout:
    """A layout whose splits are in memory."""

    def __init__(self, train, test):
        self.splits = {"train": train, "test": test}

    def split(self, name):
        return self.splits[name]


@pytest.fixture(scope="module")
def splits(make_samples):
    layout = MemoryLayout(make_samples(count=30, versions=4), make_samples(count=5, versions=1, seed=1))
    return SingleHand().open(layout, 64)


def test_every_training_image_is_in_one_of_train_and_val(splits):
    assert {name: len(dataset) for name, dataset in splits.items()} == {"train": 112, "val": 8, "test": 5}
    assert not set(splits["train"].ids) & set(splits["val"].ids)


def test_no_sample_is_trained_on_and_validated_with(splits):
    assert not set(splits["train"].clusters) & set(splits["val"].clusters)
    held_out = splits["val"].gather(torch.arange(len(splits["val"]))).betas
    trained = splits["train"].gather(torch.arange(len(splits["train"]))).betas
    assert torch.cdist(held_out, trained).min() > 0.01


def predictions_of(dataset, **more):
    joints, verts = dataset.truth(torch.arange(len(dataset)))
    return {"joints_cam_m": joints.numpy(), "verts_cam_m": verts.numpy(), **more}


def test_the_picture_has_a_row_per_sample_and_a_column_more_with_texture(splits):
    test = splits["test"]
    plain = SingleHand().renders(predictions_of(test), test, np.arange(5))
    rgb = np.full((5, 778, 3), 0.5, np.float32)
    textured = SingleHand().renders(predictions_of(test, vertex_rgb=rgb), test, np.arange(5))
    one = SingleHand().renders({n: v[:1] for n, v in predictions_of(test).items()}, test, np.arange(1))
    assert plain.height == textured.height
    assert textured.width > plain.width
    assert plain.height - one.height == 4 * (192 + 6)


def test_a_perfect_prediction_covers_the_same_pixels_as_the_truth(splits):
    test = splits["test"]
    picture = np.asarray(SingleHand().renders(predictions_of(test), test, np.arange(5))).astype(int)
    image, truth, prediction = (picture[:, 6 + 198 * column :][:, :192] for column in range(3))
    drawn = (np.abs(truth - image).sum(-1) > 0), (np.abs(prediction - image).sum(-1) > 0)
    assert drawn[0][40:].any()
    assert (drawn[0][30:] == drawn[1][30:]).mean() > 0.995


def test_a_prediction_that_is_not_finite_shows_the_bare_image(splits):
    test = splits["test"]
    broken = {name: np.full_like(values, np.nan) for name, values in predictions_of(test).items()}
    picture = np.asarray(SingleHand().renders(broken, test, np.arange(5)))
    np.testing.assert_array_equal(picture[26:218, 6 + 2 * 198 :][:, :192], picture[26:218, 6:198])


def test_pictures_are_the_same_bytes_each_time(splits):
    test = splits["test"]
    first, second = (SingleHand().renders(predictions_of(test), test, np.arange(5)) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_joints_without_a_mesh_are_drawn_as_bones_where_the_hand_is(splits):
    test = splits["test"]
    rows = torch.arange(2)
    joints_m, verts_m = (points.numpy() for points in test.truth(rows))
    with_mesh = SingleHand().renders({"joints_cam_m": joints_m, "verts_cam_m": verts_m}, test, rows)
    bones = SingleHand().renders({"joints_cam_m": joints_m}, test, rows)
    assert bones.size == with_mesh.size
    drawn, hand = (
        np.any(np.asarray(picture) != np.asarray(bare), axis=-1)
        for picture, bare in (
            (bones, SingleHand().renders({"joints_cam_m": joints_m * np.nan}, test, rows)),
            (
                with_mesh,
                SingleHand().renders({"joints_cam_m": joints_m, "verts_cam_m": verts_m * np.nan}, test, rows),
            ),
        )
    )
    assert 0.1 * hand.sum() < drawn.sum() < hand.sum()
    assert (drawn & hand).sum() > 0.9 * drawn.sum()
