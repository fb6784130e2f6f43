"""The hand model as a file: MANO's keys and shapes, as ``.npz`` (ours) or as a pickle (MANO's own).

| key | shape | |
| --- | --- | --- |
| v_template | (V, 3) | metres, rest pose |
| f | (F, 3) | outward winding, wrist open |
| shapedirs | (V, 3, 10) | metres per standard deviation |
| posedirs | (V, 3, 135) | metres per entry of the 15 matrices R - I |
| weights | (V, 16) | rows sum to 1 |
| J_regressor | (16, V) | dense or sparse |
| kintree_table | (2, 16) | row 0: parents, the first 2^32 - 1 |
| hands_mean | (45,) | axis-angle |
| hands_components | (45, 45) | rows are principal directions |

Our own files add ``vt``, ``ft`` (texture atlas), ``tips``, ``wrist_loop``, ``name``, ``side`` and ``about``.
"""

import hashlib
import math
import pickle
import threading
import zipfile
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import RequestError
from tasks.hands.skeleton import MIRROR_POINT, MIRROR_ROTATION, PARENTS_MANO16, WRIST_LOOP, Side
from tasks.hands.unpickling import load_pickle

MANO_VERTS = 778
_FILE_KEYS = {  # key in the file -> field here, shape with V and F free
    "v_template": ("v_template", ("V", 3)),
    "f": ("faces", ("F", 3)),
    "shapedirs": ("shapedirs", ("V", 3, 10)),
    "posedirs": ("posedirs", ("V", 3, 135)),
    "weights": ("weights", ("V", 16)),
    "J_regressor": ("J_regressor", (16, "V")),
    "kintree_table": ("parents", (2, 16)),
    "hands_mean": ("hands_mean", (45,)),
    "hands_components": ("hands_components", (45, 45)),
}
_OWN_KEYS = ("vt", "ft", "tips", "wrist_loop", "name", "side", "about")
_MAX_ENTRY_BYTES = 64 * 2**20
_ONE_HEADER = threading.Lock()
"""numpy parses headers as Python, and parsers in several threads disturb each other up to CPython 3.11 (gh-106905)."""


@dataclass(frozen=True, eq=False)
class HandModelData:
    """A MANO-format hand model as arrays: float32 and int64, metres. See the table above for the shapes.

    Compared and hashed by identity; ``fingerprint`` compares content.
    """

    v_template: np.ndarray
    faces: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    weights: np.ndarray
    J_regressor: np.ndarray
    parents: np.ndarray
    """(16,), the first is -1."""
    hands_mean: np.ndarray
    hands_components: np.ndarray
    side: Side
    name: str
    about: str = ""
    vt: np.ndarray | None = None
    """(T, 2) in [0, 1], v upwards: row 0 of a texture is v = 1."""
    ft: np.ndarray | None = None
    """(F, 3) rows of ``vt``."""
    tips: np.ndarray | None = None
    """(5,) fingertip vertices, thumb to pinky, where the file names its own."""
    wrist_loop: np.ndarray | None = None
    """Border vertices in the order of ``skeleton.WRIST_LOOP``."""

    @property
    def n_verts(self) -> int:
        return len(self.v_template)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of everything that changes a mesh or a texture lookup; not of names or paths."""
        digest = hashlib.sha256(self.side.encode())
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                digest.update(f"{field.name}{value.shape}{value.dtype.str}".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()[:16]

    def mirrored(self) -> "HandModelData":
        """The model of the other hand: mirrored in x, so that mirrored poses give mirrored meshes."""
        across = MIRROR_POINT[:, None]
        rotations = np.tile(np.outer(MIRROR_POINT, MIRROR_POINT).ravel(), 15)
        pose = np.tile(MIRROR_ROTATION, 15)
        return replace(
            self,
            v_template=self.v_template * MIRROR_POINT,
            faces=np.ascontiguousarray(self.faces[:, ::-1]),
            shapedirs=self.shapedirs * across,
            posedirs=self.posedirs * across * rotations,
            hands_mean=self.hands_mean * pose,
            hands_components=self.hands_components * pose,
            side="left" if self.side == "right" else "right",
            ft=None if self.ft is None else np.ascontiguousarray(self.ft[:, ::-1]),
            wrist_loop=None if self.wrist_loop is None else np.ascontiguousarray(self.wrist_loop[::-1]),
        )


def read_model(path: Path | str) -> HandModelData:
    """The hand model in a ``.npz`` or ``.pkl`` file.

    Raises RequestError that names the file when it is missing, truncated, of another kind, or carries code;
    when a key is missing, has the wrong shape, or holds NaN or infinite numbers.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".pkl"):
        raise RequestError(f"{path}: a hand model file ends in .npz or .pkl.")
    if not path.is_file():
        raise RequestError(f"{path}: no such hand model file.")
    content = _load_npz(path) if path.suffix == ".npz" else load_pickle(path)
    return _model_from(content, path)


def write_npz(data: HandModelData, path: Path | str) -> None:
    """Write the model as ``.npz``; the same model gives the same bytes. smplx reads it with ``ext='npz'``."""
    own = {key: getattr(data, key) for key in _OWN_KEYS}
    extra = {key: np.asarray(value) for key, value in own.items() if value is not None}
    arrays: dict[str, Any] = _mano_arrays(data) | extra
    np.savez_compressed(path, **arrays)


def write_pickle(data: HandModelData, path: Path | str) -> None:
    """Write the model as a protocol 2 pickle with MANO's names only, for other MANO loaders."""
    from scipy import sparse

    content: dict[str, Any] = _mano_arrays(data)
    content["J_regressor"] = sparse.csc_matrix(content["J_regressor"])
    with Path(path).open("wb") as file:
        pickle.dump(content | {"bs_type": "lrotmin", "bs_style": "lbs"}, file, protocol=2)


def _mano_arrays(data: HandModelData) -> dict[str, np.ndarray]:
    """The keys that MANO loaders ask for."""
    parents = np.where(data.parents < 0, 2**32 - 1, data.parents)
    return {
        "v_template": data.v_template,
        "f": data.faces.astype(np.uint32),
        "shapedirs": data.shapedirs,
        "posedirs": data.posedirs,
        "weights": data.weights,
        "J_regressor": data.J_regressor,
        "J": data.J_regressor @ data.v_template,
        "kintree_table": np.stack([parents, np.arange(len(parents))]).astype(np.uint32),
        "hands_mean": data.hands_mean,
        "hands_components": data.hands_components,
    }


def _load_npz(path: Path) -> dict[str, Any]:
    """The known entries of a ``.npz``, each checked against its own header before memory is taken for it."""
    wanted = (*_FILE_KEYS, *_OWN_KEYS)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {Path(info.filename).stem: info for info in archive.infolist()}
            return {key: load_entry(archive, entries[key]) for key in wanted if key in entries}
    except RequestError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen types for a damaged archive
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise RequestError(f"{path}: damaged or no .npz archive ({reason}); get the file again.") from None


def load_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array of plain numbers or text. Raises ValueError when header and size do not agree."""
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        reader = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        with _ONE_HEADER:
            shape, by_columns, dtype = reader(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size > min(info.file_size, _MAX_ENTRY_BYTES):
            raise ValueError(f"{info.filename} holds objects or claims {size} bytes")
        content = bytearray(file.read(size))
    if len(content) < size:
        raise ValueError(f"{info.filename} ends after {len(content)} of {size} bytes")
    return np.ndarray(shape, dtype, content, order="F" if by_columns else "C")


def _model_from(content: dict[str, Any], path: Path) -> HandModelData:
    """The model from a file's content, every array checked."""
    missing = [key for key in _FILE_KEYS if key not in content]
    if missing:
        raise RequestError(f"{path}: is no hand model: it lacks {', '.join(missing)}.")
    sizes: dict[str, int] = {}
    model: dict[str, Any] = {}
    for key, (field, shape) in _FILE_KEYS.items():
        model[field] = _checked(content[key], key, shape, sizes, path)
        if field not in ("faces", "parents"):
            model[field] = model[field].astype(np.float32)
    model["faces"] = _checked_faces(model["faces"], "f", sizes["V"], path)
    model["parents"] = _checked_parents(model["parents"], path)
    model |= {"side": _side(content, path), "name": str(content.get("name", "MANO"))}
    return HandModelData(**model, about=str(content.get("about", "")), **_extras(content, sizes, path))


def _checked(value: Any, key: str, shape: tuple, sizes: dict[str, int], path: Path) -> np.ndarray:
    """The array of a key. Raises RequestError for NaN or a wrong shape (V and F: what the first key says)."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise RequestError(f"{path}: '{key}' holds no numbers.")
    fits = array.ndim == len(shape) and all(
        actual == (sizes.setdefault(want, actual) if isinstance(want, str) else want)
        for actual, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        want = tuple(sizes.get(n, n) for n in shape)
        raise RequestError(f"{path}: '{key}' has shape {array.shape}, expected {want}.".replace("'V'", "V"))
    if not np.isfinite(array).all():
        raise RequestError(f"{path}: '{key}' holds NaN or infinite numbers; get the file again.")
    return array


def _checked_faces(faces: np.ndarray, key: str, count: int, path: Path) -> np.ndarray:
    """Indices as int64. Raises RequestError for one outside 0 .. count - 1."""
    faces = faces.astype(np.int64)
    if faces.size and not 0 <= faces.min() <= faces.max() < count:
        raise RequestError(f"{path}: '{key}' refers to row {faces.max()}, but there are {count}.")
    return faces


def _checked_parents(kintree_table: np.ndarray, path: Path) -> np.ndarray:
    """(16,) parents. Raises RequestError unless it is MANO's tree."""
    parents = kintree_table[0].astype(np.int64)
    parents[0] = -1
    if tuple(parents) != PARENTS_MANO16:
        raise RequestError(f"{path}: 'kintree_table' has parents {parents.tolist()}, not MANO's tree.")
    return parents


def _side(content: dict[str, Any], path: Path) -> Side:
    """What the file says, else what its name says, as smplx goes by it."""
    text = str(content.get("side", path.stem)).lower()
    return "left" if "left" in text else "right"


def _extras(content: dict[str, Any], sizes: dict[str, int], path: Path) -> dict[str, Any]:
    """The optional arrays of our own files; MANO's own mesh has MANO's wrist loop."""
    extras: dict[str, Any] = dict.fromkeys(("vt", "ft", "tips", "wrist_loop"))
    if "vt" in content and "ft" in content:
        vt = _checked(content["vt"], "vt", ("T", 2), sizes, path).astype(np.float32)
        ft = _checked(content["ft"], "ft", ("F", 3), sizes, path)
        extras |= {"vt": vt, "ft": _checked_faces(ft, "ft", len(vt), path)}
    for key in ("tips", "wrist_loop"):
        if key in content:
            indices = _checked(content[key], key, (5,) if key == "tips" else ("W",), sizes, path)
            extras[key] = _checked_faces(indices, key, sizes["V"], path)
    if extras["wrist_loop"] is None and sizes["V"] == MANO_VERTS:
        loop = np.array(WRIST_LOOP, np.int64)
        extras["wrist_loop"] = loop if _side(content, path) == "right" else loop[::-1].copy()
    return extras
