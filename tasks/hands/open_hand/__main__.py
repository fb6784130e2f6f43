"""``python -m tasks.hands.open_hand [FILE]``: build the open hand and write it, over the shipped file by default."""

import sys
from pathlib import Path

from tasks.hands.model_file import write_npz
from tasks.hands.open_hand import OPEN_HAND_FILE
from tasks.hands.open_hand.build import build_open_hand


def main() -> None:
    """Build, write, say where."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else OPEN_HAND_FILE
    model = build_open_hand()
    write_npz(model, target)
    print(f"{target}: {model.name}, {model.n_verts} vertices, {len(model.faces)} faces, {model.fingerprint}")


if __name__ == "__main__":
    main()
