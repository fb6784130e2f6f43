"""The dataset layouts by name. Light: imports neither torch nor numpy until a layout is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from tasks.layouts.base import Layout


@dataclass(frozen=True)
class LayoutSpec:
    """A layout as the command line lists it. What is ``module:attribute`` is imported on use."""

    name: str
    summary: str
    tasks: tuple[str, ...]
    implementation: str
    """The Layout class."""
    synthesiser: str
    """``make(out, size, seed, workers=None, progress=None)``, which writes synthetic data in this layout."""
    generator_version: int
    """Raised when the synthesiser writes other bytes for the same seed."""


_FREIHAND = LayoutSpec(
    name="freihand",
    summary="FreiHAND v2: 224 px crops of one right hand, four backgrounds per training sample, JSON annotations",
    tasks=("single_hand",),
    implementation="tasks.layouts.freihand:FreiHand",
    synthesiser="tasks.synthesis.freihand:make_freihand",
    generator_version=1,
)

_HO3D_V2 = LayoutSpec(
    name="ho3d_v2",
    summary="HO-3D v2: 640 x 480 px videos of a right hand with an object, a pickle a frame, OpenGL axes",
    tasks=("single_hand",),
    implementation="tasks.layouts.ho3d:Ho3dV2",
    synthesiser="tasks.synthesis.ho3d:make_ho3d_v2",
    generator_version=1,
)

_HO3D_V3 = LayoutSpec(
    name="ho3d_v3",
    summary="HO-3D v3: as v2 with JPEG images, segmentations and calibrated cameras; other frames and labels",
    tasks=("single_hand",),
    implementation="tasks.layouts.ho3d:Ho3dV3",
    synthesiser="tasks.synthesis.ho3d:make_ho3d_v3",
    generator_version=1,
)


def _dexycb(name: str, split: str, reader: str) -> LayoutSpec:
    return LayoutSpec(
        name=name,
        summary=f"DexYCB, {split}: eight 640 x 480 px cameras around a left or right hand that grasps an object",
        tasks=("single_hand",),
        implementation=f"tasks.layouts.dexycb:{reader}",
        synthesiser="tasks.synthesis.dexycb:make_dexycb",
        generator_version=1,
    )


_INTERHAND26M = LayoutSpec(
    name="interhand26m",
    summary="InterHand2.6M v1.0 with MANO fits: one or two hands before a ring of cameras, 334 x 512 px, JSON by split",
    tasks=("two_hands",),
    implementation="tasks.layouts.interhand26m:InterHand26M",
    synthesiser="tasks.synthesis.interhand26m:make_interhand26m",
    generator_version=3,
)


LAYOUTS: dict[str, LayoutSpec] = {
    layout.name: layout
    for layout in (
        _FREIHAND,
        _HO3D_V2,
        _HO3D_V3,
        _dexycb("dexycb", "setup s0 (nothing unseen)", "DexYcb"),
        _dexycb("dexycb_s1", "setup s1 (unseen subjects)", "DexYcbS1"),
        _dexycb("dexycb_s2", "setup s2 (unseen cameras)", "DexYcbS2"),
        _dexycb("dexycb_s3", "setup s3 (unseen grasped objects)", "DexYcbS3"),
        _INTERHAND26M,
    )
}


def find_layout(name: str) -> LayoutSpec:
    """A layout's declaration. Raises RequestError with the nearest valid name."""
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]


def open_layout(name: str, root: Path) -> Layout:
    """The reader of a dataset folder. Raises RequestError for an unknown layout or a root that is no folder."""
    reader = _load(find_layout(name).implementation)
    if not Path(root).is_dir():
        raise RequestError(f"no folder at {root}: expected a dataset in the layout '{name}'.")
    return reader(Path(root))


def load_synthesiser(name: str) -> Callable[..., None]:
    """The function that writes synthetic data in a layout. Raises RequestError for an unknown layout."""
    return _load(find_layout(name).synthesiser)


def _load(path: str) -> Any:
    module, attribute = path.split(":")
    return getattr(import_module(module), attribute)
