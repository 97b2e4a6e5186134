"""Settings for new items, compared on validation: a tenth of the *training* items plays cold.

    plotpointe run configs/movielens-cold.yaml --to graph
    python -m benchmarks.cold_validation configs/movielens-cold.yaml --set train.new_items=0.3

The cold items of the split are neither trained on nor looked at. Of the items that have training
interactions a tenth is drawn once more; their interactions leave training and validation and are
ranked as the split ``cold`` is, among themselves. The checkpoint is chosen as in a run, on the
validation of known items. Prints one record as JSON, with Recall@20 after every validated epoch.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from pipeline import flow
from pipeline.arrays import Flags
from pipeline.artifacts import Artifact, Store
from pipeline.cli.options import DEFAULT_STORE
from pipeline.config import Config, TrainConfig, load_config
from pipeline.errors import ArtifactError
from pipeline.evaluate.metrics import Metric, evaluate_users
from pipeline.interactions import evaluable
from pipeline.models import MODELS, Outputs
from pipeline.relations import COOCCURRENCE
from pipeline.scoring import Ranking
from pipeline.train.active import edges_of
from pipeline.train.checkpoint import Checkpoints, Progress
from pipeline.train.data import TrainingData, load
from pipeline.train.loop import Trainer, fit, scorer_of
from pipeline.train.stage import options_of

METRICS = [Metric("recall", 20), Metric("ndcg", 20)]


@dataclass(frozen=True)
class Trial:
    """Training data without the items that play cold, and the interactions these have.

    Shapes:
        cold: CSR (U, N). candidates: (N,).
    """

    data: TrainingData
    cold: sp.csr_matrix
    candidates: Flags

    def recall(self, outputs: Outputs) -> dict[str, float]:
        """Return the metrics of the cold items among themselves."""
        train = self.data.train
        users = evaluable(train, self.cold)
        ranking = Ranking(train, 20, self.candidates)
        scorer = scorer_of(outputs, train)
        values = evaluate_users(scorer, users, self.cold, ranking, METRICS)
        return {name: round(float(each.mean()), 5) for name, each in values.items()}


def trial_of(data: TrainingData, draw: int, share: float = 0.1) -> Trial:
    """Return the data with a share of its hot items played cold, drawn from ``draw``."""
    hot = np.unique(data.train.indices)
    chosen = np.random.default_rng(draw).permutation(hot)[: int(share * len(hot))]
    candidates = np.zeros(data.train.shape[1], dtype=np.bool_)
    candidates[chosen] = True
    train, validation = (_only(m, ~candidates) for m in (data.train, data.validation))
    relations = {n: r for n, r in data.inputs.relations.items() if n != COOCCURRENCE}
    inputs = replace(data.inputs, user_item=edges_of(train), relations=relations)
    left = TrainingData(inputs, train, validation)
    return Trial(left, _only(data.train, candidates), candidates)


def _only(matrix: sp.csr_matrix, items: Flags) -> sp.csr_matrix:
    kept = sp.csr_matrix(matrix @ sp.diags(items.astype(np.float32)))
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept


def measure_one(trial: Trial, config: TrainConfig, seed: int) -> dict[str, Any]:
    """Return the metrics of one training run at its chosen checkpoint, and on the way."""
    options = options_of(config, [*trial.data.inputs.relations])
    model = MODELS[config.model](trial.data.inputs, options, seed)
    started, curve = time.perf_counter(), []

    def told(progress: Progress) -> None:
        """Keep what the cold items score now beside the validation."""
        entry = {k: round(v, 5) for k, v in progress.curve[-1].items() if k != "seconds"}
        if config.select_metric in entry:
            curve.append({**entry, "cold": trial.recall(model.outputs())["recall@20"]})

    progress = Progress()
    if model.learns:
        with tempfile.TemporaryDirectory() as scratch:
            trainer = Trainer(model, trial.data, config, seed)
            progress = fit(trainer, Checkpoints(Path(scratch)), told)
    return {
        "cold": trial.recall(model.outputs()),
        "validation": progress.best_value,
        "best_epoch": progress.best_epoch,
        "seconds": round(time.perf_counter() - started, 1),
        "curve": curve,
    }


def made(config: Config, store: Store) -> Mapping[str, Artifact]:
    """Return what training needs of a configuration.

    Raises:
        ArtifactError: it is not made yet.
    """
    steps = {step.name: step for step in flow.plan(config, store)}
    found = {n: store.find(steps[n].kind, steps[n].fingerprint) for n in ("etl", "embed", "graph")}
    artifacts = {artifact.kind: artifact for artifact in found.values() if artifact}
    if len(artifacts) < len(found):
        raise ArtifactError("tables, embeddings or graphs are missing: plotpointe run … --to graph")
    return artifacts


def main() -> None:
    """Print the record of the asked model, draws and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--model", help="a baseline of the configuration; ours if left out")
    parser.add_argument("--store", type=Path, default=Path(DEFAULT_STORE))
    parser.add_argument("--draws", type=int, default=1, help="of items that play cold")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="as for plotpointe run")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    store = Store(asked.store)
    config = flow.prepare(load_config(asked.config, asked.set), store)
    section = config.baseline(asked.model) if asked.model else config.train
    data = load(made(config, store), config.train)
    runs = [
        measure_one(trial_of(data, draw), section, asked.seed) for draw in range(1, asked.draws + 1)
    ]
    print(json.dumps({"model": section.model, "set": asked.set, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
