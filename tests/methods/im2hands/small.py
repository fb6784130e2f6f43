"""Im2Hands in miniature: the smallest sizes at which every part is there."""

from methods.im2hands.config import Im2HandsConfig

IMAGE = {
    "backbone": {"stem_stride": 2, "widths": [8, 12], "blocks": [1, 1]},
    "decoder_width": 8,
}
SIZE = 32


def small_config(**changes: dict) -> Im2HandsConfig:
    """``changes`` by section, e.g. ``refinement={"context": "without_other"}``."""
    sections = {
        "refiner": {"image": IMAGE, "map_channels": 8, "grid": 4, "grid_widths": (16, 16), "graph_width": 8},
        "initial": {
            "image": IMAGE,
            "attention": {"channels": 8, "grid": 4},
            "parts": {"hidden": 12},
            "queries": {"count": 64, "uniform_share": 0.2},
        },
        "refinement": {
            "image": IMAGE,
            "pixel_channels": 6,
            "anchors": {"count": 32, "resolution": 8, "refinements": 2},
            "first_width": 8,
            "width": 12,
            "kept": (16, 8),
            "neighbours": 4,
            "full_layers": 1,
            "query_width": 10,
            "query_neighbours": 3,
            "pool": 64,
            "queries": {"count": 32, "uniform_share": 0.2},
        },
        "extraction": {"resolution": 8, "refinements": 2, "box": "keypoints"},
    }
    merged = {name: {**section, **changes.get(name, {})} for name, section in sections.items()}
    return Im2HandsConfig(image_size_px=SIZE, **merged)
