"""What a share of places for held-out items costs known ones: `train.new_item_share`, afterwards.

python -m benchmarks.new_item_share --store STORE [--group 'movielens cold'] [--entry text]
    [--seeds 0,1,2] [--shares 0.02,0.05,0.1,0.2]

STORE is one that `make quality` filled. The vectors of each finished run of gat and content_mean
are given each share in turn, and asked among all items for the test split and for the cold one:
recall@20 and NDCG@20, means over the seeds. Both models side by side at one share tell how well
they choose new items; a model's own share (the first line) tells how loud they happen to be.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.quality.plan import Job, jobs_of, read_plan
from benchmarks.quality.runs import ROOT, Run, planned
from pipeline import interactions
from pipeline.artifacts import Artifact, Store
from pipeline.evaluate.metrics import Metric, evaluate_users
from pipeline.models import Outputs
from pipeline.schema import SPLITS
from pipeline.scoring import Ranking, VectorScorer
from pipeline.train.active import calibrated

Record = dict[str, Any]
METRICS = [Metric.parse("recall@20"), Metric.parse("ndcg@20")]
MODELS = {"gat": "model", "content_mean": "model:content_mean"}


def inputs_of(job: Job, seed: int, store: Store) -> dict[str, Artifact]:
    """Return the tables and models of the report of a seed, by name."""
    made = planned(Run(replace(job, seeds=(seed,)), seed), store).made(store)
    report = next(artifact for artifact in made.values() if artifact.kind == "report")
    inputs = report.manifest["inputs"]
    found = {name: store.open("model", inputs[key]) for name, key in MODELS.items()}
    return {"tables": store.open("tables", inputs["tables"]), **found}


def values(tables: Artifact, model: Artifact, share: float | None) -> Record:
    """Return the metrics of a model whose new items take a share of places, by split."""
    train = interactions.user_item(tables)
    active = np.flatnonzero(np.bincount(train.indices, minlength=train.shape[1]))
    names = ("user_vectors", "item_vectors")
    vectors = {n: torch.from_numpy(model.array(f"{n}.npy", mapped=False)) for n in names}
    outputs, factor = Outputs(vectors), 1.0
    if share is not None:
        outputs, factor = calibrated(outputs, active, train[:, active], share)
    scorer = VectorScorer(*(outputs.vectors[n].numpy() for n in names))
    ranking = Ranking(interactions.user_item(tables, [SPLITS["train"], SPLITS["validation"]]), 20)
    found: Record = {"factor": factor}
    for split in ("test", "cold"):
        wanted = interactions.user_item(tables, [SPLITS[split]])
        users = interactions.evaluable(train, wanted)
        told = evaluate_users(scorer, users, wanted, ranking, METRICS)
        found |= {f"{split} {name}": float(each.mean()) for name, each in told.items()}
    return found


def records(job: Job, store: Store, seeds: list[int], shares: list[float]) -> Iterator[Record]:
    """Yield the means over seeds of each model and share."""
    inputs = [inputs_of(job, seed, store) for seed in seeds]
    for name in MODELS:
        for share in (None, *shares):
            each = [values(found["tables"], found[name], share) for found in inputs]
            means = {key: round(float(np.mean([e[key] for e in each])), 4) for key in each[0]}
            yield {"model": name, "share": share, "seeds": len(seeds), **means}


def main() -> None:
    """Print one JSON record a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--group", default="movielens cold")
    parser.add_argument("--entry", default="as configured")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--shares", default="0.02,0.05,0.1,0.2")
    given = parser.parse_args()
    plan = read_plan(ROOT / "benchmarks/quality.yaml")
    jobs = jobs_of(plan, given.group, ROOT / "configs")
    job = next(each for each in jobs if each.entry == given.entry)
    seeds, shares = ([*map(kind, text.split(","))] for kind, text in
                     ((int, given.seeds), (float, given.shares)))  # fmt: skip
    for record in records(job, Store(given.store), seeds, shares):
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
