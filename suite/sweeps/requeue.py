"""``palmares requeue``: failed cells are planned again, as they were or with other settings.

Other settings make another cell: the sweeps that had the failed one write down that it stands in for it, and run it
when they are given again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from suite.failures import forget, read_failure
from suite.home import Home, read_json, write_json
from suite.lease import alive, read_lease
from suite.plan import Header


def put_back(home: Home, reason: str | None, overrides: Mapping[str, str]) -> list[Header]:
    """Forget the failures whose reason holds ``reason``, all unless given; returns the cells' headers.

    Raises RequestError for settings that a cell's method does not have.
    """
    found = [folder for folder in sorted(home.cells.glob("*")) if _failed_for(folder, reason)]
    headers = [read_json(folder / "cell.json") or {"cell": folder.name} for folder in found]
    for header in headers:
        if overrides:
            _check(header, overrides)
    for folder, header in zip(found, headers, strict=True):
        if overrides:
            _stand_in(home, folder.name, overrides)
        forget(folder)
        header["label"] = _label(header, overrides)
    return headers


def _failed_for(folder: Path, reason: str | None) -> bool:
    failure, lease = read_failure(folder), read_lease(folder)
    if failure is None or (lease and alive(lease)):
        return False
    return reason is None or reason.lower() in f"{failure['kind']} {failure['reason']}".lower()


def _check(header: Header, overrides: Mapping[str, str]) -> None:
    from methods.config import check_key
    from methods.registry import load_config_model

    for key in overrides:
        check_key(load_config_model(header["identity"]["method"]), key)


def _stand_in(home: Home, cell: str, overrides: Mapping[str, str]) -> None:
    """Every sweep that has the cell writes down with which settings it is to be run."""
    for path in home.sweeps.glob("*/sweep.json"):
        declared = read_json(path)
        for point in declared["points"] if declared else ():
            for seed, mine in point["cells"].items():
                if mine == cell:
                    changed = point.setdefault("changed", {})
                    changed[seed] = {**changed.get(seed, {}), **overrides}
        if declared:
            write_json(path, declared)


def _label(header: Header, overrides: Mapping[str, str]) -> str:
    variant = header.get("variant")
    settings = ", ".join(f"{key}={value}" for key, value in overrides.items())
    parts = [
        header.get("method", "?"),
        f"[{variant}]" if variant != "default" else "",
        f"seed {header.get('seed')}",
    ]
    return " ".join(filter(None, parts)) + (f", with {settings}" if settings else "")
