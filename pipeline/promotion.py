"""Which artifact is served, and which may go: promote after verifying, collect what nobody uses."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.artifacts import SCRATCH, Artifact, Store, sweep_drafts
from pipeline.errors import ArtifactError
from pipeline.promises import verify
from pipeline.schema import KINDS

Name = tuple[str, str]
"""Kind and fingerprint."""


@dataclass(frozen=True)
class Removed:
    """An artifact that was removed, or would be."""

    kind: str
    fingerprint: str
    bytes: int


def promote(store: Store, kind: str, fingerprint: str, why: str = "promoted") -> Artifact:
    """Make an artifact the one that is served, and return it.

    Raises:
        ArtifactError: it breaks a promise, or is a bundle whose model no report has measured.
    """
    artifact = store.open(kind, fingerprint)
    verify(artifact)
    if kind == "bundle":
        report_of(store, artifact)
    store.point(kind, artifact.fingerprint, why)
    return artifact


def report_of(store: Store, bundle: Artifact) -> Artifact:
    """Return the newest report on the bundle's model.

    Raises:
        ArtifactError: there is none.
    """
    model = bundle.manifest["inputs"].get("model")
    reports = [r for r in store.all("report") if r.manifest["inputs"].get("model") == model]
    if not reports:
        raise ArtifactError(
            f"bundle {bundle.fingerprint} serves model {model}, on which {store.root} holds no "
            f"report; a model that was not evaluated is not served. Evaluate it: "
            f"plotpointe evaluate CONFIG"
        )
    return reports[-1]


def collect_garbage(store: Store, keep: int = 3, *, dry_run: bool = False) -> list[Removed]:
    """Remove what nothing kept was made from; return what was removed, with its size.

    Kept are the promoted artifacts, those a rollback would return to, the newest ``keep`` of each
    kind, the reports on kept models, and all that these were made from.
    """
    everything = {(a.kind, a.fingerprint): a for kind in KINDS for a in store.all(kind)}
    kept = _reachable({*_roots(store, keep)}, everything)
    models = {fingerprint for kind, fingerprint in kept if kind == "model"}
    reports = {n for n, a in everything.items() if n[0] == "report" and _measures(a, models)}
    kept = _reachable(kept | reports, everything)
    removed = [
        Removed(*name, sum(entry["bytes"] for entry in artifact.manifest["files"].values()))
        for name, artifact in everything.items()
        if name not in kept
    ]
    if not dry_run:
        for each in removed:
            store.remove(each.kind, each.fingerprint)
        _sweep(store)
    return removed


def _roots(store: Store, keep: int) -> Iterator[Name]:
    for kind in KINDS:
        for fingerprint in (store.current(kind), store.previous(kind)):
            if fingerprint is not None:
                yield kind, fingerprint
        for artifact in store.all(kind)[::-1][:keep]:
            yield kind, artifact.fingerprint


def _measures(report: Artifact, models: set[str]) -> bool:
    return str(report.manifest["inputs"].get("model")) in models


def _reachable(roots: set[Name], everything: dict[Name, Artifact]) -> set[Name]:
    """Return the roots and all that they were made from."""
    found: set[Name] = set()
    waiting = [name for name in roots if name in everything]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        inputs = everything[name].manifest["inputs"]
        named = [(key.split(":")[0], str(value)) for key, value in inputs.items()]
        waiting += [each for each in named if each in everything]
    return found


def _sweep(store: Store) -> None:
    """Remove abandoned drafts, and work folders of steps whose artifact is complete."""
    for kind in KINDS.values():
        sweep_drafts(store.root / kind.name)
        for scratch in (store.root / SCRATCH / kind.made_by).glob("*"):
            if store.find(kind.name, scratch.name) is not None:
                shutil.rmtree(scratch, ignore_errors=True)
