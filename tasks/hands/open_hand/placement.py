"""Where the vertices of a given anatomy are: rings cast from the bones, palm rows relaxed on the surface."""

import numpy as np

from tasks.hands.open_hand.anatomy import LONG_FINGERS, Anatomy, Digit, unit
from tasks.hands.open_hand.surface import HandSurface
from tasks.hands.open_hand.topology import CHAIN, PALM_COLUMNS, WRIST_ROWS, Layout, hand_layout

_FINGER_ANGLES = np.deg2rad([145, 109, 71, 35, 0, -35, -71, -109, -145, 180])
"""Of a finger's ring around the bone, from the radial side towards the back: ulnar back corner first."""
_THUMB_ANGLES = np.deg2rad(-48.0 - 30.0 * np.arange(12))
_ROOT_SHARE = 0.47
"""Where the webs are, as a share of the first phalanx."""
_ROOT_TILT_MM, _FIRST_RING_TILT_MM = 4.5, 2.0
"""The webs slope: their dorsal edge lies nearer to the knuckle."""
_ROW_SHARES = (0.0, 0.16, 0.33, 0.48, 0.63, 0.78)
"""Palm rows between the finger roots and the wrist, before relaxation."""
_WRIST_ROW_X_MM = (-5.0, 7.0, 19.0)
_WRIST_AIM_X_MM = 10.0


def place_vertices(anatomy: Anatomy, rounds: int) -> np.ndarray:
    """(778, 3) vertices in mm, construction order, before ``size``; ``rounds`` of palm relaxation."""
    layout, surface = hand_layout(), HandSurface(anatomy)
    verts = np.zeros((layout.n_verts, 3))
    _place_roots(verts, anatomy, layout, surface)
    for name in LONG_FINGERS:
        _place_finger(verts, anatomy, layout, surface, name)
    _place_thumb(verts, anatomy, layout, surface)
    _place_palm(verts, layout, surface)
    return _relaxed(verts, layout, surface, rounds)


def _finger_ring(
    surface: HandSurface, name: str, digit: Digit, along_mm: float, tilt_mm: float
) -> np.ndarray:
    """(10, 3) where rays across a straight finger leave it; ``tilt`` leans the ring back over the knuckle."""
    along, back, radial = digit.frame(0)
    centre = digit.base + along * along_mm
    rays = np.cos(_FINGER_ANGLES)[:, None] * radial + np.sin(_FINGER_ANGLES)[:, None] * back
    origins = centre - along * (np.sin(_FINGER_ANGLES) * tilt_mm)[:, None]
    return surface.cast(origins, rays, (name,))


def _place_roots(verts: np.ndarray, anatomy: Anatomy, layout: Layout, surface: HandSurface) -> None:
    """The loop around the finger roots: shared vertices lie halfway between the fingers that share them."""
    total, count = np.zeros_like(verts), np.zeros(len(verts))
    for name in CHAIN:
        digit = anatomy.digits[name]
        ring = _finger_ring(surface, name, digit, _ROOT_SHARE * digit.lengths[0], _ROOT_TILT_MM)
        np.add.at(total, layout.roots[name], ring)
        np.add.at(count, layout.roots[name], 1)
    placed = count > 0
    verts[placed] = total[placed] / count[placed, None]


def _place_finger(
    verts: np.ndarray, anatomy: Anatomy, layout: Layout, surface: HandSurface, name: str
) -> None:
    """Rings at the joints and 5 mm either side, then a dome of three rings around the tip ball."""
    digit = anatomy.digits[name]
    first, second, _ = digit.lengths
    middle, end = first, first + second
    places = [0.66 * first, middle - 5.0, middle, middle + 5.0, middle + 0.52 * second]
    places += [end - 4.2, end, end + 4.2]
    if name == "pinky":
        places.remove(middle + 0.52 * second)
    *tube, equator, low, high = layout.rings[name]
    for k, (ids, place) in enumerate(zip(tube, places, strict=True)):
        verts[ids] = _finger_ring(surface, name, digit, place, _FIRST_RING_TILT_MM if k == 0 else 0.0)
    along, back, radial = digit.frame(2)
    rays = np.cos(_FINGER_ANGLES)[:, None] * radial + np.sin(_FINGER_ANGLES)[:, None] * back
    _place_dome(verts, surface, name, digit, rays, {0.0: equator, 32.0: low, 62.0: high})
    verts[layout.apex[name]] = surface.cast(digit.tip_centre[None], along[None], (name,))[0]


def _place_dome(
    verts: np.ndarray, surface: HandSurface, name: str, digit: Digit, rays: np.ndarray, rings: dict
) -> None:
    """Rings around the tip ball, each cast at an elevation in degrees above its equator."""
    origins = np.tile(digit.tip_centre, (len(rays), 1))
    for elevation, ids in rings.items():
        angle = np.deg2rad(elevation)
        tilted = np.cos(angle) * rays + np.sin(angle) * digit.directions[2]
        verts[ids] = surface.cast(origins, tilted, (name,))


def _place_thumb(verts: np.ndarray, anatomy: Anatomy, layout: Layout, surface: HandSurface) -> None:
    """Rings across the chain of bones, tilted halfway at the joints, then a dome of two rings."""
    digit = anatomy.digits["thumb"]
    metacarpal, phalanx, _ = digit.lengths
    places = [(0, 0.62 * metacarpal), (0, metacarpal - 6.5), (1, 0.0), (1, 7.0), (1, 0.55 * phalanx)]
    places += [(1, phalanx - 5.5), (2, 0.0), (2, 6.5)]
    *tube, low, high = layout.rings["thumb"]
    for ids, (bone, place) in zip(tube, places, strict=True):
        across = digit.directions[bone]
        if place == 0.0:
            across = unit(across + digit.directions[bone - 1])
        centre = digit.joints[bone] + digit.directions[bone] * place
        verts[ids] = surface.cast(np.tile(centre, (12, 1)), _thumb_rays(across), ("thumb",))
    rays = _thumb_rays(digit.directions[2])
    _place_dome(verts, surface, "thumb", digit, rays, {8.0: low, 50.0: high})
    verts[layout.apex["thumb"]] = surface.cast(digit.tip_centre[None], digit.directions[2:], ("thumb",))[0]


def _thumb_rays(across: np.ndarray) -> np.ndarray:
    """(12, 3) rays around a thumb bone, turned so that they meet the opening's corners in the palm."""
    to_index = np.array([-1.0, 0.15, -0.75])
    to_index = unit(to_index - across * (to_index @ across))
    to_palm = np.array([0.1, -1.0, -0.3])
    to_palm = unit(to_palm - across * (to_palm @ across) - to_index * (to_palm @ to_index))
    return np.cos(_THUMB_ANGLES)[:, None] * to_index + np.sin(_THUMB_ANGLES)[:, None] * to_palm


def _wrist_ring(surface: HandSurface, count: int, x_mm: float) -> np.ndarray:
    """(count, 3) a ring around the forearm's axis, from the ulnar side over the back."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rays = np.stack([np.zeros(count), np.sin(angles), -np.cos(angles)], 1)
    origins = np.tile([x_mm, 0.0, 0.0], (count, 1))
    return surface.cast(origins, rays, (), palm=True)


def _place_palm(verts: np.ndarray, layout: Layout, surface: HandSurface) -> None:
    """Rows between the finger roots and the wrist, on straight lines; relaxation bends them onto the surface."""
    roots = verts[[i for i in layout.rows[0] if i is not None]]
    wrist = _wrist_ring(surface, PALM_COLUMNS, _WRIST_AIM_X_MM)
    for row, share in zip(layout.rows[1:], _ROW_SHARES[1:], strict=True):
        for column, i in enumerate(row):
            if i is not None:
                verts[i] = (1 - share) * roots[column] + share * wrist[column]
    for ids, count, x_mm in zip(layout.wrist_rows, WRIST_ROWS, _WRIST_ROW_X_MM, strict=True):
        verts[ids] = _wrist_ring(surface, count, x_mm)


def _relaxed(verts: np.ndarray, layout: Layout, surface: HandSurface, rounds: int) -> np.ndarray:
    """Move palm vertices towards the mean of their neighbours and back onto the surface, again and again."""
    speed = np.zeros(len(verts))
    speed[[i for row in layout.rows[1:] for i in row if i is not None]] = 0.6
    speed[[i for row in layout.wrist_rows[:-1] for i in row]] = 0.6
    speed[[i for i in layout.rows[0] if i is not None]] = 0.25
    speed[layout.webs] = 0.15
    for name in LONG_FINGERS:
        speed[layout.rings[name][0]] = 0.25
    for ring in layout.rings["thumb"][:2]:
        speed[ring] = 0.6
    free = np.flatnonzero(speed)
    mean = layout.neighbour_mean()[free]
    for _ in range(rounds):
        verts[free] += speed[free, None] * (mean @ verts - verts[free])
        verts[free] = surface.project(verts[free], steps=2, max_step_mm=8.0)
    return verts
