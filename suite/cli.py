"""The command line: parses, calls one function, prints. Only what needs torch or Ray imports them."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite import environment
from suite.home import Home
from suite.options import (
    address_option,
    cpus_option,
    data_option,
    gpus_option,
    json_option,
    layout_option,
    pairs,
    protocol_option,
    request_options,
    seeds_option,
    task_option,
    workers_option,
)
from suite.output import STOPPED, WORK_FAILED, print_json, quiet_stdout, show_cells
from suite.sweeps.commands import plan, requeue, sweep
from suite.tuning.commands import tune
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from suite.plan import Request
    from suite.train import Resources

WRONG_REQUEST = 2


class Commands(click.Group):
    """A group that answers a mistyped command with the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise unknown_name("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="palmares", prog_name="palmares")
def cli() -> None:
    """Palmares: benchmark and ablation suite for 3D hand reconstruction.

    Records, caches and the embedded MLflow database live in PALMARES_HOME (default ./runs). PALMARES_MANO names a
    folder with MANO_RIGHT.pkl and MANO_LEFT.pkl; without it the open procedural hand is used.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 the work failed, 2 the request was wrong, 130 stopped by Ctrl-C."""
    environment.apply()
    try:
        code = cli.main(args=arguments, prog_name="palmares", standalone_mode=False)
    except RequestError as error:
        code = _complain(str(error), WRONG_REQUEST)
    except click.ClickException as error:
        code = _complain(error.format_message(), WRONG_REQUEST)
    except (click.Abort, KeyboardInterrupt):
        code = _complain("stopped: the same command goes on from the last checkpoint.", STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    print(f"palmares: {' '.join(message.split())}", file=sys.stderr)
    return code


@cli.command("list")
@click.argument("what", metavar="methods|tasks|layouts|protocols|ablations|metrics|clusters")
@json_option
def list_command(what: str, as_json: bool) -> None:
    """What there is, a line each."""
    from suite.listing import listing

    rows = listing(what)
    if as_json:
        print_json(rows)
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['summary']}")


@cli.command()
@json_option
def doctor(as_json: bool) -> None:
    """What is installed and found here, and what follows from it."""
    from suite.doctor import examine

    findings = examine()
    if as_json:
        print_json(findings)
        return
    for finding in findings:
        mark = "found  " if finding["found"] else "missing"
        click.echo(f"{mark}  {finding['name']:<12} {finding['value']:<28} {finding['follows']}".rstrip())


@cli.group(cls=Commands)
def data() -> None:
    """Synthetic data in official layouts, and a check of any copy."""


@data.command("make")
@click.argument("layout")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--size", type=click.IntRange(min=1), default=1000, show_default=True, help="Unique training samples."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed: same bytes."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=os.cpu_count(), help="Processes.  [default: all cores]"
)
def data_make(layout: str, out: Path, size: int, seed: int, workers: int) -> None:
    """Write synthetic data in the official LAYOUT to the folder OUT."""
    from suite.progress import Progress
    from tasks.layouts.registry import load_synthesiser

    make = load_synthesiser(layout)
    with Progress(f"making {layout} in {out}", "samples") as show:
        make(out, size=size, seed=seed, workers=workers, progress=show)
    click.echo(out)


@data.command("check")
@click.argument("layout")
@click.argument("root", type=click.Path(path_type=Path))
def data_check(layout: str, root: Path) -> None:
    """Read every record of a dataset folder and list every problem; exit 1 if there is any."""
    from tasks.layouts.registry import open_layout

    if not root.is_dir():
        raise RequestError(f"no data folder at '{root}': expected a copy in the {layout} layout.")
    count = 0
    for problem in open_layout(layout, root).check():
        click.echo(str(problem))
        count += 1
    click.echo(
        f"{root}: {count} problem{'s' * (count != 1)} found" if count else f"{root}: no problem found",
        err=True,
    )
    sys.exit(WORK_FAILED if count else 0)


@cli.command()
@request_options
@workers_option
@cpus_option
@gpus_option
@address_option
@json_option
def run(
    request: "Request",
    workers: int,
    cpus_per_worker: int | None,
    gpus_per_worker: float,
    address: str | None,
    as_json: bool,
) -> None:
    """Train METHOD's stages that are not cached, evaluate and record; a cell that is done is not run again.

    SOURCE+METHOD gives the joints that SOURCE predicts to a METHOD that is driven by keypoints; SOURCE is run first.
    Its settings have its name in front: --set SOURCE.KEY=VALUE.
    """
    from suite.train import Resources

    home = Home.from_environment()
    home.require_writable()
    headers = _run(home, [request], Resources.asked(workers, cpus_per_worker, gpus_per_worker), address)
    show_cells(headers, as_json)


def _run(
    home: Home, requests: list[Any], resources: "Resources", address: str | None
) -> list[dict[str, Any]]:
    from suite.data import request_source
    from suite.plan import make_cells
    from suite.run import run_cells

    cells = [cell for request in requests for cell in make_cells(request, request_source(home, request))]
    with quiet_stdout():
        return run_cells(home, cells, resources, address)


def _mirror(home: Home, headers: list[dict[str, Any]]) -> None:
    """Mirror finished cells to MLflow; when that fails, ``sync`` does it later."""
    from reports.tracking.live import LiveMirror

    with quiet_stdout():
        mirror = LiveMirror(home.root)
        for header in headers:
            mirror.finish(home.records / header["cell"])
        mirror.close()


@cli.command()
@json_option
def status(as_json: bool) -> None:
    """Every cell's state; failures with their reason and last log lines."""
    from reports.record import cell_json
    from suite.status import describe, every_cell

    headers = every_cell(Home.from_environment())
    if as_json:
        print_json([cell_json(header) for header in headers])
        return
    for header in headers:
        click.echo(describe(header))
        for line in header.get("log", ()):
            click.echo(f"    {line}")
    if not headers:
        click.echo("no cells yet: palmares run METHOD", err=True)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@task_option
@layout_option
@data_option
@protocol_option
@click.option("--as", "name", required=True, help="The row's name.")
@click.option(
    "--sees",
    multiple=True,
    metavar="FLAG",
    help="What was given at test time beside the image, e.g. true_scale.",
)
@click.option(
    "--about",
    multiple=True,
    callback=pairs,
    metavar="KEY=VALUE",
    help="Training data, backbone and the like.",
)
@click.option("--as-is", is_flag=True, help="Score the file even if its order, axes or units look wrong.")
@click.option("--replace", is_flag=True, help="Replace other predictions under this name.")
@json_option
def evaluate(
    file: Path,
    task: str,
    layout: str | None,
    root: Path | None,
    protocol: str | None,
    name: str,
    sees: tuple[str, ...],
    about: dict[str, str],
    as_is: bool,
    replace: bool,
    as_json: bool,
) -> None:
    """Score anybody's predictions FILE, in the layout's official submission format, and record them as a row."""
    from suite.external import Submission, check_request, evaluate_file
    from suite.progress import Progress

    submission = Submission(file, name, task, layout, root, protocol, as_is, sees, about, replace)
    check_request(submission)
    home = Home.from_environment()
    home.require_writable()
    with quiet_stdout(), Progress(f"scoring {file.name}", "samples") as show:
        header = evaluate_file(home, submission, show)
    _mirror(home, [header])
    show_cells([header], as_json, one=True)


@cli.command()
@click.argument("cells", nargs=-1, required=True, metavar="CELL...")
@click.option("--protocol", required=True, help="The protocol to score by: palmares list protocols.")
@data_option
@json_option
def rescore(cells: tuple[str, ...], protocol: str, root: Path | None, as_json: bool) -> None:
    """Score stored predictions of CELL... by another protocol; no network runs."""
    from suite.progress import Progress
    from suite.stored import rescore as score_again

    home = Home.from_environment()
    with quiet_stdout(), Progress(f"scoring by {protocol}", "samples") as show:
        headers = score_again(home, list(cells), protocol, root, show)
    _mirror(home, headers)
    show_cells(headers, as_json)


@cli.command()
@click.argument("run_id", metavar="CELL")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@data_option
def predict(run_id: str, out: Path, root: Path | None) -> None:
    """Write a cell's test predictions in its layout's official submission format."""
    from suite.stored import predict as write

    click.echo(write(Home.from_environment(), run_id, out, root))


@cli.command()
@click.argument("run_id", metavar="CELL")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--format", "file_format", default="ply", show_default=True, help="ply or obj.")
@click.option("--seal", is_flag=True, help="Close a hand model's mesh at the wrist, as it is scored.")
def meshes(run_id: str, out: Path, file_format: str, seal: bool) -> None:
    """Write every hand mesh that a two-hand cell predicts, in metres of the camera frame, and an index of them."""
    from suite.meshes import write_meshes

    with quiet_stdout():
        index = write_meshes(Home.from_environment(), run_id, out, file_format, seal)
    click.echo(index)


@cli.command()
@click.argument("a")
@click.argument("b")
@click.option("--metric", help="Metric to compare.  [default: the one that ranks]")
@json_option
def compare(a: str, b: str, metric: str | None, as_json: bool) -> None:
    """Two rows, paired over their samples: difference A minus B, its interval, the verdict.

    A and B are cells, methods or method@variant; all seeds of a row count.
    """
    from reports import compare as comparing

    records = Home.from_environment().records
    if as_json:
        print_json(comparing.compare(records, a, b, metric))
    else:
        click.echo(comparing.compare_text(records, a, b, metric))


@cli.command()
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the report.  [default: PALMARES_HOME/report]"
)
@click.option("--task", help="Only this task.  [default: all]")
@click.option("--formats", default="html,md,tex,csv", show_default=True)
@click.option(
    "--verify",
    is_flag=True,
    help="Recompute every number of a report from its records; exit 1 on a mismatch.",
)
def report(out: Path | None, task: str | None, formats: str, verify: bool) -> None:
    """Tables, figures and the page, made of the records alone."""
    from suite.reporting import make_report, recompute, report_formats

    home = Home.from_environment()
    folder = out or home.report
    wanted = report_formats(formats)
    if verify:
        mismatches = recompute(home, folder)
        for mismatch in mismatches:
            click.echo(mismatch)
        click.echo(f"{folder}: {len(mismatches) or 'no'} mismatch{'es' * (len(mismatches) != 1)}", err=True)
        sys.exit(WORK_FAILED if mismatches else 0)
    click.echo(make_report(home, folder, task, wanted))


@cli.command()
@json_option
def sync(as_json: bool) -> None:
    """Mirror records, failures, sweeps and tunings to the MLflow server now configured; twice changes nothing more."""
    from dataclasses import asdict

    from reports.tracking.store import tracking_uri
    from reports.tracking.sync import sync as mirror_all
    from suite.status import every_cell
    from suite.sweeps.run import every_sweep
    from suite.tuning.mirrored import every_tuning

    home = Home.from_environment()
    home.require_writable()
    with quiet_stdout():
        outcome = mirror_all(home.root, every_sweep(home), every_cell(home), every_tuning(home))
    if as_json:
        print_json(asdict(outcome))
    else:
        click.echo(
            f"{tracking_uri(home.root)}: {len(outcome.mirrored)} mirrored, {len(outcome.unchanged)} unchanged, "
            f"{len(outcome.failed)} failed"
        )
        for cell, reason in outcome.failed.items():
            click.echo(f"  {cell}: {reason}", err=True)
    sys.exit(WORK_FAILED if outcome.failed else 0)


@cli.command()
@click.argument("method")
@json_option
def check(method: str, as_json: bool) -> None:
    """The conformance suite on one method: ticks and crosses, exit 1 on a cross."""
    from suite.conformance import examine

    results = []
    for result in examine(method):
        results.append(result)
        if not as_json:
            click.echo(
                f"{'✓' if result['ok'] else '✗'} {result['name']}{': ' + result['why'] if result['why'] else ''}"
            )
    if as_json:
        print_json(results)
    sys.exit(0 if all(result["ok"] for result in results) else WORK_FAILED)


@cli.command()
@seeds_option
@workers_option
def demo(seeds: list[int], workers: int) -> None:
    """Synthetic data, every method at its tiny preset, a small ablation each, the report; prints the leaderboard and
    the report's path."""
    from suite.data import request_source
    from suite.demo import requests, sweeps
    from suite.reporting import FORMATS, make_report
    from suite.sweeps.run import run_sweep
    from suite.sweeps.sweep import find_sweep
    from suite.train import Resources

    home = Home.from_environment()
    home.require_writable()
    headers = _run(home, requests(seeds), Resources(workers), None)
    for request, axis in sweeps(seeds):
        found = find_sweep(home, request, (axis,), request_source(home, request))
        with quiet_stdout():
            headers += run_sweep(home, found, Resources(0), jobs=1).headers
    click.echo(make_report(home, home.report, None, FORMATS))
    sys.exit(WORK_FAILED if any(header["state"] != "done" for header in headers) else 0)


for command in (plan, sweep, requeue, tune):
    cli.add_command(command)
