"""The rank stage: a model and a second opinion to a fitted second stage.

The network is fitted on the validation interactions: what a model scores on those it was trained
on says little of what it scores on new ones. Folds of users keep the reported gain honest.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline import files, interactions, measure
from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.config import RankConfig
from pipeline.errors import ArtifactError, ConfigError, DataError
from pipeline.evaluate.metrics import Metric, hits_of, rank_metrics
from pipeline.job import Facts, Job
from pipeline.rank.fit import Examples, Recipe, fit
from pipeline.ranking.blend import blended
from pipeline.ranking.candidates import candidates_of, padded
from pipeline.ranking.evidence import Evidence
from pipeline.ranking.features import VECTORS, features
from pipeline.ranking.network import Network
from pipeline.ranking.space import Space
from pipeline.ranking.store import SECOND, write_network, write_others, write_relations
from pipeline.relations import symmetric
from pipeline.schema import VALIDATION
from pipeline.scoring import blocks

TOGETHER = "cooccurrence"
SHARE = 0.25
"""Of the vectors' own scores in the result: enough to steady the network (docs/log.md)."""
REPORTED = ("recall@20", "ndcg@20")


@dataclass(frozen=True)
class Trial:
    """The users of the fit, their candidates, and how lists of them are judged.

    Shapes:
        users: (B,). rows: (B, C). taken: (B,), how many held-out items each user has.
    """

    users: Rows
    rows: Rows
    taken: Rows
    examples: Examples
    names: list[str]

    def metrics(self, scores: Floats, wanted: list[str]) -> dict[str, float]:
        """Return the mean metrics of the lists that scores (B, C) give."""
        metrics = [Metric.parse(each) for each in wanted]
        held_back = np.where(self.examples.real, scores, -np.inf)
        order = np.argsort(-held_back, axis=1, kind="stable")[:, : max(m.k for m in metrics)]
        hits = np.take_along_axis(self.examples.relevant, order, axis=1)
        values = rank_metrics(hits, self.taken, metrics)
        return {name: float(each.mean()) for name, each in values.items()}


def run(job: Job[RankConfig]) -> Facts:
    """Write the second stage; return what it gains on users that its networks never saw.

    Raises:
        ConfigError: the model has no vectors to retrieve with, or no such second model.
        ArtifactError: the second model has no item-item weights, or another one no vectors.
        DataError: no user has both training and validation interactions.
    """
    tables = job.inputs["tables"]
    evidence = _evidence(job)
    held_out = interactions.user_item(tables, (VALIDATION,))
    with measure.task("features"):
        trial = _trial(job, evidence, held_out)
    network, share, facts = _fitted(job, trial)
    write_relations(job.into, evidence.relations)
    write_others(job.into, evidence.others)
    if evidence.second is not None:
        files.write_matrix(job.into / SECOND, evidence.second)
    write_network(job.into, network, job.config.candidates, share)
    return {"users": len(trial.users), "features": trial.names, **facts}


def _evidence(job: Job[RankConfig]) -> Evidence:
    model, graphs = job.inputs["model"], job.inputs["graphs"]
    if not model.has("item_vectors.npy"):
        raise ConfigError(
            f"{model.manifest['config'].get('model')} has no vectors to retrieve candidates with; "
            f"set rank: null, or train.model to one that has, such as gat"
        )
    relations = {m: graphs.matrix(f"{m}_knn.npz") for m in graphs.modalities("_knn.npz")}
    relations[TOGETHER] = graphs.matrix(f"{TOGETHER}.npz")
    return Evidence(
        Space.opened(model),
        interactions.user_item(job.inputs["tables"]),
        {name: symmetric(matrix) for name, matrix in sorted(relations.items())},
        _second(job),
        {name: _other(job.inputs[f"model:{name}"], name) for name in job.config.others},
    )


def _other(model: Artifact, name: str) -> Space:
    if not model.has("item_vectors.npy"):
        raise ArtifactError(
            f"rank.others has {name}, which has no vectors; name models that have, such as gat, "
            f"lightgcn or mf"
        )
    return Space.opened(model)


def _second(job: Job[RankConfig]) -> sp.csr_matrix | None:
    name = job.config.second
    if name is None:
        return None
    artifact: Artifact = job.inputs[f"model:{name}"]
    if not artifact.has("item_item.npz"):
        raise ArtifactError(
            f"rank.second is {name}, which has no item-item weights; name a baseline whose model "
            f"is ease or item_knn, or set rank.second: null"
        )
    return artifact.matrix("item_item.npz")


def _trial(job: Job[RankConfig], evidence: Evidence, held_out: sp.csr_matrix) -> Trial:
    users = interactions.evaluable(evidence.taken, held_out)
    if not len(users):
        raise DataError(
            f"there is nobody to learn a ranking from: no user has both training and validation "
            f"interactions (training has {evidence.taken.nnz}, validation {held_out.nnz}). Choose "
            f"another etl.split.rule or a larger share for validation, or set rank: null"
        )
    if len(users) > job.config.users:
        drawn = np.random.default_rng(job.seed).choice(users, job.config.users, replace=False)
        users = np.sort(drawn)
    rows: list[Rows] = []
    parts: list[Floats] = []
    names: list[str] = []
    with job.task.progress("features", total=len(users), unit="users") as bar:
        for block in blocks(users, evidence.items):
            taste = evidence.tastes(block)
            found = candidates_of(evidence, taste, job.config.candidates, taste.history)
            names, values = features(evidence, taste, found)
            rows += list(found)
            parts += list(values)
            bar.advance(len(block))
    whole = padded(rows)
    stacked = np.zeros((*whole.shape, len(names)), dtype=np.float32)
    for into, values in zip(stacked, parts, strict=True):
        into[: len(values)] = values
    relevant = hits_of(whole, users, held_out)
    taken = np.diff(held_out.indptr)[users]
    return Trial(users, whole, taken, Examples(stacked, whole >= 0, relevant), names)


def _fitted(job: Job[RankConfig], trial: Trial) -> tuple[Network, float, Facts]:
    """Return the best network of those tried, by what it scores on users it never saw.

    Tried are a linear one and one with hidden units, each steadied by a share of the vectors'
    scores. Where neither beats the vectors alone, they rank, and the share returned is 0.
    """
    config, wanted = job.config, [job.config.select_metric, *REPORTED]
    vectors = trial.examples.features[:, :, trial.names.index(VECTORS)]
    best = trial.metrics(vectors, wanted)
    kept, share = Network.of_one(trial.names, trial.names.index(VECTORS)), 0.0
    tried = {"vectors alone": best}
    with measure.task("fit"):
        for hidden in dict.fromkeys((0, config.hidden)):
            fitted = fit(trial.names, trial.examples, _recipe(config, hidden, job.seed))
            scores = blended(fitted.held_out, vectors, trial.examples.real, SHARE)
            found = tried[f"{hidden} hidden units"] = trial.metrics(scores, wanted)
            if found[config.select_metric] > best[config.select_metric]:
                best, kept, share = found, fitted.network, SHARE
    return kept, share, {"validation_out_of_fold": best, "vectors_share": share, "tried": tried}


def _recipe(config: RankConfig, hidden: int, seed: int) -> Recipe:
    rate, decay = config.learning_rate, config.weight_decay
    return Recipe(hidden, config.epochs, rate, decay, config.folds, seed)
