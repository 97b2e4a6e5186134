"""A report as rows to print."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.artifacts import Artifact
from pipeline.errors import ArtifactError, suggest
from pipeline.evaluate.protocol import COLD_SUBJECTS
from pipeline.measure.stats.draws import Interval

_USUAL_K = 20
_USUAL = ("recall", "ndcg", "coverage")
_BEYOND = ("gini", "novelty_bits", "intra_list_distance", "popularity_lift")
_CHANGED = ("ndcg", "recall", "intra_list_distance", "coverage")


@dataclass(frozen=True)
class Summary:
    """A table of models by metrics, what it means, and who won."""

    header: list[str]
    """``model``, then metric names."""
    rows: list[list[str]]
    """The main model first; a cell is a mean and its 95 % interval."""
    protocol: str
    """One line on split, candidates, mask and users."""
    verdicts: list[str]
    """One line for each comparison on the shown metrics."""


def summary(report: Artifact, metrics: Sequence[str] = (), split: str | None = None) -> Summary:
    """Return the table of a report, by default recall, ndcg and coverage at 20 (or the nearest k).

    Raises:
        ArtifactError: the report holds no such metric or split.
    """
    numbers = report.json("metrics.json")
    splits = [*dict.fromkeys(n["split"] for n in numbers)]
    chosen = split or splits[-1]
    here = {(n["model"], n["metric"]): n for n in numbers if n["split"] == chosen}
    if not here:
        raise ArtifactError(f"report {report.fingerprint} has no split {chosen!r}; it has {splits}")
    known = [*dict.fromkeys(metric for _, metric in here)]
    wanted = [*metrics] or _at_usual_k(known, _USUAL)
    for name in wanted:
        if name not in known:
            raise ArtifactError(f"the report has no {name!r}{suggest(name, known)}; it has {known}")
    models = [*dict.fromkeys(model for model, _ in here)]
    rows = [[model, *(_cell(here[model, name]) for name in wanted)] for model in models]
    compared = report.json("comparisons.json")
    verdicts = [c["verdict"] for c in compared if c["metric"] in wanted and c["split"] == chosen]
    return Summary(["model", *wanted], rows, _protocol(next(iter(here.values()))), verdicts)


def cold_splits(report: Artifact) -> list[str]:
    """Return the splits of cold items that a report has beside its headline."""
    splits = [*dict.fromkeys(n["split"] for n in report.json("metrics.json"))]
    return [split for split in splits[:-1] if split in COLD_SUBJECTS]


def beyond_accuracy(report: Artifact, split: str | None = None) -> Summary | None:
    """Return the table of how lists spread, at 20 or the nearest k; None in reports of before."""
    known = {n["metric"] for n in report.json("metrics.json")}
    found = [name for name in _at_usual_k(known, _BEYOND) if name in known]
    return summary(report, found, split) if found else None


@dataclass(frozen=True)
class Costs:
    """A table of re-rankings by what they change; without rows where none was asked for."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    """Why lists end early, where any does, and caps on labels that no item has."""


def re_ranked(report: Artifact, split: str | None = None) -> Costs:
    """Return what each re-ranking of our model changes, at 20 or the nearest k."""
    entries = report.json("rerank.json") if report.has("rerank.json") else []
    chosen = split or (entries[-1]["split"] if entries else None)
    here = [entry for entry in entries if entry["split"] == chosen]
    if not here:
        return Costs([], [], [])
    names = _at_usual_k(here[0]["of_all_lists"], _CHANGED)
    k = names[0].split("@")[1]
    header = ["re-ranked", *(f"change of {name}" for name in names), "lists that end early"]
    rows = [
        [e["variant"], *(_changed(e, name) for name in names), str(e["short_lists"][k])]
        for e in here
    ]
    return Costs(header, rows, [f"{e['variant']}: {note}" for e in here for note in _notes(e)])


def _notes(entry: dict[str, Any]) -> Iterator[str]:
    if entry["shortfall_reason"]:
        yield f"lists end early where {entry['shortfall_reason']}"
    for label, share in entry["settings"]["labelled_share"].items():
        if share == 0:
            yield f"no item of the catalogue has a {label}, so nothing was capped by it"


def _changed(entry: dict[str, Any], metric: str) -> str:
    if metric in entry["of_all_lists"]:
        both = entry["of_all_lists"][metric]
        return f"{both['variant'] - both['base']:+.4f}"
    for change in entry["changes"]:
        if change["metric"] == metric:
            by = change["difference"]
            return f"{by['value']:+.4f} [{by['low']:+.4f}, {by['high']:+.4f}]"
    return "-"


def nearest_k(metrics: Iterable[str]) -> int:
    """Return the list length among some metrics that is nearest to the usual 20."""
    ks = sorted({int(name.split("@")[1]) for name in metrics})
    return min(ks, key=lambda each: abs(each - _USUAL_K))


def _at_usual_k(known: Iterable[str], names: Sequence[str]) -> list[str]:
    k = nearest_k(known)
    return [f"{name}@{k}" for name in names]


def _cell(number: dict[str, Any]) -> str:
    if number["low"] is None:
        return f"{number['value']:.4f}"
    return str(Interval(number["value"], number["low"], number["high"]))


def _protocol(number: dict[str, Any]) -> str:
    card = number["card"]
    return (
        f"{card['split']} split ({card['split_rule'].get('rule', 'unknown')}), full ranking of "
        f"{card['n_candidates']:,} items, {card['mask']} masked, {card['n_users']:,} users, "
        f"95 % bootstrap intervals over users"
    )
