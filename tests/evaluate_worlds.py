"""The planted world's baselines, and a run of the evaluate stage on it."""

import numpy as np

from pipeline import files, measure
from pipeline.config import DataConfig, EvaluateConfig
from pipeline.evaluate import stage
from pipeline.job import Job
from tests import worlds

CONFIG = EvaluateConfig(ks=(3, 10), resamples=200)


def popularity(store, world, fingerprint="9009"):
    def write(into):
        counts = np.asarray(world.matrix().sum(axis=0), dtype=np.float32).T
        files.write_array(into / "user_vectors.npy", np.ones((world.n_users, 1), np.float32))
        files.write_array(into / "item_vectors.npy", counts)

    return worlds.publish(store, "model", fingerprint, write)


def item_knn(store, world):
    def write(into):
        train = world.matrix()
        files.write_matrix(into / "item_item.npz", train.T @ train)

    return worlds.publish(store, "model", "17e35", write)


def evaluate(store, inputs, config=CONFIG, fingerprint="4e904", seed=0):
    def write(into):
        with measure.task("evaluate") as task:
            job = Job(
                config=config, data=DataConfig(format="demo"), inputs=inputs, into=into,
                scratch=store.root, task=task, seed=seed,
            )  # fmt: skip
            facts.update(stage.run(job))

    facts: dict = {}
    made_from = {name: artifact.fingerprint for name, artifact in inputs.items()}
    return worlds.publish(store, "report", fingerprint, write, facts=facts, inputs=made_from)


def number(report, **wanted):
    found = [
        n for n in report.json("metrics.json") if all(n[key] == v for key, v in wanted.items())
    ]
    assert len(found) == 1, wanted
    return found[0]
