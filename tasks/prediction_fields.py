"""The fields of a prediction by task: the shape of one record of each, and the check that every scorer begins with."""

from collections.abc import Mapping

import numpy as np

from tasks.errors import RequestError, unknown_name

N_VERTS = 778
REQUIRED = "joints_cam_m"

Shape = tuple[int | None, ...]
"""The shape of one record; None is any number."""

SHAPES: dict[str, dict[str, Shape]] = {
    "single_hand": {
        "joints_cam_m": (21, 3),
        "verts_cam_m": (None, 3),
        "joints_log_var": (21, 3),
        "verts_log_var": (N_VERTS, 3),
        "vertex_rgb": (N_VERTS, 3),
        "flat_rgb": (3,),
    },
    "two_hands": {
        "joints_cam_m": (2, 21, 3),
        "verts_cam_m": (2, N_VERTS, 3),
        "relative_root_m": (3,),
        "handedness": (2,),
    },
}
"""Task -> field -> shape of one record. ``tasks.registry`` says what the fields mean."""


def check_shapes(fields: Mapping[str, np.ndarray], task: str, count: int) -> None:
    """Raise RequestError unless the joints are there, and every field is known and has ``count`` records."""
    shapes = SHAPES[task]
    if REQUIRED not in fields:
        raise RequestError(
            f"the predictions lack the field '{REQUIRED}': expected it, and what else there is."
        )
    for name, values in fields.items():
        if name not in shapes:
            raise unknown_name("prediction field", name, shapes)
        expected, shape = (count, *shapes[name]), np.shape(values)
        if len(shape) != len(expected) or any(
            e is not None and e != n for e, n in zip(expected, shape, strict=True)
        ):
            wanted = str(expected).replace("None", "V")
            raise RequestError(f"prediction field '{name}' has shape {shape}: expected {wanted}.")
