import pickle
from pathlib import Path

import numpy as np

from tasks.layouts.ho3d.files import meta_path
from tasks.layouts.ho3d.writer import write_meta


def test_equal_annotations_have_equal_bytes_wherever_their_arrays_come_from(tmp_path: Path) -> None:
    made = {"handPose": np.arange(3.0), "handTrans": np.ones(3), "objName": "mug", "handBeta": None}
    sent = {"handPose": pickle.loads(pickle.dumps(made["handPose"])), **{k: made[k] for k in list(made)[1:]}}
    assert sent["handPose"].dtype is not made["handTrans"].dtype
    written = []
    for frame, meta in (("MC1/0000", made), ("MC1/0001", sent)):
        meta_path(tmp_path, "train", frame).parent.mkdir(parents=True, exist_ok=True)
        write_meta(tmp_path, "train", frame, meta)
        written.append(meta_path(tmp_path, "train", frame).read_bytes())
    assert written[0] == written[1]
