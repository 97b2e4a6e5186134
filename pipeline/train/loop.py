"""The training loop: epochs of steps, validation, early stopping, resuming."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pipeline.config import TrainConfig
from pipeline.crew import Crew
from pipeline.errors import ConfigError, StageFailedError
from pipeline.evaluate.metrics import Metric, validate
from pipeline.interactions import evaluable
from pipeline.models.base import Outputs, Recommender, Vectors
from pipeline.models.regularizers import EdgeFinder
from pipeline.models.sampled import SampledGat
from pipeline.scoring import ItemItemScorer, Scorer, VectorScorer
from pipeline.train.auxiliary import auxiliaries_of
from pipeline.train.average import Average
from pipeline.train.batch import TensorBatch
from pipeline.train.checkpoint import (
    Checkpoints,
    Progress,
    Snapshot,
    Weights,
    copied,
    optimizer_tensors,
    restore_optimizer,
)
from pipeline.train.costs import SECONDS
from pipeline.train.data import TrainingData
from pipeline.train.distill import Distillation
from pipeline.train.neighbors import Neighbors, on_device
from pipeline.train.objective import Objective, log_expected
from pipeline.train.optimizer import optimizer_of
from pipeline.train.sampling import Batch, Sampler, Seen, ahead
from pipeline.train.schedule import Schedule, plateaus

ALSO_REPORTED = ("recall@20", "ndcg@20")

Told = Callable[[Progress], None]
"""Called after every epoch."""


@dataclass(frozen=True)
class Seeds:
    """Independent random streams of a run; an epoch's depend on its number, not on history."""

    seed: int

    def rng(self, epoch: int) -> np.random.Generator:
        """Return the generator of an epoch's batches."""
        return np.random.default_rng([self.seed, epoch, 0])

    def noise(self, epoch: int, device: torch.device) -> torch.Generator:
        """Return the generator of what is dropped in an epoch."""
        state = np.random.SeedSequence([self.seed, epoch, 1]).generate_state(1)
        return torch.Generator(device).manual_seed(int(state[0]))

    def neighbors(self, epoch: int, step: int) -> np.random.Generator:
        """Return the generator of a step's neighbourhood."""
        return np.random.default_rng([self.seed, epoch, 2, step])


class Trainer:
    """A model with its optimizer, sampler and objective; one call per epoch."""

    def __init__(
        self, model: Recommender, data: TrainingData, config: TrainConfig, seed: int
    ) -> None:
        """Train ``model`` in place; its inputs are on the device that training runs on."""
        self.model, self.data, self.config = model, data, config
        self.seeds = Seeds(seed)
        self.device = next(model.parameters()).device
        self.neighbors = neighbors_of(model, config)
        self.sampler = sampler_of(data.train, config)
        self.objective = self._objective()
        self.auxiliaries = auxiliaries_of(config)
        if config.distill and data.lists is not None:
            temperature = config.temperature if config.loss == "softmax" else 1.0
            lists, pool = data.lists.to(self.device), self.sampler.seen.pool
            self.auxiliaries.append(Distillation.of(lists, pool, config.distill, temperature))
        self.hider = EdgeFinder(model.inputs.user_item) if config.hide_positives else None
        check_edges_can_be_masked(model, config)
        self.optimizer = optimizer_of(model, config)
        self.average = Average(model, config.average)
        steps = self.sampler.steps()
        self.schedule = Schedule(config.schedule, config.warmup_steps, steps * config.epochs)

    def _objective(self) -> Objective:
        popularity = self.model.inputs.item_degrees.to(self.device)
        pool = torch.from_numpy(self.sampler.seen.pool).to(self.device)
        group = min(self.config.batch_size, self.config.in_batch, len(self.sampler.positives[0]))
        return Objective(
            self.config.loss,
            self.config.weight_decay,
            self.config.temperature,
            log_expected(popularity, pool, group, self.config.negatives),
            self.config.label_smoothing,
            self.config.mixup,
            self.config.adversarial_weight,
            self.config.adversarial_radius,
            self.config.in_batch,
        )

    def epoch(self, number: int, stale: int) -> float:
        """Train for one epoch (0 is the first) and return its mean loss.

        Raises:
            StageFailedError: the loss or the weights are no longer finite.
        """
        noise = self.seeds.noise(number, self.device)
        total, steps = torch.zeros((), device=self.device), self.sampler.steps()
        for at, batch in enumerate(ahead(self._drawn(number), self.neighbors is not None)):
            self._set_rate(self.schedule.factor(number * steps + at, stale))
            total += self.step(on_device(batch, self.device), noise)
            self.average.update(number * steps + at)
        loss = float(total) / max(1, steps)
        size = float(sum(p.detach().square().sum() for p in self.model.parameters()))
        if not np.isfinite(loss + size):
            raise StageFailedError(
                f"training diverged in epoch {number + 1}: the mean loss is {loss:.3g}, the "
                f"squared length of the weights {size:.3g}; both must be finite. Lower "
                f"train.learning_rate (now {self.config.learning_rate}) or warm up over "
                f"train.warmup_steps (now {self.config.warmup_steps})"
            )
        return loss

    def _drawn(self, number: int) -> Iterator[TensorBatch]:
        """Yield the batches of an epoch, with their neighbourhoods where these are sampled."""
        for at, batch in enumerate(self.sampler.epoch(self.seeds.rng(number))):
            yield self._tensors(batch, self.seeds.neighbors(number, at))

    def step(self, batch: TensorBatch, noise: torch.Generator | None = None) -> Tensor:
        """Take one optimizer step on a batch and return its loss, ().

        Without ``noise`` nothing is dropped, mixed or seen in two views.
        """
        self.optimizer.zero_grad(set_to_none=True)
        vectors = self._vectors(batch, noise)
        loss = self.objective.near(batch.near)(vectors, batch, noise)
        if noise is not None:
            for auxiliary in self.auxiliaries:
                loss = loss + auxiliary(self.model, vectors, batch, noise)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def _vectors(self, batch: TensorBatch, noise: torch.Generator | None) -> Vectors:
        half = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self._propagated(batch, noise)

    def _propagated(self, batch: TensorBatch, noise: torch.Generator | None) -> Vectors:
        if batch.near is not None:
            assert isinstance(self.model, SampledGat)
            vectors: Vectors = self.model.near(batch.near, noise)
        elif self.hider is None:
            vectors = self.model(noise)
        else:
            vectors = self.model(noise, self.hider.without(batch.users, batch.positives))
        return vectors

    def weights(self) -> Weights:
        """Return the weights to validate and to keep, copied: averaged where asked for."""
        with self.average.applied():
            return copied(self.model)

    def _set_rate(self, factor: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor

    def _tensors(self, batch: Batch, rng: np.random.Generator | None) -> TensorBatch:
        if self.neighbors is not None:
            return self.neighbors.batch(batch, rng)
        users, positives = torch.from_numpy(batch.users), torch.from_numpy(batch.positives)
        return TensorBatch(users, positives, torch.from_numpy(batch.negatives))

    def _on_device(self, batch: Batch) -> TensorBatch:
        """Return a batch to step on; where neighbours are sampled, with all of them."""
        return on_device(self._tensors(batch, None), self.device)


def validation(model: Recommender, data: TrainingData, select_metric: str) -> dict[str, float]:
    """Return the validation metrics of a model as it is, by canonical spelling."""
    metrics = [Metric.parse(m) for m in dict.fromkeys((select_metric, *ALSO_REPORTED))]
    scorer = scorer_of(model.outputs(), data.train)
    crew = Crew(torch.get_num_threads())
    return validate(scorer, data.train, data.validation, metrics, crew)


def sampler_of(train: sp.csr_matrix, config: TrainConfig) -> Sampler:
    """Return the sampler of a configuration."""
    items = train.shape[1]
    pool = np.unique(train.indices) if config.negatives_from == "train" else np.arange(items)
    shared = config.loss == "softmax"
    seen = Seen(train, pool.astype(np.int64))
    return Sampler(seen, config.batch_size, config.negatives, shared, config.draw)


def neighbors_of(model: Recommender, config: TrainConfig) -> Neighbors | None:
    """Return what draws the neighbourhoods of batches; None where all is propagated at once."""
    if config.fan_out is None:
        return None
    assert isinstance(model, SampledGat)
    return Neighbors(model.inputs, [*model.relations], config.fan_out)


def check_can_sample(config: TrainConfig) -> None:
    """Do nothing where a configuration samples no neighbours, or can.

    Raises:
        ConfigError: it asks for sampling beside what reaches the whole graph in a step.
    """
    if config.fan_out is None:
        return
    whole = {
        "distill": config.distill is not None,
        "coupled_decay": config.coupled_decay > 0,
        "hide_positives": config.hide_positives,
        "view_weight with view_kind: edges": config.view_weight and config.view_kind == "edges",
        "align_weight": config.align_weight > 0,
    }
    wrong = [name for name, value in whole.items() if value]
    if wrong:
        raise ConfigError(
            f"train.fan_out and train.{wrong[0]} do not go together: a step that samples "
            f"neighbours never holds the whole graph. Leave train.{wrong[0].split()[0]} at its "
            f"default, or set train.fan_out: null"
        )
    if config.model != "gat":
        raise ConfigError(
            f"train.fan_out: {config.model} cannot sample neighbours; gat and auto can. Set "
            f"train.fan_out: null, or train.model: gat"
        )
    if len(config.fan_out) != config.layers:
        raise ConfigError(
            f"train.fan_out names {len(config.fan_out)} layers ({list(config.fan_out)}), and "
            f"train.layers is {config.layers}; give one number for each layer"
        )


def check_edges_can_be_masked(model: Recommender, config: TrainConfig) -> None:
    """Do nothing where the model can leave user-item edges out, or need not.

    Raises:
        ConfigError: the configuration asks for it and the model propagates over no such edges.
    """
    asked = {
        "hide_positives": config.hide_positives,
        "view_weight with view_kind: edges": config.view_weight and config.view_kind == "edges",
    }
    wrong = [name for name, value in asked.items() if value]
    if wrong and not model.masks_edges:
        raise ConfigError(
            f"train.{wrong[0]} leaves user-item edges out of a step, which {config.model} cannot "
            f"do; gat and lightgcn can. Leave it at its default, or for two views set "
            f"train.view_kind: noise"
        )


def scorer_of(outputs: Outputs, train: sp.csr_matrix) -> Scorer:
    """Return what ranks with a model's outputs."""
    if outputs.item_item is None:
        vectors = {name: v.cpu().numpy() for name, v in outputs.vectors.items()}
        return VectorScorer(vectors["user_vectors"], vectors["item_vectors"])
    return ItemItemScorer(train, matrix_of(outputs))


def matrix_of(outputs: Outputs) -> sp.csr_matrix:
    """Return the item-item weights of outputs that have them, CSR (N, N)."""
    found = outputs.item_item
    assert found is not None
    parts = tuple(t.cpu().numpy() for t in (found.values, found.indices, found.indptr))
    return sp.csr_matrix(parts, shape=found.shape)


def fit(trainer: Trainer, checkpoints: Checkpoints, told: Told) -> Progress:
    """Train until the validation metric stops growing; leave the best weights in the model.

    Continues from the last checkpoint, with the same result as a run that was never interrupted.
    Without a user to validate on, all epochs run and the last weights stay.
    """
    model, config = trainer.model, trainer.config
    progress, best = Progress(), copied(model)
    snapshot = checkpoints.load()
    if snapshot is not None:
        progress, best = snapshot.progress, snapshot.best
        model.load_state_dict(snapshot.weights)
        restore_optimizer(trainer.optimizer, snapshot.optimizer)
        trainer.average.restore(snapshot.average)
        told(progress)
    can_select = len(evaluable(trainer.data.train, trainer.data.validation)) > 0
    while progress.epoch < config.epochs and progress.waited < config.patience:
        entry = _epoch(trainer, progress, validates=can_select)
        progress.epoch += 1
        progress.curve.append(entry)
        if not can_select or _is_best(progress, entry, config.select_metric):
            best, progress.best_epoch = trainer.weights(), progress.epoch
        told(progress)
        if checkpoints.due():
            checkpoints.save(_snapshot(trainer, progress, best))
    model.load_state_dict(best)
    return progress


def _epoch(trainer: Trainer, progress: Progress, *, validates: bool) -> dict[str, Any]:
    started, config = time.perf_counter(), trainer.config
    values = [e[config.select_metric] for e in progress.curve if config.select_metric in e]
    loss = trainer.epoch(progress.epoch, plateaus(values))
    entry = {"epoch": progress.epoch + 1, "loss": loss}
    last = progress.epoch + 1 == config.epochs
    if validates and (last or (progress.epoch + 1) % config.evaluate_every == 0):
        with trainer.average.applied():
            entry |= validation(trainer.model, trainer.data, config.select_metric)
    return entry | {SECONDS: round(time.perf_counter() - started, 3)}


def _is_best(progress: Progress, entry: dict[str, Any], metric: str) -> bool:
    if metric not in entry:
        return False
    if progress.best_value is None or entry[metric] > progress.best_value:
        progress.best_value, progress.waited = entry[metric], 0
        return True
    progress.waited += 1
    return False


def _snapshot(trainer: Trainer, progress: Progress, best: Weights) -> Snapshot:
    state, means = optimizer_tensors(trainer.optimizer), trainer.average.tensors()
    return Snapshot(progress, copied(trainer.model), best, state, means)
