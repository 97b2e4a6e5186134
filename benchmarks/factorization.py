"""Matrix factorisation by the library implicit beside our models: time, and quality on validation.

python -m benchmarks.factorization STORE [--tables FINGERPRINT] [--threads 2] [--factors 64]
    [--ours als,item_knn]

STORE holds tables that `plotpointe run` made; without a fingerprint the largest are taken. Every
model gets the same training interactions, validation users and ranking. Seconds are wall seconds of
fitting alone; every model has its default settings.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from pipeline import interactions
from pipeline.artifacts import Artifact, Store
from pipeline.config import TrainConfig
from pipeline.evaluate.metrics import Metric, validate
from pipeline.models import MODELS, Inputs
from pipeline.schema import VALIDATION
from pipeline.scoring import Scorer, VectorScorer
from pipeline.train.active import edges_of
from pipeline.train.data import of_some_users
from pipeline.train.loop import scorer_of
from pipeline.train.stage import options_of

Record = dict[str, Any]
METRICS = [Metric.parse("recall@20"), Metric.parse("ndcg@20")]
USERS = 20_000
THEIRS = ("implicit als", "implicit bpr")


def theirs(name: str, train: sp.csr_matrix, factors: int, threads: int) -> Callable[[], Scorer]:
    """Return what fits one of implicit's models with its default settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice about the threads of BLAS
        import implicit
    makers = {
        "implicit als": implicit.als.AlternatingLeastSquares,
        "implicit bpr": implicit.bpr.BayesianPersonalizedRanking,
    }
    model = makers[name](factors=factors, num_threads=threads, random_state=0)

    def fit() -> Scorer:
        """Return the scorer of the fitted model."""
        model.fit(train, show_progress=False)
        return VectorScorer(np.asarray(model.user_factors), np.asarray(model.item_factors))

    return fit


def ours(name: str, train: sp.csr_matrix) -> Callable[[], Scorer]:
    """Return what fits one of our models that trains on interactions alone."""
    config = TrainConfig(model=name)

    def fit() -> Scorer:
        """Return the scorer of the fitted model."""
        model = MODELS[name](Inputs(edges_of(train), {}, {}, {}), options_of(config, []), 0)
        return scorer_of(model.outputs(), train)

    return fit


def largest(store: Store) -> Artifact:
    """Return the tables with most interactions."""
    return max(
        store.all("tables"),
        key=lambda made: made.manifest["files"]["interactions.parquet"]["bytes"],
    )


def record(
    name: str, fit: Callable[[], Scorer], train: sp.csr_matrix, wanted: sp.csr_matrix
) -> Record:
    """Return what fitting took, and how good the lists are."""
    begun = time.perf_counter()
    scorer = fit()
    seconds = time.perf_counter() - begun
    values = validate(scorer, train, wanted, METRICS)
    return {"model": name, "fit_seconds": round(seconds, 1)} | {
        metric: round(value, 4) for metric, value in values.items()
    }


def main() -> None:
    """Print one JSON record a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--tables")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--ours", default="als,item_knn,popularity")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    store = Store(given.store)
    tables = store.open("tables", given.tables) if given.tables else largest(store)
    whole = interactions.user_item(tables)
    active = np.flatnonzero(np.bincount(whole.indices, minlength=whole.shape[1]))
    train = sp.csr_matrix(whole[:, active])
    wanted = interactions.user_item(tables, (VALIDATION,))[:, active]
    wanted = of_some_users(sp.csr_matrix(wanted), train, USERS)
    ways = {n: theirs(n, train, given.factors, given.threads) for n in THEIRS}
    ways |= {name: ours(name, train) for name in given.ours.split(",")}
    for name, fit in ways.items():
        print(json.dumps(record(name, fit, train, wanted)), flush=True)


if __name__ == "__main__":
    main()
