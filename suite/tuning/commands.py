"""``palmares tune``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from suite.home import Home
from suite.options import address_option, cpus_option, gpus_option, json_option, pairs, request_options
from suite.output import STOPPED, print_json, quiet_stdout

if TYPE_CHECKING:
    from suite.plan import Request
    from suite.tuning.tuning import Tuning

SHOWN = 10


@click.command()
@request_options
@click.option(
    "--search",
    "searched",
    multiple=True,
    callback=pairs,
    metavar="KEY=VALUES",
    help="What to search: KEY=LOW..HIGH, KEY=LOW..HIGH:log, or KEY=A,B,C.",
)
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="In all.")
@click.option("--stage", help="The stage whose loss counts.  [default: the method's last]")
@click.option("--loss", default="total", show_default=True, help="The validation loss that counts.")
@click.option("--early-stopping/--no-early-stopping", default=True, show_default=True, help="ASHA.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Most trials at once, for which a cluster may grow.  [default: what fits]",
)
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Of Ray Train, each trial."
)
@cpus_option
@gpus_option
@address_option
@json_option
def tune(
    request: Request,
    searched: dict[str, str],
    trials: int,
    stage: str | None,
    loss: str,
    early_stopping: bool,
    jobs: int | None,
    workers: int,
    cpus_per_worker: int | None,
    gpus_per_worker: float,
    address: str | None,
    as_json: bool,
) -> None:
    """Search METHOD's settings for the lowest validation loss: Optuna draws, ASHA stops what falls behind.

    A tuning evaluates nothing and fills no table: palmares run does, with the settings that it ends with. Run again, it
    goes on where it ended.
    """
    from suite.data import request_source
    from suite.train import Resources
    from suite.tuning.run import run_tuning
    from suite.tuning.space import parse_space
    from suite.tuning.tuning import make_tuning, rows

    space = parse_space(searched)
    home = Home.from_environment()
    home.require_writable()
    with quiet_stdout():
        tuning = make_tuning(request, space, stage, loss, request_source(home, request))
        resources = Resources.asked(workers, cpus_per_worker, gpus_per_worker)
        stopped = run_tuning(home, tuning, trials, resources, jobs, address, early_stopping)
    found = rows(tuning, home)
    if as_json:
        print_json(found)
    elif found:
        _show(tuning, found)
    else:
        click.echo(
            "no trial has a loss yet." if stopped else "no trial has a loss: every one failed.", err=True
        )
    if stopped:
        click.echo(f"palmares: {stopped}: the same command goes on where it ended.", err=True)
        sys.exit(STOPPED)
    sys.exit(0 if found else 1)


def _show(tuning: Tuning, found: list[dict[str, Any]]) -> None:
    """The best trials, and the settings to go on with."""
    click.echo(f"{tuning.curve} and how much was trained, the lowest first; tuning {tuning.id}")
    for row in found[:SHOWN]:
        texts = "  ".join(f"{key}={text}" for key, text in row["settings"].items())
        click.echo(f"{row['loss']:<10.4g}  {row['percent']:>3} %  {texts}")
    asked = tuning.request
    settings = {**asked.overrides, **found[0]["settings"]}
    sets = " ".join(f"--set {key}={text}" for key, text in settings.items())
    click.echo(f"palmares run {asked.method} --task {asked.task} --preset {asked.preset} {sets}")
