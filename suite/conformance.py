"""The conformance suite: what every method must do, checked on a few synthetic hands in this process."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from methods.base import Method, Progress, Stage
from methods.registry import METHODS, load_config_model, load_method, load_preset, presets
from suite.loop import mix, whole_set
from tasks.errors import RequestError, unknown_name
from tasks.hands.hand import load_hand
from tasks.layouts.registry import load_synthesiser, open_layout
from tasks.registry import TASKS, load_task

SAMPLES = 16
BATCH = 8
STEPS = 30
RARELY = 0.01
"""Share of values that rounding may throw to the other side of a threshold, such as a vertex just hidden."""


@dataclass
class Bench:
    """A method at its tiny preset with a handful of synthetic samples."""

    method: Method
    task: Any
    data: dict[str, Any]

    def batch(self) -> Any:
        return self.data["train"].gather(torch.arange(BATCH))

    def built(self, seed: int = 0) -> dict[str, nn.Module]:
        """Fresh, untrained modules of all stages."""
        modules: dict[str, nn.Module] = {}
        for stage in self.method.stages():
            torch.manual_seed(mix(seed, -2, 0))
            modules[stage.name] = stage.build(self.method.config, self.method.hand, modules)
        return modules


def examine(name: str) -> Iterator[dict[str, Any]]:
    """Yield ``{"name", "ok", "why"}`` for each requirement. Raises RequestError for an unknown method."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    yield _tried("", presets_are_valid, name)
    for task in METHODS[name].tasks:
        with tempfile.TemporaryDirectory() as folder:
            bench = make_bench(name, task, Path(folder) / "data")
            for requirement in REQUIREMENTS:
                yield _tried(f"{task}: ", requirement, bench)


def _tried(prefix: str, requirement: Callable[[Any], str], subject: Any) -> dict[str, Any]:
    try:
        why = requirement(subject)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    text = (requirement.__doc__ or requirement.__name__).rstrip(".")
    return {"name": prefix + text, "ok": not why, "why": why}


def make_bench(name: str, task_name: str, root: Path) -> Bench:
    """The bench of a method on one of its tasks; its synthetic data are made at ``root``."""
    task = load_task(task_name)
    layout = TASKS[task_name].layouts[0]
    load_synthesiser(layout)(root, size=SAMPLES, seed=0, workers=1, progress=None)
    config = load_config_model(name).model_validate(load_preset(name, "tiny"))
    method = load_method(name)(config, load_hand())
    return Bench(method, task, task.open(open_layout(layout, root), config.image_size_px))


def presets_are_valid(name: str) -> str:
    """Every preset gives a valid configuration."""
    missing = {"tiny"} - set(presets(name))
    if missing:
        return "there is no preset 'tiny'"
    for preset in presets(name):
        load_config_model(name).model_validate(load_preset(name, preset))
    return ""


def unknown_settings_are_refused(bench: Bench) -> str:
    """An unknown setting is refused."""
    from methods.config import resolve_config

    try:
        resolve_config(load_config_model(bench.method.spec.name), {}, {"no_such_setting": "1"})
    except RequestError:
        return ""
    return "an unknown setting was accepted"


def stages_form_an_order(bench: Bench) -> str:
    """Every stage comes after those it needs."""
    seen: set[str] = set()
    for stage in bench.method.stages():
        if stage.name in seen:
            return f"two stages are named '{stage.name}'"
        if not set(stage.needs) <= seen:
            return f"stage '{stage.name}' needs a stage that is not before it"
        seen.add(stage.name)
    return ""


def building_is_seeded(bench: Bench) -> str:
    """The same seed builds the same network."""
    for name, module in bench.built(1).items():
        again = bench.built(1)[name].state_dict()
        if any(not torch.equal(value, again[key]) for key, value in module.state_dict().items()):
            return f"stage '{name}' differs between two builds with one seed"
    return ""


def training_lowers_the_loss(bench: Bench) -> str:
    """Training lowers the loss."""
    modules = bench.built()
    for stage in bench.method.stages():
        why = _train_a_little(bench, stage, modules[stage.name])
        if why:
            return f"stage '{stage.name}': {why}"
    return ""


def _train_a_little(bench: Bench, stage: Stage, module: nn.Module) -> str:
    batch = bench.batch()
    if stage.fit is not None:
        stage.fit(module, whole_set(stage, bench.data["train"], BATCH))
        return ""
    optimiser = torch.optim.Adam(module.parameters(), lr=bench.method.config.training.learning_rate)
    losses = []
    for step in range(STEPS):
        optimiser.zero_grad()
        total = stage.loss(module, batch, Progress(0, 1, step, STEPS))["total"]
        total.backward()
        optimiser.step()
        losses.append(float(total.detach()))
    if not np.isfinite(losses).all():
        return "the loss is not finite"
    first, last = np.mean(losses[:5]), np.mean(losses[-5:])
    return "" if last < first else f"{STEPS} steps on one batch took the loss from {first:.4g} to {last:.4g}"


def predictions_have_the_declared_fields(bench: Bench) -> str:
    """Predictions have the declared fields."""
    declared = bench.task.spec.prediction_fields
    fields = bench.method.predict(_eval(bench.built()), bench.batch())
    unknown = set(fields) - set(declared)
    required = {name for name, text in declared.items() if "required" in text}
    if unknown:
        return f"not a field of task {bench.task.spec.name}: {', '.join(sorted(unknown))}"
    if not required <= set(fields):
        return f"missing: {', '.join(sorted(required - set(fields)))}"
    broken = [
        name for name, value in fields.items() if len(value) != BATCH or not torch.isfinite(value).all()
    ]
    return f"wrong length or not finite: {', '.join(broken)}" if broken else ""


def predictions_survive_saving(bench: Bench) -> str:
    """Predictions survive saving and loading."""
    modules = bench.built(1)
    before = bench.method.predict(_eval(modules), bench.batch())
    fresh = bench.built(2)
    with tempfile.TemporaryDirectory() as folder:
        for name, module in modules.items():
            torch.save(module.state_dict(), Path(folder) / name)
            fresh[name].load_state_dict(torch.load(Path(folder) / name, weights_only=True))
    after = bench.method.predict(_eval(fresh), bench.batch())
    differing = [name for name in before if not torch.equal(before[name], after[name])]
    return f"differs after saving and loading: {', '.join(differing)}" if differing else ""


def samples_do_not_mix(bench: Bench) -> str:
    """One sample's prediction does not depend on another's."""
    modules = _eval(bench.built())
    whole = bench.method.predict(modules, bench.batch())
    alone = bench.method.predict(modules, bench.data["train"].gather(torch.arange(1)))
    differing = [name for name in whole if _share_differing(whole[name][:1], alone[name]) > RARELY]
    return f"depends on the other samples of the batch: {', '.join(differing)}" if differing else ""


def _share_differing(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((~torch.isclose(a, b, atol=1e-4)).float().mean())


def predictions_can_be_scored(bench: Bench) -> str:
    """Predictions can be scored."""
    from tasks.registry import PROTOCOLS

    fields = bench.method.predict(_eval(bench.built()), bench.data["test"].gather(torch.arange(4)))
    arrays = {name: value.float().numpy() for name, value in fields.items()}
    protocol = PROTOCOLS[bench.task.spec.protocols[bench.task.spec.layouts[0]]]
    scores = bench.task.score(protocol, arrays, bench.data["test"], np.arange(4))
    ranking = bench.task.spec.headline[0]
    return "" if np.isfinite(scores.columns[ranking]).all() else f"{ranking} is not finite"


def _eval(modules: dict[str, nn.Module]) -> dict[str, nn.Module]:
    return {name: module.eval().requires_grad_(False) for name, module in modules.items()}


REQUIREMENTS: tuple[Callable[[Bench], str], ...] = (
    unknown_settings_are_refused,
    stages_form_an_order,
    building_is_seeded,
    training_lowers_the_loss,
    predictions_have_the_declared_fields,
    predictions_survive_saving,
    samples_do_not_mix,
    predictions_can_be_scored,
)
"""Each says in its docstring what must hold, and returns what is wrong, or nothing."""
