"""Files that mean harm or were damaged: one clear line each, in little time and memory, and nothing left behind."""

import io
import json
import os
import re
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from tasks.errors import RequestError
from tasks.submissions import read_submission, write_submission

SECONDS, BYTES = 3.0, 64 * 2**20


@pytest.fixture
def refused(tmp_path):
    """Asserts that a file is refused with a line that fits the pattern."""

    def check(file, layout, dataset, pattern):
        before = sorted(tmp_path.rglob("*"))
        tracemalloc.start()
        started = time.process_time()
        with pytest.raises(RequestError) as error:
            read_submission(file, layout, dataset, tmp_path / "scratch")
        seconds, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        message = str(error.value)
        assert re.search(pattern, message), message
        assert "\n" not in message
        assert len(message) < 400 + len(str(file))
        assert seconds < SECONDS
        assert peak < BYTES
        assert sorted(tmp_path.rglob("*")) == before

    return check


def good_lists(dataset):
    fields = dataset.fields()
    return [fields["joints_cam_m"].tolist(), fields["verts_cam_m"].tolist()]


def damaged(change):
    """JSON text after a change of its lists."""

    def make(dataset):
        lists = good_lists(dataset)
        lists = change(lists) or lists
        return json.dumps(lists).encode()

    return make


def put(*path_and_value):
    *path, value = path_and_value

    def change(lists):
        for key in path[:-1]:
            lists = lists[key]
        lists[path[-1]] = value

    return damaged(change)


def text(change):
    return lambda dataset: change(json.dumps(good_lists(dataset)).encode())


JSON = {
    "nan": (put(0, 2, 5, 1, float("nan")), r"joints of record 2 \('evaluation/00000002'\): holds 'NaN'"),
    "infinity": (put(1, 1, 700, 0, float("-inf")), r"vertices of record 1 .*: holds 'Infinity'"),
    "null number": (put(0, 0, 0, 0, None), r"record 0 .*holds 'null'"),
    "true": (put(0, 0, 0, 0, True), r"record 0 .*holds 'true'"),
    "string": (put(0, 3, 0, 0, "0.1"), r"record 3 .*holds '\"0.1\""),
    "object": (put(0, 3, 0, {"x": 1}), r"record 3 .*holds '{"),
    "null record": (put(0, 3, None), r"record 3 of the joints.*'\[|record 3 of the joints .*'n' stands"),
    "too large": (text(lambda t: t.replace(b"[[[", b"[[[1e999, ", 1)), r"record 0"),
    "huge integer": (put(0, 1, 2, 2, 10**4000), r"record 1 .*no number"),
    "endless integer": (text(lambda t: t.replace(b"[[[", b"[[[" + b"9" * 5000, 1)), r"record 0 .*"),
    "ragged": (put(0, 1, 2, [1.0, 2.0]), r"record 1 .*no array of 21 x 3"),
    "too few joints": (put(0, 1, [[1.0, 2.0, 3.0]] * 20), r"record 1 .*shape \(20, 3\): \(21, 3\) expected"),
    "two numbers": (put(0, 1, [[1.0, 2.0]] * 21), r"record 1 .*\(21, 2\)"),
    "flat record": (put(0, 1, [0.5] * 63), r"record 1 "),
    "empty record": (put(0, 1, []), r"record 1 "),
    "empty mesh": (put(1, 0, [[]]), r"record 0 "),
    "vertices vary": (put(1, 2, [[1.0, 2.0, 3.0]] * 777), r"vertices of record 2 .*\(777, 3\): \(778, 3\)"),
    "too many vertices": (put(1, 0, [[1, 2, 3]] * 4000), r"vertices of record 0 .*\(4000, 3\)"),
    "deeper": (put(0, 1, 0, 0, [1.0]), r"record 1 "),
    "one too few": (
        damaged(lambda x: x[0].pop() and None),
        r"holds 3 records of joints: 4 expected.*00000003",
    ),
    "one mesh too few": (damaged(lambda x: x[1].pop() and None), r"3 records of vertices: 4 expected"),
    "one too many": (damaged(lambda x: x[0].append(x[0][0])), r"more than the 4 records of joints"),
    "no vertices": (damaged(lambda x: x[:1]), r"list of vertices .*expected where '\]' stands"),
    "third list": (damaged(lambda x: [*x, []]), r"end of the list .*expected where ',' stands"),
    "an object": (lambda d: b'{"xyz": []}', r"the list \[joints, vertices\] was expected where '{' stands"),
    "empty": (lambda d: b"", r"where the end of the file stands"),
    "empty lists": (lambda d: b"[[], []]", r"holds 0 records of joints"),
    "truncated": (text(lambda t: t[: len(t) // 2]), r"the file ends in it"),
    "truncated at the end": (text(lambda t: t[:-1]), r"where the end of the file stands"),
    "goes on": (text(lambda t: t + b"[]"), r"end of the file was expected where '\['"),
    "byte order mark": (text(lambda t: b"\xef\xbb\xbf" + t), r"xef"),
    "utf-16": (text(lambda t: t.decode().encode("utf-16")), r"xff"),
    "not text": (lambda d: bytes(range(256)) * 100, r"\[joints, vertices\]"),
    "deep": (lambda d: b"[" * 10**6, r"record 0 "),
    "deep and closed": (lambda d: b"[[" + b"[" * 500 + b"]" * 500 + b"]]", r"record 0"),
    "space": (lambda d: b"[" + b" " * 10**7 + b"]", r"white space"),
    "one endless number": (lambda d: b"[[[[0." + b"1" * 10**7, r"no end within"),
    "space in a record": (lambda d: b"[[[[0.1" + b" " * 10**7, r"no end within"),
    "10^7 records": (lambda d: b"[[" + b"[[0,0,0]]," * 10**6, r"record 0 "),
    "10^7 numbers": (
        lambda d: b"[[" + b",".join([b"[" + b",".join([b"[0,0,0]"] * 21) + b"]"] * 50000),
        "more than",
    ),
    "10^6 brackets": (lambda d: b"[[[" + b"[]," * 10**6, r"record 0 "),
    "split number": (text(lambda t: t.replace(b"0.", b"0 .", 1)), r"record 0 "),
    "leading zero": (text(lambda t: t.replace(b"[[[", b"[[[00", 1)), r"record 0 "),
}


@pytest.mark.parametrize("name", JSON)
def test_bad_json_is_refused(name, refused, small, tmp_path):
    make, pattern = JSON[name]
    (tmp_path / "pred.json").write_bytes(make(small))
    refused(tmp_path / "pred.json", "freihand", small, pattern)


def archive(*members, **options):
    """A zip file's bytes; each member is (ZipInfo or name, content)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content, **options)
    return out.getvalue()


def link(target):
    info = zipfile.ZipInfo("pred.json")
    info.external_attr = 0o120777 << 16
    return archive((info, target))


def encrypted(content):
    """The flag of encryption in both headers."""
    data = bytearray(archive(("pred.json", content)))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    return bytes(data)


def bomb(size):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file, file.open("pred.json", "w") as stream:
        stream.write(b"[[")
        for _ in range(size // 2**20):
            stream.write(b"[" * 2**20)
    return out.getvalue()


def crowded():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for i in range(3000):
            file.writestr(str(i), b"")
    return out.getvalue()


ZIPS = {
    "nothing": (lambda j: archive(), "nothing|no zip"),
    "two files": (lambda j: archive(("pred.json", j), ("b.json", j)), r"holds 'pred.json', 'b.json': expected one"),
    "no json": (lambda j: archive(("pred.txt", j)), "expected one JSON file"),
    "a folder": (lambda j: archive(("out/pred.json", j)), "lies in a folder"),
    "a path upwards": (lambda j: archive(("../../pred.json", j)), "lies in a folder"),
    "a path from the root": (lambda j: archive(("/tmp/pred.json", j)), "lies in a folder"),
    "a windows path": (lambda j: archive(("..\\pred.json", j)), "lies in a folder"),
    "a zip inside": (lambda j: archive(("pred.zip", archive(("pred.json", j)))), "expected one JSON"),
    "a zip called json": (lambda j: archive(("pred.json", archive(("pred.json", j)))), "where 'P' stands"),
    "a link": (lambda j: link("/etc/passwd"), "is a link"),
    "encrypted": (encrypted, "is encrypted"),
    "bzip2": (lambda j: archive(("pred.json", j), compress_type=zipfile.ZIP_BZIP2), "unusual"),
    "lzma": (lambda j: archive(("pred.json", j), compress_type=zipfile.ZIP_LZMA), "unusual"),
    "3000 members": (lambda j: crowded(), "3000 members"),
    "truncated": (lambda j: archive(("pred.json", j))[:-100], "no zip archive|damaged"),
    "half": (lambda j: archive(("pred.json", j))[:5000], "no zip archive"),
    "damaged": (lambda j: (a := archive(("pred.json", j)))[:500] + b"xxxx" + a[504:], "damaged|record"),
    "bomb": (lambda j: bomb(2**28), "record 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPS)
def test_bad_archives_are_refused(name, refused, small, tmp_path):
    make, pattern = ZIPS[name]
    (tmp_path / "pred.zip").write_bytes(make(json.dumps(good_lists(small)).encode()))
    refused(tmp_path / "pred.zip", "freihand", small, pattern)


def test_an_archive_of_zeros_passes_although_it_is_small(small, tmp_path):
    """The official baseline packs by a factor of several hundred: what counts is what comes out."""
    zeros = [np.zeros((4, 21, 3)).tolist(), np.zeros((4, 778, 3)).tolist()]
    (tmp_path / "pred.zip").write_bytes(archive(("pred.json", json.dumps(zeros))))
    read = read_submission(tmp_path / "pred.zip", "freihand", small, tmp_path / "s")
    assert not any(values.any() for values in read.values())


def npy(descr="<f8", shape=(4, 21, 3), order=False, content=None, version=b"\x01\x00"):
    header = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    content = np.zeros((4, 21, 3)).tobytes() if content is None else content
    return b"\x93NUMPY" + version + length + header + content


def npz(**arrays):
    return archive(*((f"{name}.npy", content) for name, content in arrays.items()))


def saved(**arrays):
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def ids(*names):
    return saved(joints_cam_m=np.zeros((4, 21, 3)), ids=np.array(names))


NAMES = [f"evaluation/{i:08d}" for i in range(4)]
NPZ = {
    "objects": (lambda: saved(joints_cam_m=np.array([{}] * 4)), r"holds object|promises"),
    "pickled": (
        lambda: npz(joints_cam_m=npy("|O", (1,), content=b"cos\nsystem\n(S'false'\ntR.")),
        "holds object",
    ),
    "structure": (lambda: saved(joints_cam_m=np.zeros(4, [("x", "f8", (21, 3))])), "expected numbers"),
    "complex": (lambda: saved(joints_cam_m=np.zeros((4, 21, 3), complex)), "expected numbers"),
    "dates": (lambda: saved(joints_cam_m=np.zeros((4, 21, 3), "M8[s]")), "expected numbers"),
    "bools": (lambda: saved(joints_cam_m=np.zeros((4, 21, 3), bool)), "expected numbers"),
    "strings": (lambda: saved(joints_cam_m=np.full((4, 21, 3), "0.1")), "expected float64"),
    "long doubles": (lambda: saved(joints_cam_m=np.zeros((4, 21, 3), np.longdouble)), "expected float64"),
    "count": (lambda: saved(joints_cam_m=np.zeros((3, 21, 3))), r"shape \(3, 21, 3\): expected \(4, 21, 3\)"),
    "flat": (lambda: saved(joints_cam_m=np.zeros((4, 63))), r"shape \(4, 63\)"),
    "scalar": (lambda: saved(joints_cam_m=np.float64(1)), r"shape \(\)"),
    "too many vertices": (
        lambda: saved(joints_cam_m=np.zeros((4, 21, 3)), verts_cam_m=np.zeros((4, 4000, 3))),
        "V",
    ),
    "unknown field": (
        lambda: saved(joint_cam_m=np.zeros((4, 21, 3))),
        "'joint_cam_m'.*did you mean 'joints_cam_m'",
    ),
    "no joints": (lambda: saved(verts_cam_m=np.zeros((4, 778, 3))), "lacks the field 'joints_cam_m'"),
    "empty": (lambda: archive(), "lacks|no zip"),
    "no arrays": (lambda: archive(("joints_cam_m.txt", b"1")), "expected arrays"),
    "twice": (lambda: archive(("joints_cam_m.npy", npy()), ("joints_cam_m.npy", npy())), "twice"),
    "path": (lambda: archive(("../joints_cam_m.npy", npy())), "lies in a folder"),
    "no npy": (lambda: npz(joints_cam_m=b"12345678901234567890"), "no array"),
    "nothing": (lambda: npz(joints_cam_m=b""), "no array"),
    "promises more": (lambda: npz(joints_cam_m=npy(shape=(4, 21, 30))), "promises 20160 bytes"),
    "promises 10^18": (lambda: npz(joints_cam_m=npy(shape=(10**6, 10**6, 10**6))), "promises"),
    "promises too many digits": (lambda: npz(joints_cam_m=npy(shape=(10**50, 3))), "promises"),
    "negative": (lambda: npz(joints_cam_m=npy(shape=(-4, -21, 3))), "promises|header"),
    "holds more": (lambda: npz(joints_cam_m=npy(content=b"x" * 10**6)), "promises 2016 bytes"),
    "long header": (lambda: npz(joints_cam_m=b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31)), "no array"),
    "version 9": (lambda: npz(joints_cam_m=npy(version=b"\x09\x00")), "no array"),
    "header is code": (lambda: npz(joints_cam_m=npy(descr="__import__('os')")), "header"),
    "header is deep": (
        lambda: npz(joints_cam_m=npy().replace(b"(4, 21, 3)", b"(" * 10)),
        "header|promises",
    ),
    "broken descr": (lambda: npz(joints_cam_m=npy(descr="q9")), "header"),
    "ids twice": (
        lambda: ids(*NAMES[:3], NAMES[0]),
        r"'evaluation/00000000' is there twice, in records 0 and 3",
    ),
    "ids unknown": (lambda: ids(*NAMES[:3], "x"), r"record 3 has the unknown id 'x'"),
    "ids too few": (lambda: ids(*NAMES[:3]), r"'ids' has shape \(3,\): expected \(4,\)"),
    "ids numbers": (lambda: ids(1, 2, 3, 4), "'ids' holds int64: expected strings"),
    "ids long": (lambda: ids("x" * 1000, "b", "c", "d"), "'ids' holds"),
    "ids broken": (lambda: npz(joints_cam_m=npy(), ids=npy("<U1", (4,), content=b"\xff" * 16)), "id"),
    "damaged": (
        lambda: (a := archive(("joints_cam_m.npy", npy()), compress_type=0))[:900] + b"x" + a[901:],
        "damaged",
    ),
    "crowded": (crowded, "3000 members"),
    "no archive": (lambda: b"joints", "no zip archive"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", NPZ)
def test_bad_npz_is_refused(name, refused, small, tmp_path):
    make, pattern = NPZ[name]
    (tmp_path / "own.npz").write_bytes(make())
    refused(tmp_path / "own.npz", "freihand", small, pattern)


def lines(change):
    def make(good):
        rows = good.decode().splitlines()
        return "\n".join(change(rows) or rows).encode()

    return make


TEXTS = {
    "missing": (lines(lambda r: r.pop(1) and None), r"lacks 1 of 4 records, the first is '8'"),
    "twice": (lines(lambda r: r.__setitem__(1, r[0])), r"'7' is there twice, in records 0 and 1"),
    "unknown": (lines(lambda r: r.__setitem__(1, "5" + r[1][1:])), r"unknown id '5'"),
    "too many": (lines(lambda r: r.append(r[0])), "more than the 4 lines"),
    "62 numbers": (lines(lambda r: r.__setitem__(2, r[2].rsplit(",", 1)[0])), "line 3: has 63 elements"),
    "10^6 columns": (lines(lambda r: r.__setitem__(2, ",".join(["1.5"] * 10**6))), "line 3: is longer|bytes"),
    "10^5 columns": (lambda g: b"7," + b"1," * 5000, "line 1: is longer"),
    "spaces": (lines(lambda r: r.__setitem__(0, r[0].replace(",", " "))), "line 1: has 1 element"),
    "nan": (
        lines(lambda r: r.__setitem__(1, "8," + ",".join(["nan"] * 63))),
        r"line 2 \(image 8\): holds something",
    ),
    "word": (lines(lambda r: r.__setitem__(1, "8," + ",".join(["x"] * 63))), r"line 2 \(image 8\)"),
    "too large": (lines(lambda r: r.__setitem__(1, "8," + ",".join(["1e999"] * 63))), r"line 2 \(image 8\)"),
    "underscore": (lines(lambda r: r.__setitem__(1, "8," + ",".join(["1_0"] * 63))), r"line 2 \(image 8\)"),
    "name": (lines(lambda r: r.__setitem__(0, "a" + r[0])), "line 1: begins with 'a7'"),
    "negative": (lines(lambda r: r.__setitem__(0, "-" + r[0])), "line 1: begins with '-7'"),
    "digits": (lines(lambda r: r.__setitem__(0, "9" * 1000 + r[0])), "line 1: begins with"),
    "arabic digits": (lines(lambda r: r.__setitem__(0, "\u0663" + r[0][1:])), "line 1: begins with"),
    "byte order mark": (lambda g: b"\xef\xbb\xbf" + g, "line 1: begins with"),
    "empty": (lambda g: b"", "lacks 4 of 4"),
    "blank line": (lines(lambda r: r.insert(1, "")), "line 2: has 1 element"),
    "a zip": (lambda g: archive(("pred.txt", g)), "line 1"),
    "zeros": (lambda g: b"\0" * 10**6, "holds 1000000 bytes|line 1"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_bad_text_is_refused(name, refused, make_single, tmp_path):
    dataset = make_single(4, frames=[7, 8, 10, 11])
    write_submission(tmp_path / "pred.txt", "dexycb", dataset.fields(), dataset)
    make, pattern = TEXTS[name]
    (tmp_path / "pred.txt").write_bytes(make((tmp_path / "pred.txt").read_bytes()))
    refused(tmp_path / "pred.txt", "dexycb", dataset, pattern)


INTERHAND = {
    "42 joints": (
        {"joint_coord": np.zeros((3, 21, 3))},
        r"'joint_coord' has shape \(3, 21, 3\): expected \(3, 42, 3\)",
    ),
    "no types": ({"hand_type": None}, "lacks the field 'hand_type'"),
    "both forms": ({"joints_cam_m": np.zeros((3, 2, 21, 3))}, "unknown prediction field 'joints_cam_m'"),
    "root of two": ({"rel_root_depth": np.zeros((3, 2))}, "'rel_root_depth' has shape"),
}


@pytest.mark.parametrize("name", INTERHAND)
def test_bad_official_interhand_files_are_refused(name, refused, make_two_hands, tmp_path):
    change, pattern = INTERHAND[name]
    arrays = {
        "joint_coord": np.zeros((3, 42, 3)),
        "rel_root_depth": np.zeros(3),
        "hand_type": np.zeros((3, 2)),
    }
    np.savez(tmp_path / "own.npz", **{k: v for k, v in (arrays | change).items() if v is not None})
    refused(tmp_path / "own.npz", "interhand26m", make_two_hands(3), pattern)


SURFACES = {
    "no counts": ({"surface_faces_counts": None}, "lacks the field 'surface_faces_counts': expected both"),
    "no rows": ({"surface_verts_cam_m": None}, "lacks the field 'surface_verts_cam_m': expected both"),
    "points of two numbers": (
        {"surface_verts_cam_m": np.zeros((6, 2))},
        r"shape \(6, 2\): expected \(N, 3\)",
    ),
    "faces of floats": ({"surface_faces": np.zeros((3, 3))}, "'surface_faces' holds float64: expected int64"),
    "counts of floats": ({"surface_faces_counts": np.ones((3, 2))}, "holds float64: expected int64"),
    "counts of one hand": (
        {"surface_faces_counts": np.ones((3, 1), int)},
        r"shape \(3, 1\): expected \(3, 2\)",
    ),
    "counts of fewer rows": (
        {"surface_faces_counts": np.eye(3, 2, dtype=int)},
        "has 3 rows and its counts add up to 2",
    ),
    "counts below zero": (
        {"surface_faces_counts": np.array([[4, -1], [0, 0], [0, 0]])},
        r"record 0 of 'surface_faces_counts' is \[4, -1\]: expected 0 to 2,000,000",
    ),
    "counts without end": (
        {"surface_faces_counts": np.array([[1, 1], [1, 0], [2**64 - 1, 1]], np.uint64)},
        r"record 2 of 'surface_faces_counts' is \[-1, 1\]",
    ),
    "counts that overflow": (
        {"surface_faces_counts": np.array([[3, 0], [2**62, 2**62], [2**62, 2**62]])},
        "record 1 of 'surface_faces_counts'",
    ),
}


@pytest.mark.parametrize("name", SURFACES)
def test_bad_free_surfaces_are_refused(name, refused, make_two_hands, tmp_path):
    change, pattern = SURFACES[name]
    arrays = {
        "joints_cam_m": np.zeros((3, 2, 21, 3)),
        "surface_verts_cam_m": np.zeros((6, 3)),
        "surface_verts_cam_m_counts": np.ones((3, 2), int),
        "surface_faces": np.zeros((3, 3), int),
        "surface_faces_counts": np.array([[1, 0], [1, 0], [1, 0]]),
    }
    np.savez(tmp_path / "own.npz", **{k: v for k, v in (arrays | change).items() if v is not None})
    refused(tmp_path / "own.npz", "interhand26m", make_two_hands(3), pattern)


@pytest.mark.parametrize("layout", ["interhand26m", "dexycb"])
def test_another_layouts_format_is_refused(refused, make_single, tmp_path, layout):
    dataset = make_single(4, frames=range(4))
    (tmp_path / "pred.json").write_bytes(json.dumps(good_lists(dataset)).encode())
    refused(tmp_path / "pred.json", layout, dataset, "expected")


def test_what_is_no_file_is_refused(refused, small, tmp_path):
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("folder.json", "pipe.json", "absent.json"):
        refused(tmp_path / name, "freihand", small, "no file at")


def test_a_scratch_folder_keeps_what_was_in_it(small, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine").write_text("kept")
    (tmp_path / "pred.json").write_bytes(b"[[[[1,2,")
    with pytest.raises(RequestError):
        read_submission(tmp_path / "pred.json", "freihand", small, tmp_path / "s")
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["mine"]
