"""A configuration of AMVUR that runs in milliseconds."""

SMALL: dict = {
    "image_size_px": 64,
    "backbone": {"widths": [8, 12, 16], "blocks": [1, 1, 1], "features": 32, "pooling": "grid"},
    "prior": {"hidden": 16, "initial_std_mm": 20, "rotation": "six_d"},
    "regressor": {"coarse_verts": 40, "widths": [16, 12, 8], "outputs": [16, 12], "layers": 1, "heads": 4},
    "texture": {
        "width": 8, "heads": 2, "layers": 1, "feed_forward": 16, "global_features": 4, "render_px": 32,
        "visibility_px": 64, "vertices": "coarse",
    },
}  # fmt: skip
