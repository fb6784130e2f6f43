"""Procedural pictures: smooth noise, patterned surfaces for objects and cloth, and scenes for backgrounds.

Everything is drawn from small random grids that PIL enlarges, which is fast and smooth.
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """(size, size) float32 of standard deviation about one, smooth at the scale of size / cells."""
    grid = rng.normal(0, 1, (cells + 3, cells + 3)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((size, size), BICUBIC, (1, 1, cells + 2, cells + 2)))


def fractal_noise(
    rng: np.random.Generator, size: int, first: int, octaves: int, gain: float = 0.55
) -> np.ndarray:
    """(size, size) float32, a sum of smooth noises of rising frequency."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = min(first * 2**octave, size)
        total += gain**octave * smooth_noise(rng, size, cells)
    return total


def random_colour(rng: np.random.Generator, saturation: float = 0.6) -> np.ndarray:
    """(3,) sRGB in [0, 1]: any hue, mostly muted."""
    hue, vivid, value = rng.random(), rng.beta(1.2, 2.0) * saturation / 0.6, rng.uniform(0.15, 0.95)
    return np.array(colorsys.hsv_to_rgb(hue, min(vivid, 1.0), value), dtype=np.float32)


def surface(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size, 3) float32 sRGB: a printed or plain surface, for objects and cloth. It repeats to the right."""
    picture = np.broadcast_to(random_colour(rng, 0.9), (size, size, 3)).copy()
    row, column = np.mgrid[0:size, 0:size] / size
    kind = rng.integers(5)
    if kind == 1:  # rings
        picture[np.sin(2 * np.pi * rng.integers(2, 9) * row) > rng.uniform(-0.4, 0.7)] = random_colour(
            rng, 0.9
        )
    elif kind == 2:  # stripes along
        picture[np.sin(2 * np.pi * rng.integers(2, 9) * column) > rng.uniform(-0.4, 0.7)] = random_colour(
            rng, 0.9
        )
    elif kind == 3:  # checks
        n = rng.integers(2, 7)
        picture[(np.sin(2 * np.pi * n * column) * np.sin(2 * np.pi * n * row)) > 0] = random_colour(rng, 0.9)
    elif kind == 4:  # a label with lines of print
        low, high = sorted(rng.uniform(0.15, 0.85, 2))
        picture[(row > low) & (row < high)] = random_colour(rng, 0.9)
        lines = (np.sin(2 * np.pi * 14 * row) > 0.3) & (row > low + 0.05) & (row < high - 0.05)
        picture[lines & (smooth_noise(rng, size, 12) > 0)] = random_colour(rng, 0.3)
    picture *= 1 + 0.05 * fractal_noise(rng, size, 6, 3)[..., None]
    return np.clip(picture, 0.02, 1).astype(np.float32)


def scene(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size, 3) uint8 sRGB: gradients, texture at several scales, clutter, and the blur of a short focus."""
    palette = [random_colour(rng) for _ in range(5)]
    picture = _ground(rng, size, palette)
    image = Image.fromarray(np.clip(picture * 255, 0, 255).astype(np.uint8))
    for _ in range(int(rng.integers(0, 3))):
        image = _clutter(rng, image, palette)
        if rng.random() < 0.6:
            image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 5)))
    grain = fractal_noise(rng, size, size // 6, 3)[..., None] * rng.uniform(1, 6)
    shade = smooth_noise(rng, size, 2)[..., None] * rng.uniform(0.02, 0.14)
    lit = np.asarray(image, dtype=np.float32) * (1 + shade) + grain
    return np.clip(lit, 0, 255).astype(np.uint8)


def _ground(rng: np.random.Generator, size: int, palette: list[np.ndarray]) -> np.ndarray:
    """One or two textured planes that meet at a horizon."""
    picture = _plane(rng, size, palette[0], palette[1])
    if rng.random() < 0.6:
        row, column = np.mgrid[0:size, 0:size] / size - 0.5
        tilt, height = rng.normal(0, 0.25), rng.uniform(-0.3, 0.35)
        edge = np.clip((row - height - tilt * column) * size / rng.uniform(1, 12) + 0.5, 0, 1)[..., None]
        picture = picture * (1 - edge) + _plane(rng, size, palette[2], palette[3]) * edge
    return picture


def _plane(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(size, size, 3) float32: two colours mixed by noise, wood grain, tiles or weave."""
    row, column = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle = rng.uniform(0, np.pi)
    across = row * np.cos(angle) + column * np.sin(angle)
    kind = rng.integers(4)
    mix = fractal_noise(rng, size, int(rng.integers(2, 6)), 5, rng.uniform(0.4, 0.75))
    if kind == 1:  # wood: noise stretched along the grain
        mix = np.sin(2 * np.pi * rng.uniform(3, 14) * across + 1.5 * mix) + 0.3 * mix
    elif kind == 2:  # tiles
        along = column * np.cos(angle) - row * np.sin(angle)
        n = rng.uniform(3, 12)
        joints = np.maximum(np.cos(2 * np.pi * n * across), np.cos(2 * np.pi * n * along))
        mix = 0.5 * mix + 2 * np.clip((joints - 0.93) * 20, 0, 1)
    elif kind == 3:  # a smooth wall
        mix = 0.4 * smooth_noise(rng, size, 2) + 0.06 * mix
    weight = np.clip(0.5 + rng.uniform(0.15, 0.5) * mix, 0, 1)[..., None]
    return first * (1 - weight) + second * weight


def _clutter(rng: np.random.Generator, image: Image.Image, palette: list[np.ndarray]) -> Image.Image:
    """Shapes upon the picture: things on a table, leaves, frames."""
    draw, size = ImageDraw.Draw(image), image.width
    for _ in range(int(rng.integers(2, 9))):
        own = palette[rng.integers(len(palette))] if rng.random() < 0.5 else random_colour(rng, 0.8)
        fill = tuple(int(255 * c) for c in own)
        centre, half = rng.uniform(0, size, 2), size * rng.uniform(0.03, 0.22) * rng.uniform(0.4, 1.0, 2)
        box = [*(centre - half), *(centre + half)]
        kind = rng.integers(4)
        if kind == 0:
            draw.ellipse(box, fill=fill)
        elif kind == 1:
            draw.rounded_rectangle(box, radius=half.min() * rng.uniform(0, 0.8), fill=fill)
        elif kind == 2:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
            corners = centre + half * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            draw.polygon([(float(x), float(y)) for x, y in corners], fill=fill)
        else:
            end = centre + rng.normal(0, size / 3, 2)
            draw.line([*centre, *end], fill=fill, width=int(rng.integers(1, max(2, size // 16))))
    return image
