"""Models to a report: every model ranks the same candidates for the same users."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import scipy.sparse as sp

from pipeline import files, measure
from pipeline.artifacts import Artifact
from pipeline.config import EvaluateConfig
from pipeline.crew import Crew
from pipeline.errors import DataError
from pipeline.evaluate.compare import Comparison, as_json, compare
from pipeline.evaluate.compared_by import choose, said
from pipeline.evaluate.costs import Entry, costs, line_of, variant_name, variants_of
from pipeline.evaluate.lists import Shown, Variant, show
from pipeline.evaluate.metrics import Metric
from pipeline.evaluate.names import baseline_name, ranked_name
from pipeline.evaluate.protocol import COLD_SUBJECTS, Rules, Subject, subject
from pipeline.evaluate.results import (
    Card,
    Measured,
    PerUserFile,
    exposure_numbers,
    measure_all,
    plain_numbers,
)
from pipeline.evaluate.slices import slices
from pipeline.evaluate.summary import nearest_k
from pipeline.interactions import user_item
from pipeline.job import Facts, Job
from pipeline.likeness import Likeness
from pipeline.measure.stats.draws import Draws
from pipeline.ranking import RankedScorer
from pipeline.schema import BRAND, CATEGORIES
from pipeline.scoring import Scorer, open_scorer

TRAINING, VALIDATED = "training", "ranking weights on validation"
SLICED = ("recall", "ndcg")


@dataclass(frozen=True)
class Entrant:
    """A model to be evaluated, under the name the report gives it."""

    name: str
    fingerprint: str
    scorer: Scorer
    variants: Mapping[str, Variant] = field(default_factory=dict)
    """Re-rankings of its lists, by the whole name the report gives them."""
    learned_from: str = TRAINING
    """The interactions that its weights were fitted on."""


@dataclass(frozen=True)
class Contest:
    """Who is evaluated, and by what items are compared."""

    entrants: list[Entrant]
    likeness: Likeness | None

    @property
    def main(self) -> Entrant:
        """Return our model."""
        return self.entrants[0]

    def cards(self, card: Card) -> dict[str, Card]:
        """Return the card of each model and variant; ``card`` is what they have in common."""
        found: dict[str, Card] = {}
        for e in self.entrants:
            own = {**card, "model": e.name, "fingerprint": e.fingerprint, "rerank": None}
            own |= {"distance": said(self.likeness), "learned_from": e.learned_from}
            found[e.name] = own
            for name, variant in e.variants.items():
                found[name] = {**own, "model": name, "rerank": {**variant.settings, "of": e.name}}
        return found


@dataclass(frozen=True)
class Evaluated:
    """Everything measured on one split."""

    shown: Mapping[str, Shown]
    whole: Measured
    cards: Mapping[str, Card]


def run(job: Job[EvaluateConfig]) -> Facts:
    """Write the report; return the headline numbers, the verdicts, and what could not be done.

    Raises:
        DataError: no user has both training and held-out interactions.
    """
    tables, config = job.inputs["tables"], job.config
    draws = Draws(config.resamples, job.seed)
    contest = _contest(job)
    subjects = _subjects(tables, Rules(config.mask, config.candidates, job.seed))
    numbers: list[dict[str, Any]] = []
    compared: list[dict[str, Any]] = []
    paid: list[Entry] = []
    with PerUserFile(job.into / "per_user.parquet") as kept:
        for each in subjects:
            done = _evaluate(each, contest, job)
            kept.add(done.whole)
            numbers += done.whole.numbers(done.cards, draws)
            numbers += exposure_numbers(done.shown, config.ks, done.cards)
            with measure.task(f"comparisons {each.split}"):
                if each is subjects[-1] or each.split in COLD_SUBJECTS:
                    comparisons = compare(done.whole, _against_baselines(contest), draws)
                    compared += as_json(comparisons, done.cards)
                paid += _costs(done, contest, job)
        with measure.task("slices"):
            parts = _sliced(subjects[-1], done, job, kept)
    files.write_json(job.into / "metrics.json", numbers)
    files.write_json(job.into / "slices.json", parts)
    files.write_json(job.into / "comparisons.json", compared)
    files.write_json(job.into / "rerank.json", paid)
    return _facts(subjects, contest, numbers, comparisons, paid)


def _contest(job: Job[EvaluateConfig]) -> Contest:
    inputs = job.inputs
    likeness = choose(inputs)
    items = inputs["tables"].table("items.parquet", [BRAND, CATEGORIES])
    variants = variants_of(job.config.rerank, items, likeness)
    main, *others = _entrants(inputs, user_item(inputs["tables"]))
    named = {variant_name(main.name, name): each for name, each in variants.items()}
    return Contest([replace(main, variants=named), *others], likeness)


def _entrants(inputs: Mapping[str, Artifact], train: sp.csr_matrix) -> Iterator[Entrant]:
    """Yield what is served, then its vectors alone where more is served, then the baselines."""
    model = inputs["model"]
    main = str(model.manifest["config"].get("model", "model"))
    if "ranker" in inputs:
        ranker = inputs["ranker"]
        scorer = RankedScorer.opened(ranker, model, train)
        name = ranked_name(main)
        yield Entrant(name, ranker.fingerprint, scorer, learned_from=f"{TRAINING}, {VALIDATED}")
    lists = f", {VALIDATED} through lists" if model.manifest["config"].get("distill") else ""
    yield Entrant(main, model.fingerprint, open_scorer(model, train), learned_from=TRAINING + lists)
    for name, artifact in inputs.items():
        label = name.removeprefix("model:")
        if label != name:
            shown = baseline_name(label, main)
            yield Entrant(shown, artifact.fingerprint, open_scorer(artifact, train))


def _subjects(tables: Artifact, rules: Rules) -> list[Subject]:
    """Return the splits that have users, the test split last, as the headline is of the last."""
    both = [subject(tables, split, rules) for split in ("validation", "test")]
    found = [each for each in both if len(each.users)]
    if not found:
        held_out = {each.split: each.relevant.nnz for each in both}
        raise DataError(
            f"nobody can be evaluated: no user has both training and held-out interactions (the "
            f"training split has {both[0].train.nnz} interactions, held out are {held_out}). "
            f"Choose another etl.split.rule, or larger shares of validation and test"
        )
    cold = [subject(tables, split, rules) for split in COLD_SUBJECTS]
    return [each for each in cold if len(each.users)] + found


def _evaluate(each: Subject, contest: Contest, job: Job[EvaluateConfig]) -> Evaluated:
    cards = contest.cards(each.card(job.inputs["tables"]))
    shown: dict[str, Shown] = {}
    crew = Crew(job.threads)
    longest, total = max(job.config.ks), len(contest.entrants) * len(each.users)
    with job.task.progress(f"ranking {each.split}", total=total, unit="users") as bar:
        for entrant in contest.entrants:
            with measure.task(f"rank {entrant.name}"):
                lists = show(entrant.scorer, each, longest, bar, entrant.variants, crew)
                shown |= {name or entrant.name: found for name, found in lists.items()}
    with measure.task(f"metrics {each.split}"):
        whole = measure_all(shown, job.config.ks, contest.likeness, crew)
    return Evaluated(shown, whole, cards)


def _against_baselines(contest: Contest) -> list[tuple[str, str]]:
    return [(contest.main.name, other.name) for other in contest.entrants[1:]]


def _costs(done: Evaluated, contest: Contest, job: Job[EvaluateConfig]) -> list[Entry]:
    """Return what each re-ranking of our model changes on one split."""
    main, draws = contest.main, Draws(job.config.resamples, job.seed)
    pairs = {(name, main.name): each for name, each in main.variants.items()}
    return costs(done.shown, done.whole, pairs, draws)


def _sliced(
    each: Subject, done: Evaluated, job: Job[EvaluateConfig], kept: PerUserFile
) -> list[dict[str, Any]]:
    """Return every slice with its numbers; what its users score goes into the per-user file."""
    metrics = [Metric(name, k) for name in SLICED for k in job.config.ks]
    draws = Draws(job.config.resamples, job.seed)
    parts = []
    for part in slices(each, job.inputs["tables"]):
        measured = part.measure(done.shown, metrics)
        kept.add(measured)
        size = {
            "n_users": len(part.users),
            "n_items": part.n_items(),
            "held_out_share": part.held_out_share(each),
        }
        numbers = measured.numbers(done.cards, draws)
        shares = part.shares(done.shown, job.config.ks)
        numbers += plain_numbers(measured, shares, done.cards)
        parts.append({"slice": part.name, "means": part.means, **size, "numbers": numbers})
    return parts


def _facts(
    subjects: list[Subject],
    contest: Contest,
    numbers: list[dict[str, Any]],
    comparisons: list[Comparison],
    paid: list[Entry],
) -> Facts:
    headline: dict[str, dict[str, dict[str, float]]] = {}
    for n in numbers:
        if n["metric"].split("@")[0] in SLICED:
            by_model = headline.setdefault(n["split"], {}).setdefault(n["model"], {})
            by_model[n["metric"]] = n["value"]
    present = [each.split for each in subjects]
    k = nearest_k(n["metric"] for n in numbers)
    return {
        "main": contest.main.name,
        "models": {e.name: e.fingerprint for e in contest.entrants},
        "users": {each.split: len(each.users) for each in subjects},
        "not_evaluated": [s for s in ("validation", "test") if s not in present],
        "metrics": headline,
        "distance": said(contest.likeness),
        "verdicts": [each.verdict for each in comparisons],
        "rerank": [line_of(each, k) for each in paid if each["split"] == present[-1]],
    }
