"""The hand-object task's scores: an object reconstructed from a clip, the hand that holds it, and both together.

``clip`` says what a clip's truth and prediction are, ``scoring`` measures one against the other by DiffHOI's protocols
(``objects`` holds the object's part).
"""

from tasks.hand_object.clip import ClipTruth
from tasks.hand_object.scoring import score

__all__ = ["ClipTruth", "score"]
