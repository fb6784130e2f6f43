"""Texture of a predicted hand: rendered at the image's own resolution and compared under two mask policies."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from tasks.errors import RequestError
from tasks.geometry.rasteriser import interpolate, rasterise
from tasks.image_cache import map_threads
from tasks.metrics import texture
from tasks.metrics.lpips import load_lpips
from tasks.single_hand.dataset import HandDataset

CHUNK = 16
TRUE_MASK = ("psnr_db", "ssim", "texture_l1", "lpips")
PRED_MASK = tuple(f"{name}_pred_mask" for name in TRUE_MASK)
FLAT = "psnr_flat_db"
PIXEL_METRICS = frozenset({*TRUE_MASK, *PRED_MASK, FLAT})

Compare = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Rendered and true image (B, 3, H, W) and a mask (B, H, W) -> (B,)."""


def texture_columns(
    predicted: Mapping[str, Tensor], dataset: HandDataset, indices: Tensor, faces: Tensor
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Columns (n,) of the texture metrics that apply, and the reasons of those that do not.

    ``predicted`` holds finite fields for the positions ``indices``, ``vertex_rgb`` among them. The true mask is the
    layout's; in a split that stores none (FreiHAND's test split) it is the silhouette of the true mesh, which includes
    what an object in front covers.
    """
    comparisons, reasons = _comparisons()
    if "flat_rgb" not in predicted:
        reasons[FLAT] = "no mean skin colour"
    masks_are_stored = dataset.stores_masks
    names = [name for name in (*TRUE_MASK, FLAT, *PRED_MASK) if name not in reasons]
    columns = {name: torch.full((len(indices),), torch.nan, dtype=torch.float64) for name in names}
    for start in range(0, len(indices), CHUNK):
        rows = torch.arange(start, min(start + CHUNK, len(indices)))
        chunk = {name: values[rows] for name, values in predicted.items()}
        image, mask, intrinsics_px = load_native(dataset, indices[rows])
        if not masks_are_stored:
            mask = silhouettes(
                dataset.truth(indices[rows])[1], faces, intrinsics_px, (mask.shape[1], mask.shape[2])
            )
        measured = _compare(chunk, image, mask, intrinsics_px, faces, comparisons)
        for name in names:
            columns[name][rows] = measured[name]
    return columns, reasons


def render_colours(
    verts_cam_m: Tensor, vertex_rgb: Tensor, faces: Tensor, intrinsics_px: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Unlit render of vertex colours on black: image (B, 3, H, W) float32 and silhouette (B, H, W)."""
    fragments = rasterise(verts_cam_m.float(), faces, intrinsics_px.float(), size)
    colours = interpolate(fragments, faces, vertex_rgb.float().clamp(0, 1))
    return (colours * fragments.mask[..., None]).permute(0, 3, 1, 2), fragments.mask


def silhouettes(verts_cam_m: Tensor, faces: Tensor, intrinsics_px: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) bool: the pixels that see the mesh."""
    return rasterise(verts_cam_m.float(), faces, intrinsics_px.float(), size).mask


def load_native(dataset: HandDataset, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 3, H, W) in [0, 1], masks (B, H, W), all False where none is stored, and intrinsics (B, 3, 3)."""
    images, masks, intrinsics_px = zip(*map_threads(dataset.native, indices.tolist()), strict=True)
    if len({image.shape for image in images}) > 1:
        first = dataset.ids[int(indices[0])]
        raise RequestError(f"images of different sizes near '{first}': expected one size per split.")
    filled = [
        np.zeros(image.shape[:2], bool) if m is None else m for image, m in zip(images, masks, strict=True)
    ]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return pixels, torch.from_numpy(np.stack(filled)), torch.from_numpy(np.stack(intrinsics_px))


def _comparisons() -> tuple[dict[str, Compare], dict[str, str]]:
    """The comparisons that can be made on this machine, and why the others cannot."""
    found: dict[str, Compare] = {"psnr_db": texture.psnr_db, "ssim": texture.ssim, "texture_l1": texture.l1}
    lpips = load_lpips()
    if lpips is None:
        return found, dict.fromkeys(("lpips", "lpips_pred_mask"), "no LPIPS weights")
    return found | {"lpips": lpips.masked}, {}


def _compare(
    predicted: Mapping[str, Tensor],
    image: Tensor,
    mask: Tensor,
    intrinsics_px: Tensor,
    faces: Tensor,
    comparisons: Mapping[str, Compare],
) -> dict[str, Tensor]:
    """Render a chunk at once, then compare each sample on its own box, where everything fits the CPU's cache."""
    size = (image.shape[2], image.shape[3])
    verts_cam_m, colours = predicted["verts_cam_m"], predicted["vertex_rgb"]
    rendered, silhouette = render_colours(verts_cam_m, colours, faces, intrinsics_px, size)
    flat_rgb = predicted.get("flat_rgb", torch.zeros(len(image), 3)).float().clamp(0, 1)
    flat = silhouette[:, None] * flat_rgb[:, :, None, None]
    samples = []
    for i in range(len(image)):
        rows, columns = _bounds(mask[i] | silhouette[i])
        true, painted, one_colour = (x[i : i + 1, :, rows, columns] for x in (image, rendered, flat))
        hand, own = (x[i : i + 1, rows, columns] for x in (mask, silhouette))
        measured = {name: compare(painted, true, hand) for name, compare in comparisons.items()}
        measured |= {
            f"{name}_pred_mask": compare(painted, true, own) for name, compare in comparisons.items()
        }
        samples.append(measured | {FLAT: texture.psnr_db(one_colour, true, hand)})
    return {name: torch.cat([sample[name] for sample in samples]) for name in samples[0]}


def _bounds(mask: Tensor) -> tuple[slice, slice]:
    """Rows and columns of the box around a mask (H, W), never empty; nothing outside it is compared."""
    bounds = []
    for across in (1, 0):
        used = torch.nonzero(mask.any(dim=across)).flatten()
        bounds.append(slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1))
    return bounds[0], bounds[1]
