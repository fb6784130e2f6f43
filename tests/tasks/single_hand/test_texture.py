import numpy as np
import pytest
import torch

from tasks.registry import PROTOCOLS
from tasks.single_hand import HandDataset, SingleHand
from tasks.single_hand.texture import render_colours

PROTOCOL = PROTOCOLS["freihand"]
COUNT = 4


@pytest.fixture(scope="module")
def task():
    return SingleHand()


@pytest.fixture(scope="module")
def painted(make_samples, task):
    """Images that are the true mesh painted with known vertex colours, and those colours."""
    samples = make_samples(count=COUNT, versions=1)
    verts = torch.from_numpy(samples.verts_m)
    intrinsics = torch.from_numpy(samples.intrinsics_px).float()
    colours = 0.65 + 0.25 * torch.sin(80 * (verts - verts.mean(1, keepdim=True)))
    rendered, seen = render_colours(verts, colours, task.faces, intrinsics, (224, 224))
    background = torch.full_like(rendered, 0.2)
    image = torch.where(seen[:, None], rendered, background)
    pixels = (255 * image).round().byte().permute(0, 2, 3, 1).numpy()
    samples.image, samples.mask = pixels.__getitem__, seen.numpy().__getitem__
    return HandDataset(samples, np.arange(COUNT), 64), samples, colours.numpy()


def scored(task, painted, colours, shift_m=(0, 0, 0), flat=True):
    dataset, samples, _ = painted
    predictions = {
        "joints_cam_m": samples.joints_m + np.array(shift_m, np.float32),
        "verts_cam_m": samples.verts_m + np.array(shift_m, np.float32),
        "vertex_rgb": colours,
    }
    if flat:
        predictions["flat_rgb"] = colours.mean(1)
    return task.score(PROTOCOL, predictions, dataset, np.arange(COUNT))


def test_the_true_texture_differs_by_the_images_rounding_only(task, painted):
    columns = scored(task, painted, painted[2]).columns
    assert (columns["psnr_db"] > 55).all()
    assert (columns["ssim"] > 0.999).all()
    assert (columns["texture_l1"] < 1 / 255).all()
    np.testing.assert_array_equal(columns["psnr_db"], columns["psnr_db_pred_mask"])


def test_a_texture_beats_its_own_mean_colour_on_the_same_geometry(task, painted):
    for shift_m in ((0, 0, 0), (0.004, -0.003, 0)):
        columns = scored(task, painted, painted[2], shift_m).columns
        assert (columns["psnr_db"] > columns["psnr_flat_db"]).all()


def test_the_flat_reference_is_that_colour_painted_on_every_vertex(task, painted):
    flat = np.repeat(painted[2].mean(1, keepdims=True), 778, 1)
    reference = scored(task, painted, painted[2], (0.004, 0, 0)).columns["psnr_flat_db"]
    columns = scored(task, painted, flat, (0.004, 0, 0)).columns
    np.testing.assert_allclose(columns["psnr_db"], reference, rtol=1e-5)


def test_without_a_mean_colour_the_reference_does_not_apply(task, painted):
    scores = scored(task, painted, painted[2], flat=False)
    assert scores.not_applicable["psnr_flat_db"] == "no mean skin colour"
    assert "psnr_db" in scores.columns


def test_misplaced_geometry_costs_more_on_the_true_mask_than_on_its_own(task, painted):
    """Where the prediction is missing the render is black, which only the true mask punishes."""
    columns = scored(task, painted, painted[2], (0.01, 0, 0)).columns
    assert (columns["psnr_db"] < 20).all()
    assert columns["psnr_db"].mean() < columns["psnr_db_pred_mask"].mean()


def test_a_split_without_masks_compares_on_the_true_meshs_silhouette(task, painted):
    _, samples, colours = painted
    with_masks = scored(task, painted, colours, (0.004, 0, 0)).columns
    stored = samples.mask
    try:
        samples.mask = lambda index: None
        without = scored(task, painted, colours, (0.004, 0, 0)).columns
    finally:
        samples.mask = stored
    for name in ("psnr_db", "ssim", "texture_l1", "psnr_flat_db"):
        np.testing.assert_array_equal(without[name], with_masks[name])


def test_a_mask_below_two_hundred_pixels_is_counted_as_undefined(task, painted, make_samples):
    samples = make_samples(count=3, versions=1)
    tiny = np.zeros((224, 224), bool)
    tiny[:10, :19] = True
    whole = samples.mask
    samples.mask = lambda index: tiny if index == 1 else whole(index)
    dataset = HandDataset(samples, np.arange(3), 64)
    predictions = {
        "joints_cam_m": samples.joints_m,
        "verts_cam_m": samples.verts_m,
        "vertex_rgb": np.full((3, 778, 3), 0.5),
    }
    columns = task.score(PROTOCOL, predictions, dataset, np.arange(3)).columns
    assert np.isnan(columns["psnr_db"]).tolist() == [False, True, False]
    assert np.isnan(columns["ssim"]).tolist() == [False, True, False]
    assert np.isfinite(columns["psnr_db_pred_mask"]).all()


def test_colours_that_are_not_finite_leave_texture_undefined_and_geometry_alone(task, painted):
    colours = painted[2].copy()
    colours[1, 0, 0] = np.nan
    columns = scored(task, painted, colours, flat=False).columns
    assert np.isnan(columns["psnr_db"]).tolist() == [False, True, False, False]
    assert np.isfinite(columns["mpjpe_mm"]).all()
