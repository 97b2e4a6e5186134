"""The store's runs and manifests as entries of an account."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline import files
from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError
from pipeline.measure.energy.account import Entry
from pipeline.schema import KINDS

RUNS, RECORD = "runs", "run.json"
UNRECORDED = "-"
"""The run and project of artifacts that no record of a run names."""


@dataclass(frozen=True)
class _Named:
    """What a step is called, and of what it is a part."""

    name: str
    project: str
    stage: str
    run: str


def entries_of(store: Store) -> list[Entry]:
    """Return every step that was made, oldest first: of recorded runs, then of manifests alone.

    A record outlives its artifacts, so what ``gc`` removed or a later run replaced stays counted.
    """
    made = {(a.kind, a.fingerprint): a for kind in KINDS for a in store.all(kind)}
    found: list[Entry] = []
    recorded: set[tuple[str, str]] = set()
    for record in _records(store):
        for name, step in record.get("steps", {}).items():
            if step.get("made") and step.get("cost"):
                key = (str(step.get("kind")), str(step.get("fingerprint")))
                recorded.add(key)
                found.append(_of_run(record, name, step, made.get(key)))
    found += [_of_manifest(a) for key, a in made.items() if key not in recorded and _cost(a)]
    return sorted(found, key=lambda entry: (entry.ended_at, entry.name))


def _records(store: Store) -> Iterator[Mapping[str, Any]]:
    for path in sorted((store.root / RUNS).glob(f"*/{RECORD}")):
        try:
            record = files.read_json(path)
        except (OSError, ValueError):  # a record that is being written, or was cut short
            continue
        if isinstance(record, dict) and isinstance(record.get("steps"), dict):
            yield record


def _cost(artifact: Artifact) -> Mapping[str, Any]:
    cost: Mapping[str, Any] = artifact.manifest.get("cost") or {}
    return cost if "wall_seconds" in cost else {}


def _of_run(
    record: Mapping[str, Any], name: str, step: Mapping[str, Any], artifact: Artifact | None
) -> Entry:
    # Records of before kept neither time nor place of a step. A run that was forced again left
    # another artifact, whose time and place are not this step's.
    same = artifact is not None and _cost(artifact).get("wall_seconds") == step["cost"].get(
        "wall_seconds"
    )
    manifest = artifact.manifest if artifact is not None and same else {}
    ended = step.get("ended_at") or manifest.get("created_at")
    ended = ended or record.get("ended_at") or record.get("started_at")
    grid = step.get("grid") or manifest.get("environment", {}).get("grid")
    return _entry(
        step["cost"],
        ended,
        grid,
        _Named(
            name=name,
            project=str(record.get("config_name") or UNRECORDED),
            stage=str(step.get("stage") or name.partition(":")[0]),
            run=str(record.get("run_id") or UNRECORDED),
        ),
    )


def _of_manifest(artifact: Artifact) -> Entry:
    manifest = artifact.manifest
    return _entry(
        _cost(artifact),
        manifest["created_at"],
        manifest.get("environment", {}).get("grid"),
        _Named(
            name=str(manifest.get("step") or KINDS[artifact.kind].made_by),
            project=UNRECORDED,
            stage=str(manifest.get("stage") or KINDS[artifact.kind].made_by),
            run=UNRECORDED,
        ),
    )


def _entry(
    cost: Mapping[str, Any], ended: str | None, grid: Mapping[str, Any] | None, named: _Named
) -> Entry:
    try:
        moment = datetime.fromisoformat(str(ended))
    except ValueError:
        raise ArtifactError(
            f"step {named.name} of run {named.run} ended at {ended!r}, which is no time"
        ) from None
    factor = (grid["grams_per_kwh"], grid["source"], grid["date"]) if grid else None
    return Entry(
        **vars(named),
        ended_at=moment if moment.tzinfo else moment.replace(tzinfo=UTC),
        wall_seconds=float(cost.get("wall_seconds") or 0.0),
        joules=cost.get("energy_joules"),
        grams=cost.get("grams_co2e"),
        source=str(cost.get("energy_source") or "none"),
        place=str(grid["place"]) if grid else UNRECORDED,
        factor=factor,
    )
