"""The open hand: a procedural right hand in MANO's format, made by this package alone.

It is not MANO and is not fitted to it: errors on it cannot be compared with published numbers on real data. The room
reads in the order in which a hand is built: ``anatomy`` (bones), ``surface`` (flesh around them), ``topology`` (778
vertices on it), ``skinning``, ``shape_space``, ``correctives``, ``pose_space``, ``atlas`` (texture coordinates),
``build`` (all of it, into a file) and ``skin`` (textures). ``python -m tasks.hands.open_hand`` rebuilds the file.

Frame of the builder: MANO's axes in millimetres with the wrist joint at the origin: fingers along -x, back of the
hand towards +y, thumb towards +z.
"""

from pathlib import Path

OPEN_HAND_FILE = Path(__file__).parent / "open_hand_right.npz"
"""The shipped result."""
