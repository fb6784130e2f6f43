import io
import pickle
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tasks.errors import RequestError
from tasks.hands.model_file import HandModelData, load_entry, read_model, write_npz, write_pickle

ARRAYS = ("v_template", "faces", "shapedirs", "posedirs", "weights", "J_regressor", "parents")
ARRAYS += ("hands_mean", "hands_components")


def assert_same(one: HandModelData, other: HandModelData) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_npz_round_trip_keeps_everything(right, tmp_path):
    write_npz(right, tmp_path / "hand.npz")
    again = read_model(tmp_path / "hand.npz")
    assert_same(right, again)
    assert again.fingerprint == right.fingerprint
    assert (again.name, again.side, again.about) == (right.name, right.side, right.about)
    for name in ("vt", "ft", "tips", "wrist_loop"):
        np.testing.assert_array_equal(getattr(again, name), getattr(right, name))


def test_the_same_model_gives_the_same_bytes(right, tmp_path):
    for name in ("a.npz", "b.npz"):
        write_npz(right, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_pickle_round_trip_keeps_the_model_and_reads_like_manos(right, tmp_path):
    write_pickle(right, tmp_path / "MANO_RIGHT.pkl")
    again = read_model(tmp_path / "MANO_RIGHT.pkl")
    assert_same(right, again)
    assert (again.name, again.side) == ("MANO", "right")
    raw = (tmp_path / "MANO_RIGHT.pkl").read_bytes()
    content = pickle.loads(raw, encoding="latin1")
    assert raw[:2] == b"\x80\x02"
    assert content["f"].dtype == np.uint32
    assert content["kintree_table"][0, 0] == 2**32 - 1
    assert content["J_regressor"].format == "csc"
    np.testing.assert_allclose(content["J"], right.J_regressor @ right.v_template, atol=1e-7)


def test_pickles_know_their_side_by_their_name(right, tmp_path):
    write_pickle(right.mirrored(), tmp_path / "MANO_LEFT.pkl")
    left = read_model(tmp_path / "MANO_LEFT.pkl")
    assert left.side == "left"
    np.testing.assert_array_equal(left.wrist_loop, right.mirrored().wrist_loop)


def test_the_shipped_file_says_that_it_is_not_mano(right):
    assert "not MANO" in right.about
    assert "not fitted" in right.about
    assert right.name.startswith("open hand")


def test_mirroring_twice_changes_nothing(right):
    twice = right.mirrored().mirrored()
    assert_same(right, twice)
    assert twice.fingerprint == right.fingerprint != right.mirrored().fingerprint


def test_the_fingerprint_follows_the_content_and_nothing_else(right):
    assert replace(right, name="other", about="").fingerprint == right.fingerprint
    nudged = right.v_template.copy()
    nudged[0, 0] += 1e-6
    assert replace(right, v_template=nudged).fingerprint != right.fingerprint


def content_of(data: HandModelData) -> dict:
    buffer = io.BytesIO()
    write_npz(data, buffer)
    buffer.seek(0)
    with np.load(buffer) as archive:
        return dict(archive)


def damaged(right, tmp_path, **changes):
    content = content_of(right) | changes
    path = tmp_path / "hand.npz"
    np.savez(path, **{k: v for k, v in content.items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"posedirs": None, "weights": None}, "lacks posedirs, weights"),
        ({"weights": np.zeros((700, 16))}, r"'weights' has shape \(700, 16\), expected \(778, 16\)"),
        ({"shapedirs": np.zeros((778, 10, 3))}, r"'shapedirs' has shape .* expected \(778, 3, 10\)"),
        ({"v_template": np.full((778, 3), np.nan)}, "'v_template' holds NaN"),
        ({"hands_mean": np.full(45, np.inf)}, "'hands_mean' holds NaN or infinite"),
        ({"f": np.full((1538, 3), 778)}, "'f' refers to row 778, but there are 778"),
        ({"ft": np.full((1538, 3), 5000)}, "'ft' refers to row 5000"),
        ({"tips": np.array([1, 2, 3])}, r"'tips' has shape \(3,\), expected \(5,\)"),
        ({"kintree_table": np.zeros((2, 16), int)}, "not MANO's tree"),
        ({"v_template": np.full((778, 3), "x")}, "'v_template' holds no numbers"),
    ],
)
def test_a_damaged_npz_gives_one_line_that_names_file_and_key(right, tmp_path, changes, message):
    path = damaged(right, tmp_path, **changes)
    with pytest.raises(RequestError, match=message) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_pickle_gives_the_same_errors(right, tmp_path):
    path = tmp_path / "MANO_RIGHT.pkl"
    content = {k: v for k, v in content_of(right).items() if v.dtype.kind in "uif"}
    for key, value, message in (
        ("weights", np.zeros((3, 3)), "'weights' has shape"),
        ("posedirs", np.full((778, 3, 135), np.nan), "holds NaN"),
        ("f", "text", "holds no numbers"),
    ):
        path.write_bytes(pickle.dumps(content | {key: value}, protocol=2))
        with pytest.raises(RequestError, match=message):
            read_model(path)


def test_an_npz_with_objects_runs_nothing(right, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "ran").mkdir, ()

    path = tmp_path / "hand.npz"
    np.savez(path, **(content_of(right) | {"hands_mean": np.array([Trap()], dtype=object)}))
    with pytest.raises(RequestError, match="objects"):
        read_model(path)
    assert not (tmp_path / "ran").exists()


def test_an_npz_whose_header_claims_more_than_it_holds_takes_no_memory(right, tmp_path):
    path = tmp_path / "hand.npz"
    write_npz(right, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 3)}
    )
    entries["v_template.npy"] = header.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, payload in entries.items():
            archive.writestr(name, payload)
    with pytest.raises(RequestError, match="claims"):
        read_model(path)


def test_truncated_files_are_named(right, tmp_path):
    write_npz(right, tmp_path / "hand.npz")
    write_pickle(right, tmp_path / "MANO_RIGHT.pkl")
    for name in ("hand.npz", "MANO_RIGHT.pkl"):
        whole = (tmp_path / name).read_bytes()
        for share in (0.0, 0.1, 0.5, 0.99):
            (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(RequestError, match=name):
                read_model(tmp_path / name)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(RequestError, match="no such hand model file"):
        read_model(tmp_path / "MANO_RIGHT.pkl")
    with pytest.raises(RequestError, match=r"\.npz or \.pkl"):
        read_model(tmp_path / "hand.txt")


ENTRIES = {
    "rows": np.arange(6.0).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty": np.zeros((0, 3), np.uint8),
    "text": np.array("MANO"),
    "number": np.array(3),
}


def entries(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename[:-4]: load_entry(archive, info) for info in archive.infolist()}


def test_an_entry_is_what_numpy_reads(tmp_path):
    np.savez(tmp_path / "all.npz", **ENTRIES)
    for name, read in entries(tmp_path / "all.npz").items():
        np.testing.assert_array_equal(read, ENTRIES[name], strict=True)
        assert read.flags.writeable


def test_an_entry_that_ends_too_early_is_refused(tmp_path):
    whole = io.BytesIO()
    np.save(whole, np.arange(6.0))
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        archive.writestr("cut.npy", whole.getvalue()[:-8])
    with pytest.raises(ValueError, match=r"cut\.npy ends after 40 of 48 bytes"):
        entries(tmp_path / "cut.npz")


def test_threads_parse_one_header_at_a_time(tmp_path, monkeypatch):
    """CPython 3.11 reports a mismatch of depths otherwise, once in thousands of files."""
    np.savez(tmp_path / "all.npz", **ENTRIES)
    alone, parse = threading.Lock(), np.lib.format.read_array_header_1_0

    def parse_alone(file):
        assert alone.acquire(blocking=False)
        time.sleep(0.001)
        header = parse(file)
        alone.release()
        return header

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", parse_alone)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(entries, [tmp_path / "all.npz"] * 20))) == 20
