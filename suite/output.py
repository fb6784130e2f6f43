"""What commands print: JSON for programs alone on standard output, a line a cell for people."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

WORK_FAILED, STOPPED = 1, 130


def print_json(value: Any) -> None:
    """JSON on standard output."""
    click.echo(json.dumps(value, indent=1))


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Whatever libraries print goes to standard error; standard output is ours."""
    kept = os.dup(1)
    sys.stdout.flush()
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def print_cells(headers: Sequence[dict[str, Any]], as_json: bool, one: bool = False) -> None:
    """Print cells, a line each or as JSON."""
    from reports.record import cell_json

    if as_json:
        shown = [cell_json(header) for header in headers]
        print_json(shown[0] if one else shown)
        return
    from suite.status import describe

    for header in headers:
        click.echo(describe(header))


def show_cells(headers: Sequence[dict[str, Any]], as_json: bool, one: bool = False) -> None:
    """Print cells and exit: 1 where one is not done."""
    print_cells(headers, as_json, one)
    sys.exit(WORK_FAILED if any(header["state"] != "done" for header in headers) else 0)
