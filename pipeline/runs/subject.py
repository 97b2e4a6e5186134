"""What a report page is about: a run's record, or a report and all it stands on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError
from pipeline.runs.curves import Curves, curves_of, curves_of_model
from pipeline.runs.listing import all_runs, find

_REPORT = "report"


@dataclass(frozen=True)
class Subject:
    """A run, its artifacts as far as the store still has them, and its curves."""

    run: Mapping[str, Any]
    artifacts: Mapping[str, Artifact]
    """By step."""
    curves: Curves

    def made_by(self, stage: str) -> Artifact | None:
        """Return the artifact of a stage's main step, None where it is not made or gone."""
        return self.artifacts.get(stage)


def subject_of(store: Store, name: str) -> Subject:
    """Return what a page is about: a run's id, ``last``, or ``report/FINGERPRINT``.

    Raises:
        ArtifactError: there is no such run or report.
    """
    kind, _, fingerprint = name.partition("/")
    if kind == _REPORT:
        report = store.open(_REPORT, fingerprint or None)
        made = [run for run in all_runs(store) if _made(run, report)]
        return _of_run(made[-1], store) if made else _of_report(report, store)
    if fingerprint:
        raise ArtifactError(f"{name} is neither a run nor report/FINGERPRINT; see: plotpointe runs")
    return _of_run(find(store, name), store)


def _made(run: Mapping[str, Any], report: Artifact) -> bool:
    step = run.get("steps", {}).get("evaluate", {})
    return bool(step.get("made")) and step["fingerprint"] == report.fingerprint


def _of_run(run: Mapping[str, Any], store: Store) -> Subject:
    found = {
        name: artifact
        for name, step in run.get("steps", {}).items()
        if (artifact := store.find(step["kind"], step["fingerprint"]))
    }
    return Subject(run, found, curves_of(run, store))


def _of_report(report: Artifact, store: Store) -> Subject:
    """Return the page of a report that no record tells of, from the manifests below it."""
    found = dict(_below(report, store))
    bundles = [b for b in store.all("bundle") if _same_model(b, report)]
    found |= {"index": bundles[-1]} if bundles else {}
    steps = {
        name: {
            "stage": a.manifest["stage"],
            "kind": a.kind,
            "fingerprint": a.fingerprint,
            "made": True,
            "cost": a.manifest.get("cost", {}),
        }
        for name, a in found.items()
    }
    name = f"{_REPORT}/{report.fingerprint}"
    about = {"run_id": name, "config_name": str(report.facts.get("main", "a model"))}
    about |= {"status": "done", "started_at": str(report.manifest["created_at"])}
    run = {**about, "steps": steps, "metrics": {}, "config": {}}
    model = found.get("train")
    return Subject(run, found, curves_of_model(model) if model else Curves())


def _below(artifact: Artifact, store: Store) -> Iterator[tuple[str, Artifact]]:
    """Yield each artifact by its step, after those that it was made from."""
    for name, fingerprint in artifact.manifest["inputs"].items():
        needed = store.find(name.partition(":")[0], fingerprint)
        if needed is not None:
            yield from _below(needed, store)
    yield str(artifact.manifest.get("step") or artifact.manifest["stage"]), artifact


def _same_model(bundle: Artifact, report: Artifact) -> bool:
    wanted = ("model", "ranker")
    ours, theirs = bundle.manifest["inputs"], report.manifest["inputs"]
    return all(ours.get(kind) == theirs.get(kind) for kind in wanted)
