"""A name on the command line to the per-user values of one model of one report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import files, schema
from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError, suggest

PER_USER, METRICS = "per_user.parquet", "metrics.json"
RUNS, RUN, LATEST = "runs", "run.json", "last"


@dataclass(frozen=True)
class Source:
    """One model of one report, or of one file of per-user values."""

    name: str | None
    """Given before ``=``; sources of one name are seeds of one contender."""
    model: str
    path: Path
    """Of the per-user values."""
    report: Artifact | None
    """None where a file was given that lies in no report."""
    seed: int | None
    config: str | None
    """What the model was made from but for the seed, as text; None where that is not known."""

    @property
    def tables(self) -> str | None:
        """Return the fingerprint of the tables whose rows its users are; None of a bare file."""
        return self.report.manifest["inputs"].get("tables") if self.report else None

    @property
    def label(self) -> str:
        """Return what tells this source apart."""
        where = self.report.fingerprint[:8] if self.report else str(self.path)
        return f"{self.model} of {where}"


@dataclass(frozen=True)
class Values:
    """Per-user values of one model on one split.

    Shapes:
        by (slice, metric): users (B,), values (B,).
    """

    split: str
    found: Mapping[tuple[str, str], tuple[Rows, Floats]]


def find(store: Store, given: str) -> Source:
    """Return what ``[NAME=]REF[:MODEL]`` means.

    REF is a file or folder of per-user values, ``report/FINGERPRINT`` or ``report``, a run's id or
    ``last``, or a report's fingerprint; a unique prefix is enough. MODEL is the report's own
    where it is left out.

    Raises:
        ArtifactError: there is no such thing, several, or no such model in it.
    """
    name, sign, rest = given.partition("=")
    wanted, own_name = (rest, name) if sign else (given, None)
    ref, model = _split(store, wanted)
    report, path = _opened(store, ref)
    if path is None:
        raise ArtifactError(
            f"{ref!r} is no report, run or file of per-user values in {store.root}; see: "
            f"plotpointe show, plotpointe runs"
        )
    return _source(store, own_name, model, report, path)


def _split(store: Store, text: str) -> tuple[str, str | None]:
    """Return a reference and a model; a colon may also be part of a path or a run's id."""
    ref, colon, model = text.rpartition(":")
    whole = not colon or Path(text).exists() or bool(_runs(store, text))
    return (text, None) if whole else (ref, model)


def _opened(store: Store, ref: str) -> tuple[Artifact | None, Path | None]:
    path = Path(ref)
    if path.is_dir() and (path / PER_USER).exists():
        path = path / PER_USER
    if path.is_file():
        return None, path
    report = _report(store, ref)
    return report, report.file(PER_USER) if report else None


def _report(store: Store, ref: str) -> Artifact | None:
    kind, slash, fingerprint = ref.partition("/")
    if kind == "report":
        if not slash and store.current("report") is None:
            return next(reversed(store.all("report")), None)
        return store.open("report", fingerprint or None)
    found = _report_of_run(store, ref)
    if found is None and ref and any(a.fingerprint.startswith(ref) for a in store.all("report")):
        found = ref
    return store.open("report", found) if found else None


def _report_of_run(store: Store, ref: str) -> str | None:
    """Return the fingerprint of the report that a run made or found.

    Raises:
        ArtifactError: several runs match, or the run has no report.
    """
    matches = _runs(store, ref)
    if not matches:
        return None
    if len(matches) > 1:
        raise ArtifactError(f"{len(matches)} runs in {store.root} match {ref!r}: {matches}")
    folder = store.root / RUNS
    steps = json.loads((folder / matches[0] / RUN).read_text()).get("steps", {})
    step = steps.get("evaluate")
    if not step:
        raise ArtifactError(
            f"run {matches[0]} made no report; its steps are {sorted(steps)}. Name one that has: "
            f"plotpointe runs --where 'steps.evaluate.kind = report'"
        )
    return str(step["fingerprint"])


def _runs(store: Store, ref: str) -> list[str]:
    """Return the ids of the runs that a reference may mean."""
    names = sorted(p.parent.name for p in (store.root / RUNS).glob(f"*/{RUN}"))
    if ref == LATEST:
        return names[-1:]
    return [ref] if ref in names else [name for name in names if ref and name.startswith(ref)]


def _source(
    store: Store, name: str | None, model: str | None, report: Artifact | None, path: Path
) -> Source:
    known = models_of(path)
    own = str(report.facts["main"]) if report and "main" in report.facts else known[0]
    chosen = model or own
    if chosen not in known:
        raise ArtifactError(f"{path} has no model {chosen!r}{suggest(chosen, known)}; {known}")
    seed = report.manifest.get("seed") if report else None
    config = _config_of(store, report, chosen) if report else None
    return Source(name, chosen, path, report, seed, config)


def models_of(path: Path) -> list[str]:
    """Return the models whose values a file holds, in its order.

    Raises:
        ArtifactError: it is no file of per-user values.
    """
    try:
        wanted, found = schema.PER_USER.names, pq.read_schema(path).names
        missing = [column for column in wanted if column not in found]
        if missing:
            raise ArtifactError(f"{path} lacks the columns {missing}; it must have {wanted}")
        file = pq.ParquetFile(path, read_dictionary=["model"])
        groups = (file.read_row_group(at, ["model"])["model"] for at in range(file.num_row_groups))
        models = [name for group in groups for name in group.unique().to_pylist()]
    except pa.ArrowInvalid as error:
        raise ArtifactError(f"{path} is no Parquet file: {error}") from error
    if not models:
        raise ArtifactError(f"{path} holds no values")
    return [*dict.fromkeys(models)]


def _config_of(store: Store, report: Artifact, model: str) -> str | None:
    """Return what a model was made from but for its seed, as text that equal models share."""
    fingerprint = report.facts.get("models", {}).get(model)
    for kind in ("ranker", "model"):
        made = store.find(kind, fingerprint) if fingerprint else None
        if made is not None:
            before = {k: v for k, v in made.manifest["inputs"].items() if not _is_model(k)}
            upstream = [made.manifest["inputs"].get("model")] if kind == "ranker" else []
            parts = [store.find("model", each) for each in upstream if each]
            configs = [part.manifest["config"] for part in parts if part]
            version = made.manifest.get("stage_version")
            told = [model, kind, version, made.manifest["config"], configs, before]
            return json.dumps(told, sort_keys=True, default=str)
    return None


def _is_model(name: str) -> bool:
    return name.partition(":")[0] in ("model", "ranker")


def numbers_of(source: Source) -> list[dict[str, Any]]:
    """Return the numbers of the report that hold the source's protocol cards; none for bare files.

    Raises:
        ArtifactError: the file beside the values is not JSON.
    """
    path = source.path.with_name(METRICS)
    numbers = files.read_json(path) if path.exists() else []
    return [n for n in numbers if n["model"] == source.model]


def read(source: Source, split: str | None = None) -> Values:
    """Return a source's values on a split, on the test split or else the last if left out.

    Raises:
        ArtifactError: it has no such split, or a user twice.
    """
    kept = [("model", "=", source.model)]
    columns = ["split", "slice", schema.USER, "metric", "value"]
    table = pq.read_table(
        source.path, columns=columns, filters=kept, read_dictionary=["split", "slice", "metric"]
    )
    splits = table["split"].unique().to_pylist()
    chosen = split or ("test" if "test" in splits else splits[-1])
    if chosen not in splits:
        raise ArtifactError(f"{source.label} has no split {chosen!r}; it has {splits}")
    part, metric = (_coded(table[column]) for column in ("slice", "metric"))
    here = _coded(table["split"]).of(chosen)
    users, values = table[schema.USER].to_numpy(), table["value"].to_numpy()
    found = {}
    for which in part.names:
        inside = here & part.of(which)
        for name in metric.names:
            places = np.flatnonzero(inside & metric.of(name))
            if len(places):
                found[which, name] = _sorted(users[places], values[places], source, name)
    return Values(chosen, found)


@dataclass(frozen=True)
class _Coded:
    names: list[str]
    codes: Rows

    def of(self, name: str) -> Rows:
        return np.asarray(self.codes == self.names.index(name))


def _coded(column: pa.ChunkedArray) -> _Coded:
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    return _Coded(whole.dictionary.to_pylist(), whole.indices.to_numpy())


def _sorted(users: Rows, values: Floats, source: Source, metric: str) -> tuple[Rows, Floats]:
    """Return users rising, with their values."""
    if (np.diff(users) > 0).all():
        return users, values
    order = np.argsort(users, kind="stable")
    rising = users[order]
    if (np.diff(rising) == 0).any():
        raise ArtifactError(f"{source.path} has a user twice for {source.model}, {metric}")
    return rising, values[order]
