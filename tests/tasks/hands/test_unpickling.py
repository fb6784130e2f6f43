"""A MANO pickle is read, and a pickle that wants anything else is refused before anything of it runs."""

import copyreg
import io
import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest
from scipy import sparse

from tasks.errors import RequestError
from tasks.hands.unpickling import load_pickle

PROTO2, STOP = b"\x80\x02", b"."


@pytest.fixture
def read(tmp_path):
    def _read(payload: bytes):
        path = tmp_path / "MANO_RIGHT.pkl"
        path.write_bytes(payload)
        return load_pickle(path)

    return _read


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def integer(n: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", n)


def text(s: bytes) -> bytes:
    """Python 2's str."""
    return b"T" + struct.pack("<i", len(s)) + s


def dtype_(code: bytes, byteorder: bytes = b"<", fields: bytes = b"NNN") -> bytes:
    made = global_("numpy", "dtype") + text(code) + integer(0) + integer(1) + b"\x87R"
    return (
        made + b"(" + integer(3) + text(byteorder) + fields + integer(-1) + integer(-1) + integer(0) + b"tb"
    )


def array(a: np.ndarray, **changes) -> bytes:
    """An array as Python 2's numpy pickles it, or a lie about one."""
    shape = changes.get("shape", a.shape)
    kind = changes.get("dtype", dtype_(a.dtype.str[1:].encode()))
    raw = changes.get("raw", text(a.tobytes()))
    empty = global_("numpy.core.multiarray", "_reconstruct") + global_("numpy", "ndarray")
    empty += b"(" + integer(0) + b"t" + text(b"b") + b"\x87R"
    sizes = b"(" + b"".join(integer(n) for n in shape) + b"t"
    return empty + b"(" + integer(1) + sizes + kind + b"\x89" + raw + b"tb"


def record(value: bytes, key: bytes = b"v") -> bytes:
    return PROTO2 + b"}" + text(key) + value + b"s" + STOP


def instance(module: str, name: str, state: dict[bytes, bytes]) -> bytes:
    """A Python 2 object: NEWOBJ and BUILD."""
    items = b"".join(text(k) + v + b"s" for k, v in state.items())
    return global_(module, name) + b")\x81}" + items + b"b"


def test_numpy_arrays_of_python_2_are_read_bit_exactly(read):
    rng = np.random.default_rng(0)
    for a in (rng.normal(size=(7, 3)), rng.integers(0, 9, (2, 5)).astype("u4"), np.array([True, False])):
        result = read(record(array(a)))["v"]
        assert result.dtype == a.dtype
        np.testing.assert_array_equal(result, a)


def test_byte_order_and_memory_order_of_the_file_are_respected(read):
    a = np.arange(6.0).reshape(2, 3)
    big = array(a, dtype=dtype_(b"f8", b">"), raw=text(a.astype(">f8").tobytes()))
    np.testing.assert_array_equal(read(record(big))["v"], a)
    np.testing.assert_array_equal(read(pickle.dumps({"v": np.asfortranarray(a)}, protocol=2))["v"], a)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_files_written_by_python_3_are_read_in_every_protocol(read, protocol):
    matrix = sparse.random(16, 30, 0.2, random_state=1)
    content = {
        "a": np.arange(12.0).reshape(3, 4),
        "n": np.float64(2.5),
        "s": "lbs",
        "empty": np.zeros((0, 3)),
    }
    content |= {"csc": matrix.tocsc(), "csr": matrix.tocsr(), "coo": matrix.tocoo()}
    result = read(pickle.dumps(content, protocol=protocol))
    np.testing.assert_array_equal(result["a"], content["a"])
    assert result["s"] == "lbs"
    assert float(result["n"]) == 2.5
    assert result["empty"].shape == (0, 3)
    for name in ("csc", "csr", "coo"):
        np.testing.assert_array_equal(result[name], matrix.toarray())


def test_chumpy_arrays_are_read_without_chumpy(read):
    a, idxs = np.arange(60.0).reshape(5, 3, 4), np.arange(60).reshape(5, 3, 4)[:, :, :2].ravel()
    bookkeeping = {b"_dirty_vars": global_("__builtin__", "set") + b"](e\x85R", b"_itr": b"N"}
    inner = instance("chumpy.ch", "Ch", {b"x": array(a)} | bookkeeping)
    shape = b"(" + b"".join(integer(n) for n in (5, 3, 2)) + b"t"
    select = instance(
        "chumpy.reordering", "Select", {b"a": inner, b"idxs": array(idxs), b"preferred_shape": shape}
    )
    np.testing.assert_array_equal(read(record(inner))["v"], a)
    np.testing.assert_array_equal(read(record(select))["v"], a[:, :, :2])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_object_of_a_chumpy_that_is_installed_is_read_too(read, protocol, monkeypatch):
    ch = types.ModuleType("chumpy.ch")
    ch.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", ch)
    value = ch.Ch()
    value.x, value._dirty_vars = np.arange(6.0), {"x"}
    payload = pickle.dumps({"shapedirs": value}, protocol=protocol)
    np.testing.assert_array_equal(read(payload)["shapedirs"], np.arange(6.0))


class Sentinel:
    """Unpickles by making a folder, which nobody may ever see."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_carries_code_is_refused_by_name_and_does_not_run(read, tmp_path, protocol):
    trap = tmp_path / "ran"
    with pytest.raises(RequestError, match=r"MANO_RIGHT\.pkl: names the global '\w+\.mkdir'") as caught:
        read(pickle.dumps({"v_template": np.zeros(3), "evil": Sentinel(trap)}, protocol=protocol))
    assert not trap.exists()
    assert "\n" not in str(caught.value)


REFUSED_GLOBALS = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("builtins", "eval"),
    ("__builtin__", "getattr"), ("__builtin__", "__import__"), ("builtins", "type"), ("numpy", "load"),
    ("numpy", "fromfile"), ("numpy", "memmap"), ("numpy", "vectorize"), ("numpy.core.multiarray", "fromfile"),
    ("numpy.testing._private.utils", "runstring"), ("scipy.sparse", "load_npz"), ("scipy.io", "loadmat"),
    ("chumpy", "os"), ("chumpy.ch", "pickle"), ("chumpy.utils", "timer"), ("copyreg", "__newobj__"),
    ("copyreg", "_extension_registry"), ("_codecs", "lookup"), ("codecs", "encode"), ("functools", "partial"),
    ("operator", "attrgetter"), ("collections", "OrderedDict"), ("tasks.hands.unpickling", "load_pickle"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), REFUSED_GLOBALS)
def test_every_other_global_is_refused(read, module, name):
    with pytest.raises(RequestError, match=f"names the global '{module}.{name}'"):
        read(record(global_(module, name)))


@pytest.mark.parametrize("dotted", ["Ch.__init__.__globals__", "ch.os.system", "__class__", "resolve"])
def test_dotted_names_reach_nothing(read, dotted):
    short = lambda s: b"\x8c" + bytes([len(s)]) + s.encode()  # noqa: E731
    with pytest.raises(RequestError, match="names the global"):
        read(b"\x80\x04}" + short("v") + short("chumpy.ch") + short(dotted) + b"\x93s.")


def nested_bomb(tmp_path) -> bytes:
    return pickle.dumps(Sentinel(tmp_path / "ran"), protocol=2)


def test_object_scalars_are_not_unpickled_inside(read, tmp_path):
    scalar = (
        global_("numpy.core.multiarray", "scalar")
        + dtype_(b"O8", b"|")
        + text(nested_bomb(tmp_path))
        + b"\x86R"
    )
    with pytest.raises(RequestError, match="dtype 'O8'"):
        read(record(scalar))
    assert not (tmp_path / "ran").exists()


def test_object_arrays_are_refused(read, tmp_path):
    with pytest.raises(RequestError, match="objects"):
        read(pickle.dumps({"v": np.array([{"a": 1}], dtype=object)}, protocol=2))
    raw = text(nested_bomb(tmp_path))
    with pytest.raises(RequestError, match="dtype 'O8'"):
        read(record(array(np.zeros(1), dtype=dtype_(b"O8", b"|"), raw=raw)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "kind", [np.dtype([("a", "f8"), ("b", "O")]), np.dtype("S8"), np.dtype("M8[s]"), np.dtype("c16")]
)
def test_arrays_of_anything_but_plain_numbers_are_refused(read, kind):
    with pytest.raises(RequestError, match=r"dtype|fields|objects"):
        read(pickle.dumps({"v": np.zeros(2, kind)}, protocol=2))


@pytest.mark.parametrize("shape", [(2**40,), (2**31, 2**31), (-1, -3), (3, 0, 2**62), (2, 2)])
def test_shapes_that_do_not_fit_their_bytes_take_no_memory(read, shape):
    with pytest.raises(RequestError):
        read(record(array(np.zeros(3), shape=shape)))


def test_sparse_matrices_cannot_reach_outside_themselves(read):
    def matrix(shape=(2, 3), indices=(0, 1), indptr=(0, 1, 1, 2), data=(1.0, 2.0)):
        sizes = b"(" + b"".join(integer(n) for n in shape) + b"t"
        parts = {
            b"indices": np.array(indices, "i4"),
            b"indptr": np.array(indptr, "i4"),
            b"data": np.array(data),
        }
        state = {b"_shape": sizes} | {k: array(v) for k, v in parts.items()}
        return record(instance("scipy.sparse.csc", "csc_matrix", state))

    np.testing.assert_array_equal(read(matrix())["v"], [[1, 0, 0], [0, 0, 2]])
    for lie in (
        {"shape": (10**9, 10**9)}, {"shape": (-2, 3)}, {"indices": (0, 7)}, {"indices": (0, -1)},
        {"indptr": (0, 1, 1, 10**9)}, {"indptr": (0, 2, 1, 2)}, {"indptr": (5, 1, 1, 2)}, {"data": (1.0,)},
    ):  # fmt: skip
        with pytest.raises(RequestError):
            read(matrix(**lie))


RECONSTRUCT, OBJECT = global_("copy_reg", "_reconstructor"), global_("__builtin__", "object")


@pytest.mark.parametrize(
    "call",
    [
        global_("numpy", "ndarray") + b"(" + integer(10**11) + b"t\x85R",
        OBJECT + b")R",
        OBJECT + b")\x81",
        global_("numpy", "ndarray") + b")\x81",
        RECONSTRUCT + global_("__builtin__", "set") + OBJECT + b"N\x87R",
        RECONSTRUCT + global_("chumpy.ch", "Ch") + global_("__builtin__", "set") + b"]\x87R",
        RECONSTRUCT + b"]" + OBJECT + b"N\x87R",
        global_("_codecs", "encode") + text(b"x") + text(b"rot13") + b"\x86R",
        global_("_codecs", "encode") + text(b"x") + text(b"idna") + b"\x86R",
        global_("_codecs", "encode") + b"]" + text(b"latin1") + b"\x86R",
        global_("__builtin__", "bytes") + integer(10**12) + b"\x85R",
    ],
)  # fmt: skip
def test_the_admitted_names_do_nothing_but_hold_arrays(read, call):
    with pytest.raises(RequestError):
        read(record(call))


SHELLS = [
    ("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"), ("numpy", "dtype"), ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"), ("__builtin__", "set"),
    ("scipy.sparse.csc", "csc_matrix"), ("copy_reg", "_reconstructor"), ("_codecs", "encode"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), SHELLS)
def test_a_state_given_to_a_class_itself_changes_nothing(read, module, name):
    plain = b"}" + text(b"resolve") + integer(1) + b"sb"
    slots = b"N}" + text(b"__setstate__") + integer(1) + b"s\x86b"
    for state in (plain, slots):
        with pytest.raises(RequestError):
            read(record(global_(module, name) + state))
    inner = instance("chumpy.ch", "Ch", {b"x": array(np.arange(3.0))})
    np.testing.assert_array_equal(read(record(inner))["v"], np.arange(3.0))


@pytest.mark.parametrize(
    "payload",
    [
        PROTO2 + b"\x82\x01.",  # EXT1
        PROTO2 + text(b"id") + b"Q.",  # BINPERSID
        b"Pid\n.",
        b"(ios\nsystem\n.",  # INST
        b"(" + global_("chumpy.ch", "Ch") + b"o.",  # OBJ
        PROTO2 + b"}r\xff\xff\xff\xff.",  # LONG_BINPUT into slot 2^32 - 1
        b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",  # BYTEARRAY8
        b"\x80\x05\x8e" + struct.pack("<Q", 2**60) + b".",  # BINBYTES8
        PROTO2 + b"T\xff\xff\xff\x7fabc.",  # a string of 2 GiB
    ],
)
def test_opcodes_that_reach_outside_or_ask_for_memory_are_refused(read, payload):
    with pytest.raises(RequestError):
        read(payload)


def test_the_extension_registry_is_no_way_in(read):
    copyreg.add_extension("os", "system", 0x7F01)
    try:
        with pytest.raises(RequestError, match="EXT2"):
            read(PROTO2 + b"\x83\x01\x7f.")
    finally:
        copyreg.remove_extension("os", "system", 0x7F01)


def test_chumpy_arrays_that_hold_themselves_end(read):
    loop = global_("chumpy.ch", "Ch") + b")\x81q\x01}" + text(b"x") + b"h\x01sb"
    with pytest.raises(RequestError, match="without end"):
        read(record(loop))


def test_nested_lists_are_not_unfolded_into_arrays(read):
    """Thirty lists, each holding the one before twice, would be a billion numbers."""
    laughs = integer(1)
    for k in range(30):
        slot = bytes([k])
        laughs += b"q" + slot + b"0](h" + slot + b"h" + slot + b"e"
    assert read(record(laughs))["v"] is None
    with pytest.raises(RequestError, match="where an array belongs"):
        read(record(instance("chumpy.ch", "Ch", {b"x": laughs})))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_flat_lists_of_numbers_and_text_are_read(read, protocol):
    content = {"box": [1.5, 2, np.float64(3), np.int32(4)], "ids": ("0", "a"), "none": None, "deep": [[1]]}
    result = read(pickle.dumps(content | {"long": [0] * 5000}, protocol=protocol))
    assert result == {"box": [1.5, 2, 3, 4], "ids": ["0", "a"], "none": None, "deep": None, "long": None}


def test_a_list_that_hides_code_is_refused_and_does_not_run(read, tmp_path):
    with pytest.raises(RequestError, match="mkdir"):
        read(pickle.dumps({"ids": ["0", Sentinel(tmp_path / "ran")]}, protocol=2))
    assert not (tmp_path / "ran").exists()


def test_the_kind_and_the_limit_of_a_file_are_said(tmp_path):
    path = tmp_path / "0000.pkl"
    path.write_bytes(b"x" * 3 * 2**20)
    with pytest.raises(RequestError, match=r"0000\.pkl: is 3 MiB; at most 1 are read"):
        load_pickle(path, "annotation", 2**20)
    path.write_bytes(b"x")
    with pytest.raises(RequestError, match="truncated or no pickle"):
        load_pickle(path, "annotation")


@pytest.mark.parametrize("payload", [b"", b"not a pickle", PROTO2 + b"].", PROTO2 + b"N.", pickle.dumps(3)])
def test_files_without_a_dictionary_are_refused(read, payload):
    with pytest.raises(RequestError, match=r"MANO_RIGHT\.pkl"):
        read(payload)


def test_a_file_cut_anywhere_gives_one_clear_error(read):
    inner = instance("chumpy.ch", "Ch", {b"x": array(np.arange(30.0))})
    whole = record(inner)
    for end in range(len(whole)):
        with pytest.raises(RequestError, match=r"MANO_RIGHT\.pkl"):
            read(whole[:end])


def test_random_damage_never_escapes_as_another_exception(read):
    rng = np.random.default_rng(0)
    whole = bytearray(record(instance("chumpy.ch", "Ch", {b"x": array(np.arange(8.0))})))
    for _ in range(1500):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        try:
            result = read(bytes(damaged))
        except RequestError:
            continue
        assert isinstance(result, dict)


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(RequestError, match="gone"):
        load_pickle(tmp_path / "gone.pkl")
    (tmp_path / "folder.pkl").mkdir()
    with pytest.raises(RequestError, match="folder"):
        load_pickle(tmp_path / "folder.pkl")


def test_the_python_unpickler_would_have_run_the_trap(tmp_path):
    """The trap is a real one."""
    pickle.Unpickler(io.BytesIO(pickle.dumps(Sentinel(tmp_path / "ran")))).load()
    assert (tmp_path / "ran").exists()
