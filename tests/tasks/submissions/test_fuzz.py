"""Any bytes and any damage to a valid file end in a RequestError or in a valid result, soon, and leave nothing."""

import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import RequestError
from tasks.ragged import Ragged, to_arrays
from tasks.submissions import diagnose, read_submission, write_submission
from tests.tasks.submissions.conftest import single, two_hands

SETS = {
    "freihand": single(2),
    "ho3d_v2": single(2, seed=1),
    "dexycb": single(2, left=True, frames=[4, 9]),
    "interhand26m": two_hands(3),
}
FILES = [
    ("freihand", "pred.json"),
    ("freihand", "pred.zip"),
    ("freihand", "own.npz"),
    ("ho3d_v2", "pred.json"),
    ("dexycb", "pred.txt"),
    ("dexycb", "own.npz"),
    ("interhand26m", "pred.npz"),
    ("interhand26m", "surfaces.npz"),
]
SHARDS = st.sampled_from(
    [b"[", b"]", b",", b"[[", b"]]", b"[],", b"NaN", b"null", b'"', b"{}", b"1e999", b"-", b".", b"0", b" " * 99,
     b"\n", b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY", b"'descr': '|O'", b"True", b"\xff" * 4, b"\0" * 8, b"9" * 99]
)  # fmt: skip


def free_surfaces():
    """Triangles; the second frame has none."""
    counts = np.array([[1, 2], [0, 0], [0, 1]])
    verts = Ragged(np.full((12, 3), 0.5), 3 * counts)
    return {"surface_verts_cam_m": verts, "surface_faces": Ragged(np.tile(np.arange(3), (4, 1)), counts)}


def valid_files():
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for layout, name in FILES:
            dataset = SETS[layout]
            fields = {k: np.round(v, 3) for k, v in dataset.fields().items()}
            fields["verts_cam_m"] = fields["verts_cam_m"][..., :8, :] if layout != "interhand26m" else None
            fields = {k: v for k, v in fields.items() if v is not None}
            if name == "surfaces.npz":
                fields |= free_surfaces()
            write_submission(Path(folder) / name, layout, fields, dataset)
            files[layout, name] = (Path(folder) / name).read_bytes()
    return files


VALID = valid_files()


def refusal(function, *arguments):
    """The result, or None and the reason."""
    try:
        return function(*arguments), ""
    except RequestError as error:
        return None, str(error)


def judge(layout, name, content):
    """Reads a file; whatever it says, the result is whole or the error is one line, and the folder is clean."""
    dataset = SETS[layout]
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / name).write_bytes(content)
        fields, reason = refusal(read_submission, folder / name, layout, dataset, folder / "scratch")
        assert "\n" not in reason
        assert len(reason) < 600
        if fields is None:
            assert [p.name for p in folder.iterdir()] == [name]
            return None
        assert all(len(values) == len(dataset.ids) for values in fields.values())
        arrays = to_arrays(fields)
        assert {values.dtype.name for values in arrays.values()} <= {"float64", "int64"}
        assert "\n" not in refusal(diagnose, fields, layout, dataset)[1]
        return {key: np.array(values) for key, values in arrays.items()}
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(("layout", "name"), FILES)
def test_the_files_that_are_damaged_below_are_valid(layout, name):
    assert judge(layout, name, VALID[layout, name]) is not None


@given(st.sampled_from(FILES), st.binary(max_size=300))
def test_any_bytes_are_refused(which, content):
    assert judge(*which, content) is None


@given(st.sampled_from(FILES), st.data())
def test_any_damage_ends_well(which, data):
    content = bytearray(VALID[which])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        length = data.draw(st.one_of(st.integers(0, 8), st.integers(0, len(content))))
        content[at : at + length] = data.draw(st.one_of(SHARDS, st.binary(max_size=12)))
    judge(*which, bytes(content))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@given(
    JSON_VALUES,
    st.sampled_from([(), (0,), (0, 1), (0, 1, 3), (0, 1, 3, 2), (1,), (1, 0), (1, 0, 4), (1, 0, 4, 1)]),
)
def test_any_json_in_any_place_ends_well(value, path):
    lists = json.loads(VALID["freihand", "pred.json"])
    if path:
        place = lists
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
    content = json.dumps(lists if path else value)
    fields = judge("freihand", "pred.json", content.encode())
    if fields is not None:
        np.testing.assert_array_equal(fields["joints_cam_m"], json.loads(content)[0])


DTYPES = st.sampled_from(["<f8", ">f4", "<i2", "<u8", "|S3", "<U2", "|b1", "<c16", "<M8[s]", "f8,f8"])
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 8, 21, 63, 778]), max_size=4)


@given(st.dictionaries(st.sampled_from(["joints_cam_m", "verts_cam_m", "ids", "handedness", "x"]),
                       st.tuples(DTYPES, SHAPES), max_size=3), st.booleans(), st.booleans())  # fmt: skip
def test_any_arrays_end_well(arrays, fortran, with_joints):
    with tempfile.TemporaryDirectory() as folder:
        made = {
            name: np.zeros(shape, dtype, order="F" if fortran else "C")
            for name, (dtype, shape) in arrays.items()
            if np.prod(shape) < 10**6
        }
        if with_joints:
            made["joints_cam_m"] = np.zeros((2, 21, 3))
        np.savez(Path(folder) / "a.npz", **made)
        judge("freihand", "own.npz", (Path(folder) / "a.npz").read_bytes())


@given(
    st.sampled_from([name for name in FILES if name[1].endswith(("zip", "npz"))]),
    st.data(),
)
def test_any_header_of_an_archive_ends_well(which, data):
    """Single bytes of the table of contents and of the members' own headers."""
    content = bytearray(VALID[which])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.zip").write_bytes(content)
        with zipfile.ZipFile(Path(folder) / "a.zip") as archive:
            starts = [member.header_offset for member in archive.infolist()] + [archive.start_dir]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 200))
        content[min(at, len(content) - 1)] = data.draw(st.integers(0, 255))
    judge(*which, bytes(content))
