"""Every cell's state: done and stale from the records, running and failed from the cells' folders."""

from pathlib import Path

from suite.failures import is_poison, read_failure
from suite.home import Home, read_json
from suite.lease import alive, read_lease
from suite.plan import Header

SHOWN_METRICS = 3


def every_cell(home: Home) -> list[Header]:
    """The headers of all cells with their state: those with a record, those begun, those of sweeps to run."""
    from reports.record import scan_records

    records, skipped = scan_records(home.records)
    headers = [_with_staleness(record.header) for record in records]
    headers += [{"cell": broken.path.name, "state": "failed", "reason": broken.reason} for broken in skipped]
    known = {header["cell"] for header in headers}
    folders = sorted(path for path in home.cells.glob("*") if path.is_dir())
    headers += [_unfinished(folder) for folder in folders if folder.name not in known]
    swept = _swept(home)
    for header in headers:
        said = swept.pop(header["cell"], {})
        header["axis"] = header.get("axis") or said.get("axis")
    return headers + list(swept.values())


def _swept(home: Home) -> dict[str, Header]:
    """What sweeps say of their cells, as if nobody had begun them."""
    found: dict[str, Header] = {}
    for path in sorted(home.sweeps.glob("*/sweep.json")):
        said = read_json(path) or {"points": ()}
        for point in said["points"]:
            for seed, cell in point["cells"].items():
                found.setdefault(
                    cell,
                    {
                        **{key: said[key] for key in ("task", "layout", "preset", "protocol", "synthetic")},
                        "cell": cell,
                        "method": point["method"],
                        "variant": point["variant"],
                        "axis": " x ".join(point["values"]) or None,
                        "seed": int(seed),
                        "state": "planned",
                        "reason": f"of sweep {said['sweep']}",
                    },
                )
    return found


def _unfinished(folder: Path) -> Header:
    header: Header = read_json(folder / "cell.json") or {"cell": folder.name}
    lease = read_lease(folder)
    failure = read_failure(folder)
    if lease and alive(lease):
        return {**header, "state": "running", "reason": f"process {lease['pid']} on {lease['host']}"}
    if failure:
        poison = f" ({failure['tries']} times: palmares requeue puts it back)" if is_poison(failure) else ""
        return {**header, "state": "failed", "reason": failure["reason"] + poison, "log": failure["log"]}
    return {
        **header,
        "state": "planned",
        "reason": "cut off: the same command goes on from the last checkpoint",
    }


def _with_staleness(header: Header) -> Header:
    """``stale`` where the code's or the protocol's version has moved on since the record was written."""
    from tasks.registry import PROTOCOLS, TASKS

    identity = header["identity"]
    task, protocol = TASKS.get(header["task"]), PROTOCOLS.get(header["protocol"]["name"])
    reasons = [] if header["kind"] == "external" else _moved_on(header)
    if task and task.version != identity["task_version"]:
        reasons.append(f"task version {identity['task_version']} is now {task.version}")
    if protocol and protocol.label != identity["protocol"]:
        reasons.append(f"protocol {identity['protocol']} is now {protocol.label}")
    return {**header, "state": "stale", "reason": "; ".join(reasons)} if reasons else header


def _moved_on(header: Header) -> list[str]:
    """Whose version is another one: the method's, and that of each method whose predictions it was given."""
    from methods.registry import METHODS

    reasons = []
    for name, identity in (("", header["identity"]), *header.get("inputs", {}).items()):
        method = METHODS.get(identity["method"])
        if method and method.version != identity["method_version"]:
            of = f" of its {name} ('{method.name}')" if name else ""
            reasons.append(f"method version{of} {identity['method_version']} is now {method.version}")
    return reasons


def describe(header: Header) -> str:
    """One line for people: cell, state, name and the first metrics or the reason."""
    variant = header.get("variant", "default")
    name = header.get("method", "?") + ("" if variant == "default" else f" [{variant}]")
    line = f"{header['cell']}  {header.get('state', 'planned'):<8} {name}, seed {header.get('seed', '?')}"
    if header.get("reason"):
        return f"{line}: {header['reason']}"
    return f"{line}  {_metrics(header)}".rstrip()


def _metrics(header: Header) -> str:
    from tasks.registry import METRICS, TASKS

    values = header.get("metrics", {})
    task = TASKS.get(header.get("task", ""))
    names = [name for name in (task.headline if task else values) if name in values][:SHOWN_METRICS]
    shown = []
    for name in names:
        digits = METRICS[name].digits if name in METRICS else 3
        value = values[name]["value"]
        shown.append(f"{name} {value:.{digits}f}" if value is not None else f"{name} undefined")
    return "  ".join(shown)
