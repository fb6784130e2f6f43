"""``palmares plan``, ``sweep`` and ``requeue``."""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import click

from suite.home import Home
from suite.options import address_option, cpus_option, gpus_option, json_option, pairs, request_options
from suite.output import print_cells, print_json, quiet_stdout

if TYPE_CHECKING:
    from suite.plan import Request
    from suite.sweeps.sweep import Sweep
    from suite.train import Resources

SWEEP_OPTIONS = (
    request_options,
    click.argument("axes", nargs=-1, metavar="[AXIS]..."),
    click.option("--grid", "as_grid", is_flag=True, help="Every combination of the axes' values."),
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        help="Most cells at once, for which a cluster may grow.  [default: what fits]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        help="Ray Train workers of a cell; 0: it trains in its trial's process.  [default: 0 for small cells, else 1]",
    ),
    cpus_option,
    gpus_option,
)


@dataclass(frozen=True)
class Asked:
    """What ``plan`` and ``sweep`` are asked for."""

    request: Request
    axes: tuple[str, ...]
    as_grid: bool
    jobs: int | None
    workers: int | None
    cpus_per_worker: int | None
    gpus_per_worker: float

    def scored(self) -> Asked:
        """The same with the protocol that measures what the axes ask about; says so where it is not the official one.

        Raises RequestError for an unknown axis.
        """
        from suite.sweeps.scored import scored

        request, said = scored(self.request, self.axes)
        for line in said:
            click.echo(line, err=True)
        return replace(self, request=request)

    def resources(self, found: Sweep) -> Resources:
        """What a cell may use: small ones have no workers of their own unless they are asked for."""
        from suite.sweeps.sweep import is_small
        from suite.train import Resources

        workers = self.workers if self.workers is not None else 0 if is_small(found) else 1
        return Resources.asked(workers, self.cpus_per_worker, self.gpus_per_worker)


def sweep_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of ``plan`` and ``sweep``, given to the command as one ``Asked``."""
    names = [field.name for field in fields(Asked)[1:]]

    @functools.wraps(command)
    def called(request: Request, **options: Any) -> Any:
        return command(Asked(request, **{name: options.pop(name) for name in names}), **options)

    for option in reversed(SWEEP_OPTIONS):
        called = option(called)
    return called


@contextlib.contextmanager
def all_kept() -> Iterator[None]:
    """Thousands of cells are made in here and none is let go: to look for what is would take a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@click.command()
@sweep_options
@json_option
@all_kept()
def plan(asked: Asked, as_json: bool) -> None:
    """What a sweep over METHOD's declared axes (all, or those named) would run, share and cost. Starts nothing."""
    from suite.data import DataSource, source_at_hand
    from suite.sweeps.forecast import Costs
    from suite.sweeps.plan import forecast, forecast_json, forecast_lines, here
    from suite.sweeps.sweep import find_sweep

    home = Home.from_environment()
    asked = asked.scored()
    source = source_at_hand(home, asked.request)
    found = find_sweep(home, asked.request, asked.axes, source or DataSource.unmade(home), asked.as_grid)
    outlook = forecast(home, found, Costs.of(home, {cell.method.name for cell in found.cells}))
    room = here(asked.resources(found), asked.jobs)
    if as_json:
        print_json(forecast_json(found, outlook, room))
        return
    for line in forecast_lines(found, outlook, room):
        click.echo(line)
    if source is None:
        click.echo("the synthetic data are not made yet: a sweep makes them first.", err=True)


@click.command()
@sweep_options
@address_option
@click.option("--budget", help="Begin no more cells once so much is spent: 8gpuh, 2.5cpuh.")
@json_option
def sweep(asked: Asked, address: str | None, budget: str | None, as_json: bool) -> None:
    """Run METHOD's declared ablations (all, or the named axes), one axis at a time, under Ray Tune.

    Run again, it does only what is missing. palmares report shows the tables.
    """
    from suite.data import request_source
    from suite.sweeps.budget import parse_budget
    from suite.sweeps.run import run_sweep
    from suite.sweeps.sweep import find_sweep

    limit = parse_budget(budget) if budget else None
    home = Home.from_environment()
    home.require_writable()
    asked = asked.scored()
    found = find_sweep(home, asked.request, asked.axes, request_source(home, asked.request), asked.as_grid)
    with quiet_stdout():
        outcome = run_sweep(home, found, asked.resources(found), asked.jobs, address, limit)
    print_cells(outcome.headers, as_json)
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
