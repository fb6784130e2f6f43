"""The conformance suite: what every method must do, checked on a few synthetic samples in this process.

A method that is driven by keypoints is examined on true ones, and its training as well on such as another method might
predict.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from methods.base import Method, Progress, Stage
from methods.registry import METHODS, load_config_model, load_method, load_preset, presets
from suite.evaluate import on_host
from suite.loop import mix, whole_set
from suite.worker import upstream_of
from tasks.base import Metric, Protocol, TaskSpec
from tasks.errors import RequestError, unknown_name
from tasks.hands.hand import load_hand
from tasks.layouts.registry import load_synthesiser, open_layout
from tasks.ragged import Field, Ragged
from tasks.registry import PROTOCOLS, TASKS, load_task, metrics_of

SAMPLES = 16
BATCH = 8
STEPS = 30
SCORED = 4
RARELY = 0.01
"""Share of values that rounding may throw to the other side of a threshold, such as a vertex just hidden."""
ANOTHER = "another method"
KEYPOINT_ERROR_M = 0.005
Modules = dict[str, nn.Module]


@dataclass
class Bench:
    """A method at its tiny preset with a handful of synthetic samples."""

    method: Method
    task: Any
    data: dict[str, Any]

    @cached_property
    def trained(self) -> Method:
        """The method with all stages that it may have: on predicted keypoints, where it is driven by keypoints."""
        if not self.method.spec.keypoints:
            return self.method
        return type(self.method)(self.method.config, self.method.hand, ANOTHER)

    def batch(self) -> Any:
        """Samples from all over the training set, of every kind that there is."""
        return self.data["train"].gather(torch.arange(0, SAMPLES, SAMPLES // BATCH))

    def built(self, seed: int = 0) -> Modules:
        """Fresh, untrained modules of all stages."""
        modules: Modules = {}
        for stage in self.method.stages():
            modules[stage.name] = self.build(stage, modules, seed)
        return modules

    def build(self, stage: Stage, modules: Modules, seed: int = 0) -> nn.Module:
        """The untrained module of a stage."""
        torch.manual_seed(mix(seed, -2, 0))
        return stage.build(self.method.config, self.method.hand, upstream_of(stage, modules))

    def trainings(self) -> Iterator[tuple[Stage, nn.Module, Any]]:
        """Every stage with its untrained module and what it is trained on; earlier ones are as they are left."""
        modules: Modules = {}
        for stage in self.trained.stages():
            samples = self.samples(stage, upstream_of(stage, modules))
            modules[stage.name] = self.build(stage, modules)
            yield stage, modules[stage.name], samples

    def samples(self, stage: Stage, upstream: Mapping[str, nn.Module]) -> Any:
        """What a stage is trained on: chosen samples, with keypoints as it is given, with what it derives of them."""
        data = self.data["train"]
        chosen, _ = stage.select(_off(data) if stage.spec.reads_keypoints else data)
        return (
            chosen.with_derived(derived(stage, upstream, first_of(chosen))) if stage.spec.derives else chosen
        )


def first_of(dataset: Any, count: int = SAMPLES) -> Any:
    """The first samples of a dataset as a batch."""
    return dataset.gather(torch.arange(min(count, len(dataset))))


def derived(stage: Stage, upstream: Mapping[str, nn.Module], batch: Any) -> dict[str, np.ndarray]:
    """What a stage derives of a batch."""
    with torch.inference_mode():
        return {name: values.cpu().numpy() for name, values in stage.derive(_eval(upstream), batch).items()}


def _off(dataset: Any) -> Any:
    """A dataset whose keypoints are a little off the true ones, as predicted ones are."""
    batch = first_of(dataset)
    noise = np.random.default_rng(0).normal(0, KEYPOINT_ERROR_M, batch.keypoints_cam_m.shape)
    there = batch.has_keypoints[..., None, None].numpy()
    return dataset.with_keypoints(np.where(there, batch.keypoints_cam_m.numpy() + noise, np.nan))


def examine(name: str) -> Iterator[dict[str, Any]]:
    """Yield ``{"name", "ok", "why"}`` for each requirement. Raises RequestError for an unknown method."""
    if "+" in name:
        raise RequestError(f"'{name}' is no single method: check its parts, {' and '.join(name.split('+'))}.")
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    yield _tried("", presets_are_valid, name)
    for task in METHODS[name].tasks:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "data"
            load_synthesiser(TASKS[task].layouts[0])(root, size=SAMPLES, seed=0, workers=1, progress=None)
            bench = make_bench(name, task, root)
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
    """The bench of a method on one of its tasks, with the data at ``root`` in the task's first layout."""
    task = load_task(task_name)
    layout = TASKS[task_name].layouts[0]
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
    """The stages are those declared, and every one comes after those it needs."""
    for method in (bench.method, bench.trained):
        if [stage.spec for stage in method.stages()] != list(
            method.spec.stages(method.config, method.keypoints)
        ):
            return "the method has other stages than its declaration"
        seen: set[str] = set()
        for stage in method.stages():
            if stage.name in seen:
                return f"two stages are named '{stage.name}'"
            if not set(stage.spec.needs) <= seen:
                return f"stage '{stage.name}' needs a stage that is not before it"
            seen.add(stage.name)
    return ""


def samples_are_chosen_or_left_out_for_a_reason(bench: Bench) -> str:
    """Every sample is chosen or left out for a reason."""
    for stage in bench.trained.stages():
        for split, dataset in bench.data.items():
            chosen, left_out = stage.select(dataset)
            if len(chosen) + sum(left_out.values()) != len(dataset):
                return f"stage '{stage.name}' accounts for another number of {split} samples than there are"
            if not np.isin(chosen.indices, dataset.indices).all():
                return f"stage '{stage.name}' chooses samples that are not of the {split} split"
    return ""


def building_is_seeded(bench: Bench) -> str:
    """The same seed builds the same network."""
    modules, again = bench.built(1), bench.built(1)
    for name, module in modules.items():
        state = again[name].state_dict()
        if any(not torch.equal(value, state[key]) for key, value in module.state_dict().items()):
            return f"stage '{name}' differs between two builds with one seed"
    return ""


def training_lowers_the_loss(bench: Bench) -> str:
    """Training lowers the loss."""
    for stage, module, samples in bench.trainings():
        why = _train_a_little(bench, stage, module, samples)
        if why:
            return f"stage '{stage.name}': {why}"
    return ""


def _train_a_little(bench: Bench, stage: Stage, module: nn.Module, samples: Any) -> str:
    if stage.fit is not None:
        stage.fit(module, whole_set(stage, samples, BATCH))
        return ""
    batch = stage.prepare(first_of(samples, BATCH), torch.Generator().manual_seed(0))
    rate = stage.training(bench.method.config).learning_rate
    optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=rate)
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


def batches_share_no_memory(bench: Bench) -> str:
    """Batches share no memory, so that the process that prepared one can send it away."""
    for stage, _, samples in bench.trainings():
        seen: dict[int, int] = {}
        batches = list(whole_set(stage, samples, max(1, len(samples) // 2)))
        for number, batch in enumerate(batches):
            for name, tensor in _tensors(batch):
                if seen.setdefault(tensor.untyped_storage().data_ptr(), number) != number:
                    return f"stage '{stage.name}' is given '{name}' in the memory of another batch: clone it"
    return ""


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors that hold something in a batch, by the names of their fields."""
    if isinstance(value, torch.Tensor) and value.numel():
        yield name, value
    parts = vars(value) if is_dataclass(value) else value if isinstance(value, dict) else {}
    for key, part in parts.items():
        yield from _tensors(part, key)


def what_is_derived_depends_on_the_sample_alone(bench: Bench) -> str:
    """What a stage derives of a sample depends on that sample alone, and not on chance."""
    modules: Modules = {}
    for stage in bench.trained.stages():
        upstream = upstream_of(stage, modules)
        modules[stage.name] = bench.build(stage, modules)
        if stage.spec.derives:
            chosen, _ = stage.select(bench.data["train"])
            whole, alone = (derived(stage, upstream, first_of(chosen, count)) for count in (2, 1))
            bad = [name for name in whole if _share_differing(whole[name][:1], alone[name]) > RARELY]
            if bad:
                return f"stage '{stage.name}' derives otherwise beside other samples: {', '.join(bad)}"
    return ""


def predictions_have_the_declared_fields(bench: Bench) -> str:
    """Predictions have the declared fields, with numbers for every hand that is there."""
    declared = bench.task.spec.prediction_fields
    batch = bench.batch()
    fields = predicted(bench, _eval(bench.built()), batch)
    unknown = set(fields) - set(declared)
    required = {name for name, text in declared.items() if "required" in text}
    if unknown:
        return f"not a field of task {bench.task.spec.name}: {', '.join(sorted(unknown))}"
    if not required <= set(fields):
        return f"missing: {', '.join(sorted(required - set(fields)))}"
    broken = [
        name
        for name, value in fields.items()
        if len(value) != BATCH or not _whole(value, absent(bench, batch))
    ]
    return f"wrong length or not finite: {', '.join(broken)}" if broken else ""


def predicted(bench: Bench, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Field]:
    """The method's fields for a batch, as the engine keeps them."""
    with torch.inference_mode():
        return {name: on_host(value) for name, value in bench.method.predict(modules, batch).items()}


def absent(bench: Bench, batch: Any) -> np.ndarray:
    """(B, hands) bool: hands that are not there, or of which no keypoints are given to a method that needs them."""
    if not hasattr(batch, "has_hand"):
        return np.zeros((len(batch.index), 1), bool)
    there = batch.has_hand & batch.has_keypoints if bench.method.spec.keypoints else batch.has_hand
    return ~there.numpy()


def _whole(value: Field, missing: np.ndarray) -> bool:
    """Whether what is not finite belongs to hands that may be missing, or, of a field that is about all, to a sample of
    which a hand is.
    """
    if isinstance(value, Ragged):
        return bool(np.isfinite(value.values).all())
    per_hand = value.ndim > 2 and value.shape[1] == missing.shape[1]
    excused = missing if per_hand else missing.any(axis=1)
    broken = ~np.isfinite(value.reshape(*excused.shape, -1)).all(axis=-1)
    return not (broken & ~excused).any()


def predictions_survive_saving(bench: Bench) -> str:
    """Predictions survive saving and loading."""
    modules = bench.built(1)
    before = predicted(bench, _eval(modules), bench.batch())
    fresh = bench.built(2)
    with tempfile.TemporaryDirectory() as folder:
        for name, module in modules.items():
            torch.save(module.state_dict(), Path(folder) / name)
            fresh[name].load_state_dict(torch.load(Path(folder) / name, weights_only=True))
    after = predicted(bench, _eval(fresh), bench.batch())
    differing = [name for name in before if _share_differing(before[name], after[name], exactly=True)]
    return f"differs after saving and loading: {', '.join(differing)}" if differing else ""


def samples_do_not_mix(bench: Bench) -> str:
    """One sample's prediction does not depend on another's."""
    modules = _eval(bench.built())
    whole = predicted(bench, modules, bench.batch())
    alone = predicted(bench, modules, first_of(bench.data["train"], 1))
    differing = [name for name in whole if _share_differing(whole[name][:1], alone[name]) > RARELY]
    return f"depends on the other samples of the batch: {', '.join(differing)}" if differing else ""


def _share_differing(a: Field, b: Field, exactly: bool = False) -> float:
    """Which share of the values is another one; of ragged fields, at least the share of rows that one lacks."""
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        lacking = abs(len(a.values) - len(b.values)) / max(len(a.values), len(b.values), 1)
        if lacking or (a.counts != b.counts).any():
            return max(lacking, float((a.counts != b.counts).mean()) if exactly else 0.0)
        return _share_differing(a.values, b.values, exactly)
    if isinstance(a, Ragged) or isinstance(b, Ragged) or a.shape != b.shape:
        return 1.0
    tolerance = 0.0 if exactly else 1e-4
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    same = np.isclose(a, b, rtol=0.1 * tolerance, atol=tolerance, equal_nan=True)
    return float((~same).mean()) if same.size else 0.0


def predictions_can_be_scored(bench: Bench) -> str:
    """Predictions can be scored."""
    last = bench.method.stages()[-1]
    chosen, _ = last.select(bench.data["test"])
    positions = np.unique(np.linspace(0, len(chosen) - 1, SCORED).astype(int))
    fields = predicted(bench, _eval(bench.built()), chosen.gather(torch.from_numpy(positions)))
    protocol = scoring_protocol(bench.task.spec)
    scores = bench.task.score(protocol, fields, chosen, positions)
    metrics = metrics_of(protocol)
    asked = [name for name in bench.task.spec.headline if name in protocol.metrics]
    measured = [name for name in asked if name not in scores.not_applicable]
    if any(_is_measured(metrics[name], scores.columns) for name in measured):
        return ""
    return f"none of {', '.join(measured or asked)} has a value under protocol {protocol.label}"


def scoring_protocol(task: TaskSpec) -> Protocol:
    """The official protocol of the task's first layout, or the first one that measures what ranks."""
    official = task.protocols[task.layouts[0]]
    fit = [p for p in (PROTOCOLS[official], *PROTOCOLS.values()) if task.name in p.tasks]
    return next(protocol for protocol in fit if task.headline[0] in protocol.metrics)


def _is_measured(metric: Metric, columns: Mapping[str, np.ndarray]) -> bool:
    """Whether the metric is about any of the samples, and has a value for each that it is about."""
    values = np.stack([columns[name] for name in metric.sample_columns], axis=1)
    counted = columns[metric.where] > 0 if metric.where else np.ones(len(values), bool)
    there = np.isfinite(values).any(axis=1) if metric.per_column else np.isfinite(values).all(axis=1)
    return bool(counted.any() and there[counted].all())


def _eval(modules: Mapping[str, nn.Module]) -> Modules:
    return {name: module.eval() for name, module in modules.items()}


REQUIREMENTS: tuple[Callable[[Bench], str], ...] = (
    unknown_settings_are_refused,
    stages_form_an_order,
    samples_are_chosen_or_left_out_for_a_reason,
    building_is_seeded,
    training_lowers_the_loss,
    batches_share_no_memory,
    what_is_derived_depends_on_the_sample_alone,
    predictions_have_the_declared_fields,
    predictions_survive_saving,
    samples_do_not_mix,
    predictions_can_be_scored,
)
"""Each says in its docstring what must hold, and returns what is wrong, or nothing."""
