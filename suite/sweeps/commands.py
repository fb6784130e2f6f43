"""``palmares plan``, ``sweep`` and ``requeue``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from suite.home import Home
from suite.options import (
    address_option,
    gpus_option,
    json_option,
    pairs,
    request_options,
)
from suite.output import print_json, quiet_stdout

if TYPE_CHECKING:
    from suite.plan import Request
    from suite.sweeps.sweep import Sweep
    from suite.train import Resources

STOPPED = 130
axes_argument = click.argument("axes", nargs=-1, metavar="[AXIS]...")
grid_option = click.option("--grid", "as_grid", is_flag=True, help="Every combination of the axes' values.")
jobs_option = click.option("--jobs", type=click.IntRange(min=1), help="Cells at once.  [default: what fits]")
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Ray Train workers of a cell; 0: it trains in its trial's process.  [default: 0 for small cells, else 1]",
)


@click.command()
@request_options
@axes_argument
@grid_option
@jobs_option
@workers_option
@gpus_option
@json_option
def plan(
    request: Request,
    axes: tuple[str, ...],
    as_grid: bool,
    jobs: int | None,
    workers: int | None,
    gpus_per_worker: float,
    as_json: bool,
) -> None:
    """What a sweep over METHOD's declared axes (all, or those named) would run, share and cost. Starts nothing."""
    from suite.sweeps.forecast import Costs
    from suite.sweeps.plan import forecast, forecast_json, forecast_lines, places_here

    home = Home.from_environment()
    found, is_made = find_sweep(home, request, axes, as_grid, make=False)
    outlook = forecast(home, found, Costs.of(home, {cell.method.name for cell in found.cells}))
    at = places_here(_resources(found, workers, gpus_per_worker), jobs)
    if as_json:
        print_json(forecast_json(found, outlook, at))
        return
    for line in forecast_lines(found, outlook, at):
        click.echo(line)
    if not is_made:
        click.echo("the synthetic data are not made yet: a sweep makes them first.", err=True)


@click.command()
@request_options
@axes_argument
@grid_option
@jobs_option
@workers_option
@gpus_option
@address_option
@click.option("--budget", help="Begin no more cells once so much is spent: 8gpuh, 2.5cpuh.")
@json_option
def sweep(
    request: Request,
    axes: tuple[str, ...],
    as_grid: bool,
    jobs: int | None,
    workers: int | None,
    gpus_per_worker: float,
    address: str | None,
    budget: str | None,
    as_json: bool,
) -> None:
    """Run METHOD's declared ablations (all, or the named axes), one axis at a time, under Ray Tune.

    Run again, it does only what is missing. palmares report shows the tables.
    """
    from suite.sweeps.budget import parse_budget
    from suite.sweeps.run import run_sweep

    limit = parse_budget(budget) if budget else None
    home = Home.from_environment()
    home.require_writable()
    found, _ = find_sweep(home, request, axes, as_grid, make=True)
    resources = _resources(found, workers, gpus_per_worker)
    with quiet_stdout():
        outcome = run_sweep(home, found, resources, jobs, address, limit)
    _show(found, outcome.headers, as_json)
    if outcome.stopped:
        click.echo(f"palmares: {outcome.stopped}: the same command goes on where it ended.", err=True)
    sys.exit(outcome.exit_code)


@click.command()
@click.option("--reason", help="Only cells whose reason of failure holds this text.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    callback=pairs,
    metavar="KEY=VALUE",
    help="Run them with other settings.",
)
@json_option
def requeue(reason: str | None, overrides: dict[str, str], as_json: bool) -> None:
    """Put failed cells back, so that the sweep that had them runs them again when it is given again."""
    from suite.sweeps.requeue import put_back

    home = Home.from_environment()
    cells = put_back(home, reason, overrides)
    if as_json:
        print_json(cells)
        return
    for cell in cells:
        click.echo(f"{cell['cell']}  planned  {cell['label']}")
    if not cells:
        click.echo("no failed cell" + (f" with '{reason}' in its reason" if reason else ""), err=True)


def find_sweep(
    home: Home, request: Request, axes: tuple[str, ...], as_grid: bool, make: bool
) -> tuple[Sweep, bool]:
    """The sweep, and whether its data are there; they are made first where ``make`` says so."""
    from suite.data import DataSource, known_source, open_source
    from suite.plan import resolve_names
    from suite.progress import Progress
    from suite.sweeps.axes import choose
    from suite.sweeps.sweep import make_sweep, with_changes

    choose(request.method.rpartition("+")[2], axes)
    layout = resolve_names(request)[2]
    there = request.data is not None or known_source(home, layout, None, request.size) is not None
    if make or there:
        with Progress(f"data ({layout})", "samples") as show:
            data = open_source(home, layout, request.data, request.size, show)
    else:
        data = DataSource(home.synthetic, "not made yet", synthetic=True)
    return with_changes(home, make_sweep(request, axes, data, as_grid), data), there


def _resources(found: Sweep, workers: int | None, gpus: float) -> Resources:
    from suite.sweeps.sweep import is_small
    from suite.train import Resources

    if workers is None:
        workers = 0 if is_small(found) else 1
    return Resources(workers, gpus_per_worker=gpus)


def _show(found: Sweep, headers: list[dict[str, Any]], as_json: bool) -> None:
    from reports.record import cell_json
    from suite.status import describe

    if as_json:
        print_json([cell_json(header) for header in headers])
        return
    for header in headers:
        click.echo(describe(header))
