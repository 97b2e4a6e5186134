"""What a finished run shows: data quality, metrics beside the baselines, sample recommendations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifacts import Artifact, Store
from pipeline.cli.ask import open_recommender, print_items
from pipeline.cli.output import print_table, say

if TYPE_CHECKING:
    from pipeline.evaluate.summary import Summary
    from serving.recommender import Recommender

SAMPLE_USERS = 3


def print_findings(made: Mapping[str, Artifact]) -> None:
    """Print the quality of the data and of the recommendations, whichever was made."""
    if "etl" in made:
        from pipeline.etl.quality import summary_rows

        quality = made["etl"].json("quality.json")
        print_table("data", ("what", "found"), summary_rows(quality))
    if "evaluate" in made:
        print_metrics(made["evaluate"])


def print_metrics(report: Artifact) -> None:
    """Print the metrics beside the baselines, how lists spread, and what re-ranking costs."""
    from pipeline.evaluate.summary import beyond_accuracy, cold_splits, re_ranked, summary

    _print_summary("quality of recommendations", summary(report))
    for split in cold_splits(report):
        _print_summary(f"quality on items held out, {split}", summary(report, split=split))
    spread = beyond_accuracy(report)
    if spread:
        print_table("beyond accuracy", spread.header, spread.rows)
    if distance := report.facts.get("distance"):
        say(f"intra-list distance is {distance}")
    costs = re_ranked(report)
    if costs.rows:
        print_table("what re-ranking costs", costs.header, costs.rows)
    for note in costs.notes:
        say(f"- {note}")


def _print_summary(title: str, table: "Summary") -> None:
    print_table(title, table.header, table.rows)
    say(table.protocol)
    for verdict in table.verdicts:
        say(f"- {verdict}")


def print_samples(store: Store, bundle: Artifact, k: int = 5) -> None:
    """Print what a few users have and what is recommended to them, with reasons."""
    from serving.messages import RecommendRequest

    recommender = open_recommender(store, bundle.fingerprint)
    for user in typical_users(recommender, SAMPLE_USERS):
        key = str(recommender.bundle.users.keys[user])
        owned = recommender.summaries(recommender.bundle.seen_by(user)[:4])
        say(f"\nuser {key} has, among others: {'; '.join(i.title or i.id for i in owned)}")
        answer = recommender.recommend(RecommendRequest(user=key, k=k))
        print_items(f"recommended to {key}", answer.items)


def typical_users(recommender: "Recommender", count: int) -> list[int]:
    """Return users who have about as many items as most, by row."""
    taken = np.diff(recommender.bundle.seen.indptr)
    return [int(user) for user in np.argsort(np.abs(taken - np.median(taken)))[:count]]
