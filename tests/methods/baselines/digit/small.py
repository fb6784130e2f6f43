"""A configuration of DIGIT that runs in milliseconds."""

SMALL: dict = {
    "image_size_px": 64,
    "backbone": {"kind": "residual", "widths": [8, 12], "blocks": [1, 1]},
    "map_channels": 8,
    "segmentation_channels": [6, 6],
    "fusion_channels": [4, 8],
    "unet_channels": [8, 12],
    "head_channels": [[8, 12], [12, 16]],
    "hidden": 16,
}
