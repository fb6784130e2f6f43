"""Finds the methods: every ``spec.py`` one or two folders down, and plug-ins. Listing them imports nothing heavy.

A plug-in is a package whose folders are methods, as ``methods/baselines`` is; PALMARES_METHODS names such packages,
with commas. Every process of a run must be able to import them.
"""

import importlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.base import MethodSpec
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from methods.base import Method
    from methods.config import MethodConfig

OURS = ("methods", "methods.baselines")
ENVIRONMENT = "PALMARES_METHODS"


def _discover() -> dict[str, tuple[MethodSpec, Path]]:
    plug_ins = filter(None, os.environ.get(ENVIRONMENT, "").split(","))
    return {
        spec.name: (spec, folder)
        for package in (*OURS, *plug_ins)
        for spec, folder in _methods_of(package.strip())
    }


def _methods_of(package: str) -> Iterator[tuple[MethodSpec, Path]]:
    try:
        folders = [Path(folder) for folder in importlib.import_module(package).__path__]
    except (ImportError, AttributeError) as error:
        raise RequestError(
            f"{ENVIRONMENT} names '{package}', which is no package that can be imported ({error})."
        ) from None
    for file in sorted(file for folder in folders for file in folder.glob("*/spec.py")):
        yield importlib.import_module(f"{package}.{file.parent.name}.spec").SPEC, file.parent


_FOUND = _discover()
METHODS: dict[str, MethodSpec] = {name: spec for name, (spec, _) in _FOUND.items()}


def load_method(name: str) -> "type[Method]":
    """The class behind a name. Raises RequestError for an unknown one."""
    return _attribute(_spec(name).implementation)


def load_config_model(name: str) -> "type[MethodConfig]":
    """The pydantic model of a method's configuration."""
    return _attribute(_spec(name).config)


def presets(name: str) -> list[str]:
    """The presets of a method, smallest first where their names are the usual ones."""
    folder = _folder(name) / "presets"
    return list(_presets_in(folder, folder.stat().st_mtime_ns)) if folder.exists() else []


@lru_cache(maxsize=256)
def _presets_in(folder: Path, mtime_ns: int) -> tuple[str, ...]:
    usual = ("tiny", "small", "paper")
    names = [file.stem for file in folder.glob("*.yaml")]
    order = sorted(names, key=lambda name: (usual.index(name) if name in usual else len(usual), name))
    return tuple(order)


def load_preset(name: str, preset: str) -> dict[str, Any]:
    """The settings of a preset, before validation. Raises RequestError for an unknown preset."""
    known = presets(name)
    if preset not in known:
        raise unknown_name(f"preset of {name}", preset, known)
    return _read(_folder(name) / "presets" / f"{preset}.yaml") or {}


def load_ablations(name: str) -> dict[str, dict[str, Any]]:
    """The declared axes of a method: {axis: {question, field, values, metric, expect, source}}; empty if none."""
    return _read(_folder(name) / "ablations.yaml") or {}


def load_published(name: str) -> list[dict[str, Any]]:
    """Published numbers that belong beside this method: rows {method, layout, metric, value, unit, source}.

    A row may say by which ``protocol`` it was measured, in which ``setting`` it was published (a table of its own),
    from which ``inputs``, and the ``flags`` of the rows that saw the same.
    """
    return _read(_folder(name) / "published.yaml") or []


def _spec(name: str) -> MethodSpec:
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]


def _folder(name: str) -> Path:
    _spec(name)
    return _FOUND[name][1]


def _attribute(reference: str) -> Any:
    module, attribute = reference.split(":")
    return getattr(importlib.import_module(module), attribute)


def _read(path: Path) -> Any:
    """The content of a YAML file, None where there is none; read once as long as it is not written again."""
    return _read_at(path, path.stat().st_mtime_ns) if path.exists() else None


@lru_cache(maxsize=256)
def _read_at(path: Path, mtime_ns: int) -> Any:
    import yaml

    from methods.yaml_words import read_yaml

    try:
        return read_yaml(path.read_text())
    except yaml.YAMLError as error:
        raise RequestError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from None
