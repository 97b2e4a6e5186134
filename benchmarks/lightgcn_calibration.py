"""LightGCN on Amazon Baby under MMRec's protocol, against the published Recall@20 .0754.

    PLOTPOINTE_SHARED=../shared python -m benchmarks.lightgcn_calibration --seeds 3

Full ranking, training items masked, the checkpoint chosen on validation Recall@20 alone. Prints
one record as JSON; ``--model`` measures any other model on the same data path.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from pipeline import schema
from pipeline.config import load_config
from pipeline.evaluate.metrics import Metric, validate
from pipeline.graph.cooccurrence import cooccurrence
from pipeline.measure.processor import machine_name
from pipeline.models import MODELS, Inputs
from pipeline.relations import COOCCURRENCE
from pipeline.train.active import edges_of
from pipeline.train.checkpoint import Checkpoints, Progress
from pipeline.train.data import TrainingData, relation_of
from pipeline.train.loop import Trainer, fit, scorer_of
from pipeline.train.stage import options_of

ROOT = Path(__file__).parents[1]
PUBLISHED = {"recall@20": 0.0754, "ndcg@20": 0.0328}
METRICS = [Metric("recall", 20), Metric("ndcg", 20)]


def load(folder: Path) -> tuple[TrainingData, sp.csr_matrix]:
    """Return the training data with the given graphs, and the test interactions, CSR (U, N)."""
    users, items, label = np.loadtxt(folder / "baby.inter", skiprows=1, dtype=np.int64).T
    shape = int(users.max()) + 1, int(items.max()) + 1

    def part(split: int) -> sp.csr_matrix:
        at = label == split
        ones = np.ones(int(at.sum()), dtype=np.float32)
        matrix = sp.csr_matrix((ones, (users[at], items[at])), shape=shape)
        matrix.sort_indices()
        return matrix

    train = part(schema.TRAIN)
    relations = {m: relation_of(sp.load_npz(folder / f"{m}_knn.npz")) for m in ("text", "image")}
    relations[COOCCURRENCE] = relation_of(cooccurrence(train, 10, 2))
    inputs = Inputs(edges_of(train), relations)
    return TrainingData(inputs, train, part(schema.VALIDATION)), part(schema.TEST)


def measure_one(
    data: TrainingData, test: sp.csr_matrix, name: str, seed: int, overrides: Sequence[str]
) -> dict[str, Any]:
    """Return validation and test metrics of one training run, and what it took."""
    changes = [
        f"{'train' if name == 'gat' else f'baselines.{name}.overrides'}.{o}" for o in overrides
    ]
    whole = load_config(ROOT / "configs" / "amazon-baby.yaml", changes)
    config = whole.train if name == whole.train.model else whole.baseline(name)
    options = options_of(config, [*data.inputs.relations])
    model = MODELS[config.model](data.inputs, options, seed)
    started, progress = time.perf_counter(), Progress()
    if model.learns:
        with tempfile.TemporaryDirectory() as scratch:
            checkpoints = Checkpoints(Path(scratch))
            progress = fit(Trainer(model, data, config, seed), checkpoints, lambda _: None)
    scorer = scorer_of(model.outputs(), data.train)
    return {
        "seed": seed,
        "validation": validate(scorer, data.train, data.validation, METRICS),
        "test": validate(scorer, data.train, test, METRICS),
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "seconds": round(time.perf_counter() - started, 1),
        "learned": model.learned(),
    }


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation over seeds of each test metric."""
    found = {}
    for metric in runs[0]["test"]:
        values = [run["test"][metric] for run in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        found[metric] = {"mean": statistics.mean(values), "sd": spread}
    return found


def main() -> None:
    """Print the record of the asked model and seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="lightgcn", help="gat, or a baseline of the config")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE of the section")
    arguments = parser.parse_args()
    shared = Path(os.environ.get("PLOTPOINTE_SHARED", ROOT.parent / "shared"))
    data, test = load(shared / "data" / "amazon-baby")
    runs = [
        measure_one(data, test, arguments.model, seed, arguments.set)
        for seed in range(arguments.seeds)
    ]
    record = {
        "model": arguments.model,
        "data": "amazon-baby, MMRec split, train mask, all items",
        "published_lightgcn": PUBLISHED,
        "test": summary(runs),
        "runs": runs,
        "threads": torch.get_num_threads(),
        "machine": machine_name(),
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
