"""The stages in order, and what each needs. Read this first.

 raw ──etl──▶ tables ──embed──▶ embeddings ──graph──▶ graphs ──train──▶ model ──rank──▶ ranker
                                                                          └──────┬──────┘
                                                     bundle ◀──index──┴──evaluate──▶ report

``plan`` turns a configuration into steps whose fingerprints are known before anything runs;
``run`` makes what is missing, independent steps side by side.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.artifacts import Artifact, Store
from pipeline.config import FIRST, Config
from pipeline.errors import ConfigError, DataError, suggest
from pipeline.hashing import ContentHashes, fingerprint
from pipeline.sections import Section

RawInput = Callable[[Config], dict[str, Any]]


def _nothing(_: Config) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Stage:
    """One arrow of the picture above."""

    name: str
    makes: str
    """The kind of artifact."""
    door: str
    """The module whose ``run(job)`` does the work; imported in the stage's own process."""
    version: int
    """Raised when the same request would give another result."""
    needs: tuple[str, ...] = ()
    """Kinds of artifacts."""
    raw: RawInput = _nothing
    """What else enters the fingerprint: paths are hashed by content, other values as they are."""
    seeded: bool = False
    """Whether the result depends on ``seed``."""


def _etl_raw(config: Config) -> dict[str, Any]:
    data = config.data
    files: dict[str, Any] = {"interactions": data.interactions, "items": data.items}
    if data.folder:
        _must_exist(data.folder)
        files["folder"] = {p.name: p for p in data.folder.iterdir() if p.is_file()}
    settings = data.model_dump(mode="json", include={"format", "columns"})
    if data.attributes:
        settings["attributes"] = dict(data.attributes)
    demo = data.demo.model_dump() if data.format == "demo" else None
    pictures = _picture_names(data.images)
    return {"files": files, "settings": settings, "demo": demo, "pictures": pictures}


def _picture_names(images: Path | None) -> str | None:
    """Return a hash of which pictures exist: the tables name them, the embeddings read them."""
    if images is None:
        return None
    _must_exist(images)
    names = sorted(p.relative_to(images).as_posix() for p in images.rglob("*") if p.is_file())
    return fingerprint({"names": names})


def _embed_raw(config: Config) -> dict[str, Any]:
    return {"images": config.data.images, "vectors": dict(config.data.vectors)}


def _graph_raw(config: Config) -> dict[str, Any]:
    return {"graphs": dict(config.data.graphs)}


STAGES = {
    stage.name: stage
    for stage in (
        Stage("etl", "tables", "pipeline.etl.stage", 1, raw=_etl_raw),
        Stage("embed", "embeddings", "pipeline.embed.stage", 1, ("tables",), _embed_raw),
        Stage("graph", "graphs", "pipeline.graph.stage", 1, ("tables", "embeddings"), _graph_raw),
        Stage(
            "train",
            "model",
            "pipeline.train.stage",
            3,
            ("tables", "embeddings", "graphs"),
            seeded=True,
        ),
        Stage(
            "rank", "ranker", "pipeline.rank.stage", 4, ("tables", "graphs", "model"), seeded=True
        ),
        Stage(
            "evaluate",
            "report",
            "pipeline.evaluate.stage",
            3,
            ("tables", "embeddings", "graphs", "model"),
            seeded=True,
        ),
        Stage(
            "index",
            "bundle",
            "pipeline.index.stage",
            2,
            ("tables", "embeddings", "graphs", "model"),
        ),
    )
}


@dataclass(frozen=True)
class Step:
    """One artifact to make: a stage, its settings, and the steps it waits for."""

    name: str
    """The stage's name, or ``train:NAME`` for a baseline."""
    stage: Stage
    config: Section
    needs: Mapping[str, "Step"]
    """Input name (a kind, or ``model:NAME``) to the step that makes it."""
    fingerprint: str
    request: Mapping[str, Any] = field(repr=False, default_factory=dict)
    """What the fingerprint is a hash of, kept in the manifest."""

    @property
    def kind(self) -> str:
        """Return the kind of artifact this step makes."""
        return self.stage.makes


def prepare(config: Config, store: Store) -> Config:
    """Return the configuration with the embedded catalogue written and found, where it is used."""
    data = config.data
    if data.format != "demo" or data.folder is not None:
        return config
    from pipeline.etl.demo import materialise

    folder = store.root / "demo-catalogue" / fingerprint(data.demo.model_dump())
    materialise(data.demo, folder)
    found = data.model_copy(update={"folder": folder, "images": folder / "images"})
    return config.model_copy(update={"data": found})


def plan(config: Config, store: Store) -> list[Step]:
    """Return every step of a run in an order in which each comes after what it needs.

    Raises:
        DataError: a raw file is missing.
        ConfigError: a baseline has a name that a step needs.
    """
    hashes = ContentHashes(store.root / ".hashes.json")
    steps: dict[str, Step] = {}
    for name, stage, section in _wanted(config):
        needs = {known_as: steps[maker] for known_as, maker in _needs(stage, name, config).items()}
        steps[name] = _step(name, stage, section, needs, config, hashes)
    return list(steps.values())


def _wanted(config: Config) -> Iterator[tuple[str, Stage, Section]]:
    """Yield each step's name, stage and settings, after the steps that it may need."""
    for stage in STAGES.values():
        if stage.name == "train":
            for name in config.baselines:
                yield f"train:{name}", stage, config.baseline(name)
            if config.train.distill and config.rank:
                _must_be_free(FIRST, config)
                yield f"train:{FIRST}", stage, config.first()
                yield f"rank:{FIRST}", STAGES["rank"], config.first_rank()
        section = getattr(config, stage.name)
        if section is not None:
            yield stage.name, stage, section


def _must_be_free(name: str, config: Config) -> None:
    if name in config.baselines:
        raise ConfigError(
            f"baselines.{name} has the name of the network that train.distill trains first; "
            f"give the baseline another name"
        )


def _needs(stage: Stage, name: str, config: Config) -> dict[str, str]:
    """Return which steps a step waits for, by the name it knows their artifacts by."""
    makers = {each.makes: each.name for each in STAGES.values()}
    needs = {kind: makers[kind] for kind in stage.needs}
    if name == f"rank:{FIRST}":
        needs["model"] = f"train:{FIRST}"
    if name == "train" and config.train.distill:
        needs |= {f"model:{FIRST}": f"train:{FIRST}", f"ranker:{FIRST}": f"rank:{FIRST}"}
    if config.rank and stage.name in ("evaluate", "index"):
        needs["ranker"] = makers["ranker"]
    return needs | {f"model:{n}": f"train:{n}" for n in _others(stage, name, config)}


def _others(stage: Stage, name: str, config: Config) -> list[str]:
    """Return the models that a step looks at beside the main one."""
    if stage.name == "evaluate":
        return [*config.baselines]
    if stage.name != "rank" or config.rank is None:
        return []
    rank = config.first_rank() if name == f"rank:{FIRST}" else config.rank
    return [*rank.others, *([rank.second] if rank.second else [])]


def _step(
    name: str,
    stage: Stage,
    section: Section,
    needs: Mapping[str, Step],
    config: Config,
    hashes: ContentHashes,
) -> Step:
    request = {
        "stage": stage.name,
        "stage_version": stage.version,
        "config": section.model_dump(mode="json"),
        "inputs": {kind: step.fingerprint for kind, step in needs.items()},
        "raw": _hashed(stage.raw(config), hashes),
        "seed": config.seed if stage.seeded else None,
    }
    return Step(name, stage, section, needs, fingerprint(request), request)


def _hashed(value: Any, hashes: ContentHashes) -> Any:  # noqa: ANN401 - JSON is any value
    if isinstance(value, Mapping):
        return {key: _hashed(child, hashes) for key, child in value.items()}
    if isinstance(value, Path):
        _must_exist(value)
        return hashes.of(value)
    return value


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise DataError(f"raw input {path} does not exist; correct the data section of the config")


def _place_of(stage: str) -> int:
    """Return which stage of all it is."""
    if stage not in STAGES:
        raise ConfigError(f"unknown stage {stage!r}{suggest(stage, [*STAGES])}; one of {[*STAGES]}")
    return [*STAGES].index(stage)


def between(steps: list[Step], first: str | None, last: str | None) -> list[Step]:
    """Return the steps from stage ``first`` to ``last``, both included, and what they wait for.

    Raises:
        ConfigError: there is no such stage.
    """
    names = [*STAGES]
    low = 0 if first is None else _place_of(first)
    high = len(names) - 1 if last is None else _place_of(last)
    chosen: dict[str, Step] = {}
    for step in reversed(steps):
        waited_for = any(step in each.needs.values() for each in chosen.values())
        place = names.index(step.stage.name)
        if low <= place and (place <= high or waited_for):
            chosen[step.name] = step
    return [step for step in steps if step.name in chosen]


def found(steps: list[Step], store: Store) -> Iterator[tuple[Step, Artifact | None]]:
    """Yield each step with its complete artifact, or None where it is still to be made."""
    for step in steps:
        yield step, store.find(step.kind, step.fingerprint)
