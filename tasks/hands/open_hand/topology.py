"""Which vertices there are and how they join: 778 vertices, 1538 triangles, one border of 16, by construction.

| part | vertices |
| --- | --- |
| finger roots: a loop of 28 around the top of the palm, and 3 web vertices inside it | 31 |
| palm rows 1, 2 (28 each), 3, 4 (26 each: the thumb's opening is 3 x 3 cells), 5 (28) | 136 |
| rows of 22 and 18, wrist loop of 16 | 56 |
| fingers: rings of 10 (11, 11, 11 and 10 of them) and an apex each | 434 |
| thumb: 10 rings of 12 and an apex | 121 |

Vertices are numbered here in the order of construction; ``mano_numbering`` gives the places of the customary ones.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy import sparse

from tasks.hands.skeleton import FINGERS, TIP_VERTICES, WRIST_LOOP

CHAIN = ("pinky", "ring", "middle", "index")
"""From the ulnar to the radial side."""
RINGS = {"index": 11, "middle": 11, "ring": 11, "pinky": 10, "thumb": 10}
RING_SIZE = {"index": 10, "middle": 10, "ring": 10, "pinky": 10, "thumb": 12}
PALM_COLUMNS = 28
THUMB_OPENING = {(row, column) for row in (3, 4) for column in (14, 15)}
WRIST_ROWS = (22, 18, 16)
N_VERTS, N_FACES = 778, 1538


@dataclass
class Layout:
    """Vertex numbers by place, and the polygons between them (outward, three or four corners)."""

    n_verts: int = 0
    polygons: list[tuple[int, ...]] = field(default_factory=list)
    rows: list[list[int | None]] = field(default_factory=list)
    """Palm rows 0 (finger roots) to 5; each starts on the ulnar side and runs over the back."""
    wrist_rows: list[list[int]] = field(default_factory=list)
    webs: list[int] = field(default_factory=list)
    """Between pinky and ring, ring and middle, middle and index."""
    roots: dict[str, list[int]] = field(default_factory=dict)
    """The loop of the palm that each digit stands on."""
    rings: dict[str, list[list[int]]] = field(default_factory=dict)
    apex: dict[str, int] = field(default_factory=dict)

    def take(self, count: int) -> list[int]:
        """The next vertex numbers."""
        self.n_verts += count
        return list(range(self.n_verts - count, self.n_verts))

    @property
    def wrist_loop(self) -> list[int]:
        """The 16 border vertices."""
        return self.wrist_rows[-1]

    def of_digit(self, name: str) -> np.ndarray:
        """(n,) the vertices of one digit's own rings and apex."""
        return np.array([i for ring in self.rings[name] for i in ring] + [self.apex[name]])

    def digit_of_vertex(self) -> np.ndarray:
        """(V,) 0 for the palm, 1 to 5 for thumb to pinky."""
        digit = np.zeros(self.n_verts, np.int64)
        for number, name in enumerate(FINGERS, start=1):
            digit[self.of_digit(name)] = number
        return digit

    def neighbour_mean(self) -> sparse.csr_matrix:
        """(V, V) matrix that averages over the vertices that share a polygon edge."""
        edges = {(a, b) for p in self.polygons for a, b in zip(p, (*p[1:], p[0]), strict=True)}
        edges |= {(b, a) for a, b in edges}
        start, end = np.array(sorted(edges)).T
        shape = (self.n_verts, self.n_verts)
        return sparse.csr_matrix((1.0 / np.bincount(start)[start], (start, end)), shape=shape)


@lru_cache
def hand_layout() -> Layout:
    """The layout of every open hand."""
    layout = Layout()
    _lay_roots(layout)
    _lay_palm(layout)
    for name in FINGERS:
        _lay_digit(layout, name)
    _lay_wrist(layout)
    return layout


def _lay_roots(layout: Layout) -> None:
    """The 28-loop around the finger roots; adjacent fingers share its corners and the web between them."""
    loop = layout.take(PALM_COLUMNS)
    layout.webs = layout.take(3)
    layout.rows.append(list(loop))
    for k, name in enumerate(CHAIN):
        back = loop[1 + 3 * k : 5 + 3 * k]
        front = loop[15 + 3 * (3 - k) : 19 + 3 * (3 - k)]
        ulnar = loop[0] if k == 0 else layout.webs[k - 1]
        radial = loop[14] if k == 3 else layout.webs[k]
        layout.roots[name] = [*back, radial, *front, ulnar]


def _lay_palm(layout: Layout) -> None:
    """Five rows below the roots, with the thumb's opening on the radial side."""
    for row in range(1, 6):
        columns = range(PALM_COLUMNS)
        layout.rows.append([None if (row, c) in THUMB_OPENING else layout.take(1)[0] for c in columns])
    for upper, lower in zip(layout.rows, layout.rows[1:], strict=False):
        for c in range(PALM_COLUMNS):
            d = (c + 1) % PALM_COLUMNS
            corners = (upper[c], upper[d], lower[d], lower[c])
            in_opening = upper in layout.rows[2:5] and c in (13, 14, 15)
            if not in_opening:
                layout.polygons.append(tuple(i for i in corners if i is not None))
    rows = layout.rows
    down, up = [(r, 13) for r in (2, 3, 4, 5)], [(r, 16) for r in (5, 4, 3, 2)]
    edge = [*down, (5, 14), (5, 15), *up, (2, 15), (2, 14)]
    layout.roots["thumb"] = [i for r, c in edge if (i := rows[r][c]) is not None]


def _lay_digit(layout: Layout, name: str) -> None:
    """A tube of rings on the digit's root, closed by a fan around the apex."""
    layout.rings[name] = [layout.take(RING_SIZE[name]) for _ in range(RINGS[name])]
    layout.apex[name] = layout.take(1)[0]
    below = layout.roots[name]
    for ring in layout.rings[name]:
        for (a, b), (c, d) in zip(_pairs(below), _pairs(ring), strict=True):
            layout.polygons.append((b, a, c, d))
        below = ring
    layout.polygons += [(b, a, layout.apex[name]) for a, b in _pairs(below)]


def _lay_wrist(layout: Layout) -> None:
    """From 28 columns to the wrist loop of 16 in three bands of triangles."""
    upper = [i for i in layout.rows[-1] if i is not None]
    for size in WRIST_ROWS:
        lower = layout.take(size)
        layout.wrist_rows.append(lower)
        layout.polygons += _zipper(upper, lower)
        upper = lower


def _zipper(upper: list[int], lower: list[int]) -> list[tuple[int, ...]]:
    """Triangles between two loops of different size: always advance on the loop that lags behind."""
    n, m = len(upper), len(lower)
    i = j = 0
    triangles: list[tuple[int, ...]] = []
    while i < n or j < m:
        if j >= m or (i < n and (i + 1) * m <= (j + 1) * n):
            triangles.append((upper[i % n], upper[(i + 1) % n], lower[j % m]))
            i += 1
        else:
            triangles.append((upper[i % n], lower[(j + 1) % m], lower[j % m]))
            j += 1
    return triangles


def _pairs(loop: list[int]) -> list[tuple[int, int]]:
    """Consecutive pairs of a cycle."""
    return list(zip(loop, [*loop[1:], loop[0]], strict=True))


def triangulate(verts: np.ndarray) -> np.ndarray:
    """(1538, 3) triangles: quads split by their shorter diagonal on this (the default) shape."""
    faces: list[tuple[int, ...]] = []
    for polygon in hand_layout().polygons:
        if len(polygon) == 3:
            faces.append(polygon)
            continue
        a, b, c, d = polygon
        shorter = np.linalg.norm(verts[a] - verts[c]) <= 1.02 * np.linalg.norm(verts[b] - verts[d])
        faces += [(a, b, c), (a, c, d)] if shorter else [(a, b, d), (b, c, d)]
    return np.array(faces, np.int64)


def mano_numbering() -> np.ndarray:
    """(778,) construction number of each published vertex: tips and wrist loop have the customary numbers.

    The apexes take smplx's tip numbers and their neighbours in the last ring those of the other conventions.
    """
    layout = hand_layout()
    customary: dict[int, int] = dict(zip(WRIST_LOOP, layout.wrist_loop[::-1], strict=True))
    for k, name in enumerate(FINGERS):
        numbers = list(dict.fromkeys(tips[k] for tips in (TIP_VERTICES["smplx"], *TIP_VERTICES.values())))
        customary |= dict(zip(numbers, [layout.apex[name], *layout.rings[name][-1]], strict=False))
    taken = set(customary.values())
    rest = iter(i for i in range(N_VERTS) if i not in taken)
    return np.array([customary[i] if i in customary else next(rest) for i in range(N_VERTS)])
