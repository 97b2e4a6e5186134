"""What a run measured, as rows: those steps alone that it made itself."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.artifacts import Artifact, Store
from pipeline.hashing import fingerprint
from pipeline.runs.numbers import costs_of, facts_of, headline_of

BEFORE = "before-"
"""Begins the run id of what was made before runs had records."""


class Row(NamedTuple):
    """One number that one run measured."""

    run_id: str
    at: str
    """When the run began, ISO 8601 in UTC."""
    environment_id: str | None
    """Runs that share it had the same machine."""
    data: str
    """A hash of the raw files."""
    config: str
    """A hash of the settings of the step and of all it stands on, without the seed."""
    commit: str | None
    stage: str
    step: str
    metric: str
    value: float


def rows_of(run: Mapping[str, Any]) -> Iterator[Row]:
    """Yield what a run measured, from its record alone."""
    environment, git = run.get("environment") or {}, run.get("git") or {}
    for name, step in run.get("steps", {}).items():
        if not step["made"]:
            continue
        machine, commit = environment.get("environment_id"), git.get("commit")
        about = run["run_id"], run["started_at"], machine, step["data"], step["asked"], commit
        for metric, value in _metrics(run, name, step).items():
            yield Row(*about, step["stage"], name, metric, value)


def _metrics(run: Mapping[str, Any], name: str, step: Mapping[str, Any]) -> dict[str, float]:
    own = f"{name}/"
    logged = {
        metric.removeprefix(own): value
        for metric, value in run["metrics"].items()
        if metric.startswith(own) and value is not None
    }
    known = run["metrics"]
    headline = {m: known[m] for m in step.get("headline", ()) if known.get(m) is not None}
    return {**logged, **costs_of(step["cost"]), **headline}


def rows_of_artifact(artifact: Artifact, store: Store) -> Iterator[Row]:
    """Yield what is known of an artifact that no record tells of; its machine is not known."""
    manifest = artifact.manifest
    at = str(manifest["created_at"])
    run_id = BEFORE + artifact.fingerprint
    about = (run_id, at, None, _data(manifest, store), _asked(manifest, store), None)
    step = str(manifest.get("step") or manifest.get("stage"))
    found = {**facts_of(artifact), **costs_of(manifest.get("cost") or {})}
    for metric, value in (found | headline_of(step, artifact)).items():
        yield Row(*about, str(manifest.get("stage")), step, metric, value)


def _asked(manifest: Mapping[str, Any], store: Store) -> str:
    """Return what ``runs.recording.traits_of`` returns, from manifests."""
    stands_on = {
        name: _asked(needed.manifest, store) if needed else wanted
        for name, wanted, needed in _inputs(manifest, store)
    }
    ordered = dict(sorted(stands_on.items()))
    return fingerprint({"config": manifest.get("config"), "on": ordered})


def _data(manifest: Mapping[str, Any], store: Store) -> str:
    return fingerprint({"raw": _raw(manifest, store)})


def _raw(manifest: Mapping[str, Any], store: Store) -> dict[str, Any]:
    found = {manifest["stage"]: manifest["raw"]} if manifest.get("raw") else {}
    for _, _, needed in _inputs(manifest, store):
        found |= _raw(needed.manifest, store) if needed else {}
    return found


def _inputs(
    manifest: Mapping[str, Any], store: Store
) -> Iterator[tuple[str, str, Artifact | None]]:
    """Yield the name, the fingerprint and, where the store still has it, the artifact of inputs."""
    for name, wanted in manifest["inputs"].items():
        yield name, wanted, store.find(name.partition(":")[0], wanted)
