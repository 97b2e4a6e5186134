"""What is known of each group: rows, differences, the referee's word; as JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.quality.numbers import Finished
from benchmarks.quality.plan import Group, Job, Plan
from benchmarks.quality.referee import Judged
from benchmarks.quality.runs import Outcome, Run
from benchmarks.quality.tables import Difference, Variant, differences
from pipeline.evaluate.names import makers
from pipeline.measure.stats.draws import Draws

OF_ONE_NUMBER = ("model", "fingerprint", "learned_from", "k", "interval", "rerank", "seed")
"""Fields of a card that differ within a table."""
DRAWS = Draws(2000)


@dataclass(frozen=True)
class Refereed:
    """What an outsider says about a group."""

    judged: Sequence[Judged] = ()
    why_not: str = ""
    """Why nobody was asked."""

    def as_json(self) -> dict[str, Any]:
        """Return every verdict."""
        return {"why_not": self.why_not, "judged": [each.as_json() for each in self.judged]}


@dataclass(frozen=True)
class Findings:
    """What is known of one group."""

    name: str
    group: Group
    jobs: Sequence[Job]
    outcomes: Mapping[Run, Outcome]
    finished: Mapping[Run, Finished]
    rows: Sequence[Variant]
    differences: Mapping[str, Mapping[str, Sequence[Difference]]]
    """From the reference, by split and row."""
    refereed: Refereed | None

    def of(self, job: Job) -> dict[Run, Outcome]:
        """Return the runs of a job."""
        return {run: outcome for run, outcome in self.outcomes.items() if run.job == job}

    def cards(self) -> dict[str, list[dict[str, Any]]]:
        """Return the distinct protocol cards of each split, without what is of one number."""
        found: dict[str, list[dict[str, Any]]] = {split: [] for split in self.group.splits}
        for run in self.finished.values():
            for number in run.numbers:
                card = {k: v for k, v in number["card"].items() if k not in OF_ONE_NUMBER}
                if card not in found.get(number["split"], [card]):
                    found[number["split"]].append(card)
        return {split: cards for split, cards in found.items() if cards}


def findings(
    plan: Plan,
    jobs: Sequence[Job],
    outcomes: Mapping[Run, Outcome],
    finished: Mapping[Run, Finished],
    refereed: Refereed | None,
) -> Findings:
    """Return what is known of the group that the jobs are of."""
    name = jobs[0].group
    group = plan.groups[name]
    rows = [_row(job, model, finished) for job in jobs for model in job.models]
    compared = {split: _compared(group, rows, split, plan.metrics) for split in group.splits}
    return Findings(name, group, jobs, outcomes, finished, rows, compared, refereed)


def _row(job: Job, model: str, finished: Mapping[Run, Finished]) -> Variant:
    runs = {run.seed: each for run, each in finished.items() if run.job == job}
    known = {s: each for s, each in runs.items() if model in makers(each.planned.config)}
    return Variant(job.entry, model, known)


def _compared(
    group: Group, rows: Sequence[Variant], split: str, metrics: Sequence[str]
) -> dict[str, Sequence[Difference]]:
    reference = next((row for row in rows if row.name == group.reference), None)
    if reference is None:
        return {}
    others = [row for row in rows if row is not reference]
    return {row.name: differences(row, reference, split, metrics, DRAWS) for row in others}


def as_json(plan: Plan, found: Sequence[Findings]) -> dict[str, Any]:
    """Return every number with its card, every comparison, and what is missing."""
    groups = {each.name: _group_json(plan, each) for each in found}
    return {"metrics": list(plan.metrics), "groups": groups}


def _group_json(plan: Plan, each: Findings) -> dict[str, Any]:
    numbers = [
        number
        for row in each.rows
        for run in row.runs.values()
        for number in run.numbers_of(row.model, each.group.splits, plan.metrics)
    ]
    compared = [
        {"variant": name, "reference": each.group.reference, "split": split, **asdict(one)}
        for split, rows in each.differences.items()
        for name, those in rows.items()
        for one in those
    ]
    return {
        "runs": [_run_json(each, run, outcome) for run, outcome in each.outcomes.items()],
        "numbers": numbers,
        "differences": compared,
        "referee": each.refereed and each.refereed.as_json(),
    }


def _run_json(each: Findings, run: Run, outcome: Outcome) -> dict[str, Any]:
    job = run.job
    asked = {"entry": job.entry, "seed": run.seed, "config": job.config.name}
    asked |= {"set": [*job.of(run.seed)], "state": outcome.state, "reason": outcome.reason}
    return asked | (each.finished[run].as_json(job.models) if run in each.finished else {})
