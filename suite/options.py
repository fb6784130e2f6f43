"""Options that several commands share, and how their values are read."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tasks.errors import RequestError

PAIR_EXAMPLES = {
    "overrides": "training.epochs=5",
    "about": "backbone=resnet50",
    "searched": "training.learning_rate=1e-4..1e-2:log",
}


def pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``key=value`` texts as a mapping. Raises RequestError."""
    pairs = {}
    for value in values:
        key, separator, text = value.partition("=")
        if not separator or not key:
            example = PAIR_EXAMPLES[str(parameter.name)]
            raise RequestError(
                f"{parameter.opts[0]} got '{value}': expected key=value, for example {example}."
            )
        pairs[key.strip()] = text.strip()
    return pairs


def seeds(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """``0,1,2`` as numbers. Raises RequestError."""
    try:
        seeds = [int(part) for part in value.split(",")]
    except ValueError:
        raise RequestError(
            f"--seeds got '{value}': expected whole numbers with commas, for example 0,1,2."
        ) from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise RequestError(f"--seeds got '{value}': expected different numbers that are not negative.")
    return seeds


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs, alone on standard output."
)
task_option = click.option("--task", default="single_hand", show_default=True, help="Benchmark task.")
layout_option = click.option("--layout", help="Dataset layout.  [default: the task's first]")
data_option = click.option(
    "--data", "root", type=click.Path(path_type=Path), help="Dataset folder.  [default: synthetic data]"
)
protocol_option = click.option("--protocol", help="How to score.  [default: the layout's official protocol]")
method_argument = click.argument("method")
seeds_option = click.option(
    "--seeds", default="0", show_default=True, callback=seeds, help="Training seeds, with commas."
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True, help="0: in this process, no Ray."
)
cpus_option = click.option(
    "--cpus-per-worker",
    type=click.IntRange(min=1),
    help="Name it where machines are still to be started.  [default: as many as there is room for]",
)
gpus_option = click.option("--gpus-per-worker", type=click.FloatRange(min=0), default=0.0, show_default=True)
address_option = click.option("--address", help="Ray cluster to use.  [default: one started here]")


REQUEST_OPTIONS = (
    method_argument,
    task_option,
    layout_option,
    data_option,
    protocol_option,
    click.option(
        "--size", type=click.IntRange(min=16), help="Unique training samples of the synthetic default."
    ),
    click.option("--preset", default="tiny", show_default=True, help="The method's preset."),
    click.option(
        "--set", "overrides", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Override a setting."
    ),
    seeds_option,
)


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is asked for: method, task, data, protocol, preset, settings and seeds, given to the command as one
    ``Request`` whose names and settings are sound."""

    @functools.wraps(command)
    def called(
        method: str,
        task: str,
        layout: str | None,
        root: Path | None,
        protocol: str | None,
        size: int | None,
        preset: str,
        overrides: dict[str, str],
        seeds: list[int],
        **others: Any,
    ) -> Any:
        from suite.data import require_folder
        from suite.plan import Request, resolve_names, resolve_settings

        request = Request(method, task, layout, root, size, preset, overrides, seeds, protocol)
        require_folder(resolve_names(request)[2], root)
        resolve_settings(request)
        return command(request, **others)

    for option in reversed(REQUEST_OPTIONS):
        called = option(called)
    return called
