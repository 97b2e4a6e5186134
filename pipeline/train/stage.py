"""The train stage: tables, embeddings and graphs to a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline import files, measure
from pipeline.config import FIRST, TrainConfig
from pipeline.errors import ConfigError
from pipeline.interactions import evaluable
from pipeline.job import Facts, Job
from pipeline.models import MODELS, Inputs, Options, Outputs, Recommender
from pipeline.models.attach import Attacher
from pipeline.models.gat import Gat
from pipeline.models.sampled import SampledGat
from pipeline.newcomers import write_kit
from pipeline.train.active import calibrated, with_rest
from pipeline.train.auto import recipes_of
from pipeline.train.checkpoint import Checkpoints, Progress, copied
from pipeline.train.costs import COSTS, JOULES, SECONDS, Laps
from pipeline.train.data import TrainingData, load
from pipeline.train.distill import begin_with, lists_of
from pipeline.train.loop import (
    Told,
    Trainer,
    check_can_sample,
    fit,
    matrix_of,
    validation,
)

OTHER_RELATION = 0.1
"""Weight of a relation that the configuration does not name, such as a modality of one's own."""


def run(job: Job[TrainConfig], watch: Told = lambda _: None) -> Facts:
    """Fill ``job.into`` with a trained model and return what was learned.

    ``watch`` is called after every epoch; what it raises ends the training.

    Raises:
        ConfigError: no such model or metric.
        DataError: there is nothing to learn from.
        StageFailedError: training diverged.
    """
    device = device_of(job.runtime.device)
    with on_this_machine(job.threads, device):
        data = _with_lists(load(job.inputs, job.config, _graph_folder(job)), job)
        if job.config.fan_out is None:
            data = replace(data, inputs=data.inputs.to(device))
        recipes = recipes_of(job.config, data)
        trained = [
            _trained(_part_of(job, name, len(recipes)), name, recipe, data, watch)
            for name, recipe in recipes.items()
        ]
        best = max(trained, key=lambda each: each.progress.best_value or 0.0)
        with measure.task("outputs"):
            outputs, attached = _outputs(best.model, data, job.config)
        _write(job.into, best.model, outputs, best.progress)
        _write_attaching(job.into, best.model, data, attached.get("new_items_scale", 1.0))
    tried = {each.name: each.progress.best_value for each in trained}
    several = {"tried": tried} if len(tried) > 1 else {}
    users = {"validation_users": len(evaluable(data.train, data.validation))}
    return best.facts(job.config.select_metric) | users | attached | several


@dataclass(frozen=True)
class Trained:
    """A recipe's model with its best weights, and how it got there."""

    name: str
    model: Recommender
    progress: Progress

    def facts(self, metric: str) -> Facts:
        """Return what was learned; ``metric`` is the one that selected."""
        curve = self.progress.curve
        seconds = [entry[SECONDS] for entry in curve if SECONDS in entry]
        return {
            "recipe": self.name,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "epochs_run": self.progress.epoch,
            "best_epoch": self.progress.best_epoch,
            "select_metric": metric,
            "best_validation": self.progress.best_value,
            "seconds_per_epoch": round(sum(seconds) / len(seconds), 3) if seconds else None,
            "joules_by_epoch": [entry.get(JOULES) for entry in curve if SECONDS in entry],
            "learned": self.model.learned(),
        }


def _outputs(model: Recommender, data: TrainingData, config: TrainConfig) -> tuple[Outputs, Facts]:
    """Return what ranking needs of the whole catalogue, and what was done for its new items."""
    outputs, rest, share = model.outputs(), data.rest, config.new_item_share
    facts: Facts = {}
    if rest is not None:
        outputs = with_rest(model, outputs, rest)
        facts = {"active_items": len(rest.active), "new_items_wanted": rest.wanted}
        share = rest.wanted if share == "auto" else share
    if share in (None, "auto") or not outputs.vectors:
        return outputs, facts
    hot = np.unique(data.train.indices)
    active = hot if rest is None else rest.active
    outputs, scale = calibrated(outputs, active, data.train[:, hot], float(share))
    return outputs, facts | {"new_items_scale": scale}


def _part_of(job: Job[TrainConfig], name: str, recipes: int) -> Job[TrainConfig]:
    """Return the job of one recipe; where there are several, each logs under its own name."""
    if recipes == 1:
        return job
    path = f"{job.task.path or job.task.name}/{name}"
    return replace(job, task=measure.Task(job.task.name, job.task.listener, path=path))


def _trained(
    job: Job[TrainConfig], name: str, config: TrainConfig, data: TrainingData, watch: Told
) -> Trained:
    model = made(config, data.inputs, job.seed).to(device_of(job.runtime.device))
    if not model.learns:
        _must_not_distill(config)
        return Trained(name, model, _validate(model, data, config))
    if config.distill:
        begin_with(model, job.inputs[f"model:{FIRST}"])
    scratch = job.scratch / name
    scratch.mkdir(exist_ok=True)
    task = replace(job, config=config, scratch=scratch)
    return Trained(name, model, _train(task, model, data, watch))


def made(config: TrainConfig, inputs: Inputs, seed: int) -> Recommender:
    """Return the new model of a configuration, where its inputs are.

    Raises:
        ConfigError: there is no such model, or it cannot sample neighbours as asked for.
    """
    check_can_sample(config)
    options = options_of(config, [*inputs.relations])
    if config.fan_out is not None:
        return SampledGat(inputs, options, seed)
    return MODELS[config.model](inputs, options, seed)


def _graph_folder(job: Job[TrainConfig]) -> Path:
    folder = job.scratch / "graph"
    folder.mkdir(exist_ok=True)
    return folder


def _must_not_distill(config: TrainConfig) -> None:
    if config.distill:
        raise ConfigError(
            f"train.distill: {config.model} has nothing to train, so no list can teach it; set "
            f"train.distill: null, or train.model to one that learns, such as gat"
        )


def _with_lists(data: TrainingData, job: Job[TrainConfig]) -> TrainingData:
    distill = job.config.distill
    if distill is None:
        return data
    ranker, model = job.inputs[f"ranker:{FIRST}"], job.inputs[f"model:{FIRST}"]
    with measure.task("lists of the first second stage"):
        return replace(data, lists=lists_of(ranker, model, data.train, distill))


def options_of(config: TrainConfig, relations: list[str]) -> Options:
    """Return the model's options, with a weight for each relation that exists."""
    names = Options.__dataclass_fields__.keys() & type(config).model_fields.keys()
    values = {name: getattr(config, name) for name in names}
    weights = {r: config.relation_weights.get(r, OTHER_RELATION) for r in relations}
    return Options(**{**values, "relation_weights": weights})


def device_of(name: str) -> torch.device:
    """Return the device to train on; ``auto`` prefers a GPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


@contextmanager
def on_this_machine(threads: int, device: torch.device) -> Iterator[None]:
    """Use so many threads, and on a GPU deterministic kernels and TF32; put all back afterwards."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    precise = torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    _be_deterministic(device.type != "cpu", warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        _be_deterministic(before[1])
        torch.set_float32_matmul_precision(precise)


def _be_deterministic(wanted: bool, *, warn_only: bool = False) -> None:
    """Change that only where it is another: torch imports its compiler for it, which takes 2 s."""
    if torch.are_deterministic_algorithms_enabled() != wanted:
        torch.use_deterministic_algorithms(wanted, warn_only=warn_only)


def _validate(model: Recommender, data: TrainingData, config: TrainConfig) -> Progress:
    """Return the progress of a closed-form model: no epoch, only its validation."""
    values = validation(model, data, config.select_metric)
    best = values[config.select_metric]
    return Progress(best_value=best, curve=[{"epoch": 0, **values}])


def _train(job: Job[TrainConfig], model: Recommender, data: TrainingData, watch: Told) -> Progress:
    trainer = Trainer(model, data, job.config, job.seed)
    total, laps = job.config.epochs, Laps(job.energy)
    with job.task.progress(f"train {job.config.model}", total=total, unit="epochs") as bar:

        def told(progress: Progress) -> None:
            """Move the bar to the epoch that just ended, and log it and those of before a kill."""
            laps.note(progress.curve)
            for entry in progress.curve[bar.done :]:
                job.task.log(_logged(entry), entry["epoch"])
            value = progress.best_value
            note = "" if value is None else f"best {job.config.select_metric} {value:.4f}"
            bar.advance(progress.epoch - bar.done, note)
            watch(progress)

        return fit(trainer, Checkpoints(job.scratch), told)


def _logged(entry: dict[str, Any]) -> dict[str, float]:
    """Return what an epoch came to, by the names of a run's metrics."""
    costs = {"seconds": "epoch_seconds", "joules": "epoch_joules"}
    return {costs.get(name, name): float(v) for name, v in entry.items() if name != "epoch"}


def _write_attaching(into: Path, model: Recommender, data: TrainingData, loudness: float) -> None:
    """Write what the vectors of items that arrive later are computed with, where a model can.

    ``loudness`` is what those of the items without interactions were multiplied by.
    """
    if not isinstance(model, Gat):
        return
    settings, tensors = Attacher(model).kit()
    settings["loudness"] = loudness
    for name, relation in settings["relations"].items():
        relation["divisor"] = data.divisors[name]
    rows = np.arange(data.inputs.items) if data.rest is None else data.rest.active
    write_kit(into, settings, {name: each.numpy() for name, each in tensors.items()}, rows)


def _write(into: Path, model: Recommender, outputs: Outputs, progress: Progress) -> None:
    save_file(copied(model), into / "weights.safetensors")
    for name, tensor in outputs.vectors.items():
        files.write_array(into / f"{name}.npy", tensor.cpu().numpy())
    if outputs.item_item is not None:
        files.write_matrix(into / "item_item.npz", matrix_of(outputs))
    curve = [{k: v for k, v in entry.items() if k not in COSTS} for entry in progress.curve]
    files.write_lines(into / "curve.jsonl", curve)
