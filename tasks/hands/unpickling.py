"""Reading pickles of arrays without running them: MANO's own, and the annotations of datasets.

The licensed models are Python 2 pickles of numpy arrays, scipy.sparse matrices and chumpy arrays. A pickle is
a program: whatever global it names, it can call. Here no name leads to the real thing. The few that such a file
needs lead to shells of our own that only keep what they are given; a second step turns checked shells into
arrays. So a file can neither call anything, nor make numpy unpickle objects inside an array, nor ask for
memory that it does not fill.

Every shell is a class and every class has ``__setstate__``: a BUILD opcode aimed at a class or at an
instance therefore ends in a method of ours and never sets an attribute.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import RequestError

MAX_FILE_BYTES = 256 * 2**20
_MAX_DEPTH = 8
_MAX_LIST = 4096
MAX_DENSE_ENTRIES = 2**24
"""Bound on the dense size of a sparse matrix, the one thing whose size the file's length does not bound."""

_NEEDLESS_OPCODES: tuple[str, ...] = (
    "PERSID",
    "BINPERSID",
    "EXT1",
    "EXT2",
    "EXT4",
    "INST",
    "OBJ",
)
_NEEDLESS_OPCODES += ("NEXT_BUFFER", "READONLY_BUFFER")


class _RefusedError(Exception):
    """The file is not what a file of arrays is; the message completes ``<path>: ...``."""


def load_pickle(path: Path, kind: str = "MANO pickle", max_bytes: int = MAX_FILE_BYTES) -> dict[str, Any]:
    """The dictionary in a pickle: numpy arrays (sparse and chumpy ones made dense), plain values and lists of them.

    ``kind`` says in messages what the file should be. A value that is none of these becomes None. Raises
    RequestError, naming the file, for a global outside the short list (nothing of it runs), a truncated file, an
    array whose bytes do not fit its shape.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise _RefusedError(
                f"is {size / 2**20:.0f} MiB; at most {max_bytes / 2**20:.0f} are read of a file of this kind"
            )
        payload = path.read_bytes()
        _check_opcodes(payload)
        content = _ShellUnpickler(io.BytesIO(payload), encoding="latin1").load()
        if not isinstance(content, dict):
            raise _RefusedError("does not hold a dictionary of arrays")
        return {str(key): _plain(value) for key, value in content.items()}
    except _RefusedError as refusal:
        raise RequestError(f"{path}: {refusal}.") from None
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}).") from None
    except (
        Exception
    ) as error:  # a malformed pickle can fail in any way; all of them mean the same to the user
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise RequestError(f"{path}: damaged or no {kind} ({reason}); get the file again.") from None


def _check_opcodes(payload: bytes) -> None:
    """Refuse opcodes that no array needs, memo numbers made to fill the memory, and a file without an end."""
    count = 0
    try:
        for opcode, argument, _ in pickletools.genops(payload):
            count += 1
            if opcode.name in _NEEDLESS_OPCODES:
                raise _RefusedError(f"uses the pickle opcode {opcode.name}, which no array needs")
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > count:
                raise _RefusedError(f"asks for memo slot {argument} after {count} steps")
    except ValueError as error:
        raise _RefusedError(f"truncated or no pickle ({str(error)[:80]}); get the file again") from None


class _Shell:
    """What a global of the file becomes: an object that does nothing."""

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError(f"gives a state to {type(self).__name__.strip('_')}, which has none")


class _Marker(_Shell):
    """``numpy.ndarray`` or ``object``, which files only pass as arguments."""

    def __new__(cls, *args: Any) -> "_Marker":
        raise _RefusedError("builds a bare numpy.ndarray or object")


class _Dtype(_Shell):
    """``numpy.dtype`` of a plain number: no objects, no fields, no sub-arrays, no strings."""

    def __init__(self, code: str = "", align: Any = None, copy: Any = None) -> None:
        self.code = code
        self.byteorder: Any = "="

    def __setstate__(self, state: tuple) -> None:
        _, self.byteorder, *rest = state
        if any(part is not None for part in rest[:3]):
            raise _RefusedError("holds an array with fields or sub-arrays, expected plain numbers")

    def resolve(self) -> np.dtype:
        """The dtype. Raises _RefusedError unless it is a boolean, integer or real number."""
        if self.code[:1] not in ("b", "i", "u", "f") or self.code[1:] not in ("1", "2", "4", "8"):
            raise _RefusedError(f"holds an array of dtype {self.code!r}, expected plain numbers")
        order = self.byteorder if self.byteorder in ("<", ">") else "="
        return np.dtype(order + self.code)


class _Array(_Shell):
    """``numpy.core.multiarray._reconstruct``: the array arrives with its state."""

    def __init__(self, subtype: Any = None, shape: Any = None, typecode: Any = None) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        *_, shape, dtype, fortran, raw = state
        self.value = _array(raw, dtype, shape, "F" if fortran else "C")


class _BufferArray(_Array):
    """``numpy.core.numeric._frombuffer``: how protocol 5 writes an array."""

    def __init__(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.value = _array(raw, dtype, shape, "F" if order == "F" else "C")


class _Scalar(_Array):
    """``numpy.core.multiarray.scalar``."""

    def __init__(self, dtype: Any, raw: Any = None) -> None:
        self.value = _array(raw, dtype, (), "C")


class _Set(_Shell):
    """``set``: chumpy's bookkeeping, of no use here."""

    def __init__(self, items: Any = ()) -> None:
        pass


class _Stateful(_Shell):
    """An object whose pickled state is a dictionary."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        if type(state) is not dict:
            raise _RefusedError("holds an object without a dictionary of fields")
        self.fields = state


class _Sparse(_Stateful):
    """A scipy.sparse matrix. It is made dense here: scipy trusts the indices it is given."""

    def resolve(self, depth: int) -> np.ndarray:
        """The dense matrix. Raises _RefusedError unless every entry has its place inside the shape."""
        shape = tuple(int(n) for n in self.fields["_shape" if "_shape" in self.fields else "shape"])
        if len(shape) != 2 or min(shape) < 0 or math.prod(shape) > MAX_DENSE_ENTRIES:
            raise _RefusedError(f"holds a sparse matrix of shape {shape}, expected (16, 778)")
        data = self.vector("data", depth)
        rows, columns = self.places(depth)
        if not len(rows) == len(columns) == len(data) or min(rows.min(initial=0), columns.min(initial=0)) < 0:
            raise _RefusedError("holds a sparse matrix whose indices do not fit its values")
        dense = np.zeros(shape, np.float64)
        np.add.at(dense, (rows, columns), data)
        return dense

    def vector(self, name: str, depth: int) -> np.ndarray:
        """A field that is a vector."""
        return _as_array(self.fields[name], depth + 1).ravel()

    def places(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each value."""
        raise NotImplementedError


class _Csr(_Sparse):
    """Compressed rows."""

    def places(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each value."""
        minor, pointers = (self.vector(name, depth).astype(np.int64) for name in ("indices", "indptr"))
        counts = np.diff(pointers)
        if pointers[0] != 0 or pointers[-1] != len(minor) or counts.min(initial=0) < 0:
            raise _RefusedError("holds a sparse matrix whose pointers do not fit its indices")
        return np.repeat(np.arange(len(counts)), counts), minor


class _Csc(_Csr):
    """Compressed columns."""

    def places(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each value."""
        columns, rows = super().places(depth)
        return rows, columns


class _Coo(_Sparse):
    """Coordinates; newer scipy keeps both in ``coords``."""

    def places(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each value."""
        newer = "coords" in self.fields
        pair = self.fields["coords"] if newer else (self.fields["row"], self.fields["col"])
        rows, columns = (_as_array(part, depth + 1).ravel().astype(np.int64) for part in pair)
        return rows, columns


class _Ch(_Stateful):
    """``chumpy.ch.Ch``: an array ``x``."""

    def resolve(self, depth: int) -> np.ndarray:
        """``x``."""
        return _as_array(self.fields["x"], depth + 1)


class _Select(_Stateful):
    """``chumpy.reordering.Select``: entries ``idxs`` of the flattened ``a``, in ``preferred_shape``."""

    def resolve(self, depth: int) -> np.ndarray:
        """The selected entries."""
        source = _as_array(self.fields["a"], depth + 1).ravel()
        chosen = source[_as_array(self.fields["idxs"], depth + 1)]
        shape = self.fields.get("preferred_shape")
        return chosen if shape is None else chosen.reshape(shape)


class _Reconstructor(_Shell):
    """``copyreg._reconstructor(class, object, None)``: how protocols 0 and 1 make an empty object."""

    def __new__(cls, shell: Any, base: Any = None, state: Any = None) -> Any:
        stateful = isinstance(shell, type) and issubclass(shell, _Stateful)
        if not stateful or base is not _Marker or state is not None:
            raise _RefusedError("reconstructs something that is neither a chumpy array nor a sparse matrix")
        return shell.__new__(shell)


class _Encode(_Shell):
    """``_codecs.encode(text, 'latin1')``: how Python 3 writes bytes in protocols 0 to 2."""

    def __new__(cls, text: Any, encoding: Any = "latin1") -> Any:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise _RefusedError("encodes something that is not latin1 text")
        return text.encode("latin1")


class _EmptyBytes(_Shell):
    """``bytes()``: how Python 3 writes the content of an empty array in protocols 0 to 2."""

    def __new__(cls) -> Any:
        return b""


_BUILTINS: dict[str, type] = {"object": _Marker, "set": _Set, "frozenset": _Set, "bytes": _EmptyBytes}
_MULTIARRAY: dict[str, type] = {"_reconstruct": _Array, "scalar": _Scalar}
_SPARSE: dict[str, type] = {"csc_matrix": _Csc, "csr_matrix": _Csr, "coo_matrix": _Coo}
_SPARSE_MODULES = ("csc", "csr", "coo", "_csc", "_csr", "_coo")
_GLOBALS: dict[str, dict[str, type]] = {
    "numpy": {"ndarray": _Marker, "dtype": _Dtype},
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": {"_frombuffer": _BufferArray},
    "numpy._core.numeric": {"_frombuffer": _BufferArray},
    "scipy.sparse": _SPARSE,
    **{f"scipy.sparse.{module}": _SPARSE for module in _SPARSE_MODULES},
    "chumpy": {"Ch": _Ch},
    "chumpy.ch": {"Ch": _Ch},
    "chumpy.reordering": {"Select": _Select},
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
    "copyreg": {"_reconstructor": _Reconstructor},
    "copy_reg": {"_reconstructor": _Reconstructor},
    "_codecs": {"encode": _Encode},
}


class _ShellUnpickler(pickle.Unpickler):
    """An unpickler to which the world consists of the shells above."""

    def find_class(self, module: str, name: str) -> type:
        """The shell for a global. Raises _RefusedError for any other name."""
        shell = _GLOBALS.get(module, {}).get(name)
        if shell is None:
            raise _RefusedError(
                f"names the global '{module}.{name}', but such a file holds only arrays (numpy, scipy.sparse, "
                "chumpy); nothing of it was run: do not trust this file, get it again from its source"
            )
        return shell


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    """The array of these bytes. Raises _RefusedError unless dtype, shape and length agree."""
    if isinstance(raw, str):  # Python 2's str, decoded as latin1
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise _RefusedError("holds an array of objects, expected plain numbers")
    kind = dtype.resolve()
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
        raise _RefusedError(f"holds an array of shape {shape!r}, expected a tuple of sizes")
    if math.prod(shape) * kind.itemsize != len(raw):
        raise _RefusedError(
            f"holds an array of shape {shape} with {len(raw)} bytes of {kind}, which do not fit"
        )
    values = np.frombuffer(raw, kind).reshape(shape, order="F" if order == "F" else "C")
    return values.astype(kind.newbyteorder("="))


def _as_array(value: Any, depth: int = 0) -> np.ndarray:
    """What a shell stands for. Raises _RefusedError for anything that is no array."""
    if depth > _MAX_DEPTH:
        raise _RefusedError("nests chumpy arrays without end")
    if isinstance(value, _Ch | _Select | _Sparse):
        return value.resolve(depth)
    if not isinstance(value, _Array) or value.value is None:
        raise _RefusedError("holds something else where an array belongs")
    return value.value


def _plain(value: Any) -> Any:
    """A value of the file's dictionary: an array, a number, text, or a list of numbers and text; None for the rest."""
    if isinstance(value, _Array | _Ch | _Select | _Sparse):
        return _as_array(value)
    if type(value) in (list, tuple) and len(value) <= _MAX_LIST:
        items = [_as_array(item)[()] if isinstance(item, _Scalar) else item for item in value]
        return items if all(isinstance(item, str | int | float | np.generic) for item in items) else None
    return value if isinstance(value, str | bytes | int | float) else None
