"""What a step works on: how much data, which modalities and graphs, whose models.

The same picture is made of a step that is planned and of an artifact that a past run left, so that
one formula speaks of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import files
from pipeline.artifacts import Artifact, Store
from pipeline.config import (
    DataConfig,
    EmbedConfig,
    EtlConfig,
    EvaluateConfig,
    GraphConfig,
    IndexConfig,
    RankConfig,
    TrainConfig,
)
from pipeline.flow import Step
from pipeline.planner.counts import Counts, of_tables, text_bytes
from pipeline.relations import COOCCURRENCE, relation_files
from pipeline.sections import Section, validated

SECTIONS: Mapping[str, type[Section]] = {
    "etl": EtlConfig,
    "embed": EmbedConfig,
    "graph": GraphConfig,
    "train": TrainConfig,
    "rank": RankConfig,
    "evaluate": EvaluateConfig,
    "index": IndexConfig,
}
WIDTHS = {"minilm": 384, "tiny": 64, "efficientnet-lite0": 1280, "open-clip": 512}
"""Of the vectors that encoders give; 768 is supposed of others."""
_OTHER_WIDTH, _TINY_PICTURES = 768, 112
_SYMMETRIC = 1.5
"""Edges of an item graph with both directions, against those of the nearest alone."""
_ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class Modality:
    """The vectors of one modality."""

    width: int
    present: int
    """Items that have one."""
    encoder: str
    """``given`` where ready-made vectors are read."""
    encoded: int = 0
    """Inputs that an encoder works on; 0 where vectors are given or kept from before."""


@dataclass(frozen=True)
class Scene:
    """What one step works on."""

    counts: Counts
    modalities: Mapping[str, Modality] = field(default_factory=dict)
    relations: Mapping[str, int] = field(default_factory=dict)
    """Edges of each item graph, both directions counted."""
    given_graphs: frozenset[str] = frozenset()
    """Modalities whose graph is read, not made."""
    models: Mapping[str, TrainConfig] = field(default_factory=dict)
    """Settings of the models that are its inputs, by input name."""
    ranker: RankConfig | None = None
    """Settings of the second stage that is its input."""
    form: str = "cells"
    """Of raw records: ``json`` or ``cells``, which are parsed at different speeds."""
    threads: int = 1
    memory_limit: int = 4_000_000_000
    """Of the ETL's database."""
    bfloat16: bool = False
    """Whether encoders will use it."""

    @property
    def content_width(self) -> int:
        """Return the widths of all modalities together."""
        return sum(modality.width for modality in self.modalities.values())


def planned(step: Step, counts: Counts, data: DataConfig, store: Store) -> Scene:
    """Return what a step of a run will work on; complete inputs are looked at, others foretold."""
    inputs = dict(step.needs)
    embed = step if step.stage.name == "embed" else inputs.get("embeddings")
    graph = inputs.get("graphs")
    models = {name: each.config for name, each in inputs.items() if each.stage.name == "train"}
    ranker = inputs.get("ranker")
    modalities = _modalities(embed, counts, data, store) if embed else {}
    return Scene(
        counts=counts,
        modalities=modalities,
        relations=_relations(graph, counts, data, store) if graph else {},
        given_graphs=frozenset(data.graphs),
        form=form_of(data.format),
        models={n: c for n, c in models.items() if isinstance(c, TrainConfig)},
        ranker=ranker.config if ranker and isinstance(ranker.config, RankConfig) else None,
    )


def form_of(data_format: str) -> str:
    """Return how the raw records of a format are written."""
    return "json" if data_format == "amazon-reviews" else "cells"


def _modalities(
    step: Step, counts: Counts, data: DataConfig, store: Store
) -> Mapping[str, Modality]:
    made = store.find(step.kind, step.fingerprint)
    if made is not None:
        return written_modalities(made)
    assert isinstance(step.config, EmbedConfig)
    return _foretold(step.config, counts, data)


def _foretold(config: EmbedConfig, counts: Counts, data: DataConfig) -> dict[str, Modality]:
    found = {name: _given(path, counts) for name, path in data.vectors.items()}
    if config.text and "text" not in found:
        found["text"] = _by_encoder(config.text.encoder, counts.texts, _OTHER_WIDTH)
    if config.image and "image" not in found and counts.pictures:
        found["image"] = _by_encoder(config.image.encoder, counts.pictures, _TINY_PICTURES)
    return found


def _by_encoder(name: str, count: int, other: int) -> Modality:
    tiny_picture = name == "tiny" and other == _TINY_PICTURES
    width = other if tiny_picture else WIDTHS.get(name, _OTHER_WIDTH)
    return Modality(width, count, name, encoded=count)


def _given(path: Path, counts: Counts) -> Modality:
    """Return what a file of vectors brings; a table of keys and vectors is not opened."""
    try:
        width = int(np.load(path, mmap_mode="r", allow_pickle=False).shape[1])
    except (OSError, ValueError, IndexError, EOFError):
        width = _OTHER_WIDTH
    return Modality(width, counts.items, "given")


def written_modalities(embeddings: Artifact) -> dict[str, Modality]:
    """Return what an embeddings artifact holds."""
    facts: Mapping[str, Any] = embeddings.facts.get("modalities", {})
    files = embeddings.manifest["files"]
    found = {}
    for name in embeddings.modalities("_present.npy"):
        about, shape = facts.get(name, {}), files[f"{name}.npy"]["shape"]
        found[name] = Modality(
            width=int(shape[1]),
            present=int(about.get("present", shape[0])),
            encoder=str(about.get("encoder", "given")),
            encoded=int(about.get("encoded", 0)),
        )
    return found


def _relations(step: Step, counts: Counts, data: DataConfig, store: Store) -> Mapping[str, int]:
    made = store.find(step.kind, step.fingerprint)
    if made is not None:
        return written_relations(made)
    assert isinstance(step.config, GraphConfig)
    k = step.config.neighbors
    embed = _modalities(step.needs["embeddings"], counts, data, store)
    present = {name: modality.present for name, modality in embed.items()}
    present |= dict.fromkeys(data.graphs, counts.items)
    edges = {name: round(_SYMMETRIC * n * min(k, max(0, n - 1))) for name, n in present.items()}
    together = min(step.config.cooccurrence_neighbors, counts.pairs / max(1, counts.hot) / 4)
    return edges | {COOCCURRENCE: round(_SYMMETRIC * counts.hot * together)}


def written_relations(graphs: Artifact) -> dict[str, int]:
    """Return the edges of the item graphs of a graphs artifact."""
    files = graphs.manifest["files"]
    return {
        m: round(_SYMMETRIC * int(files[f].get("nonzero", 0)))
        for m, f in relation_files(graphs).items()
    }


@dataclass
class Witness:
    """Looks at the artifacts of a store, and remembers the counts of their tables."""

    store: Store
    _counts: dict[str, Counts | None] = field(default_factory=dict)
    _known: dict[tuple[str, str], Artifact | None] = field(default_factory=dict)

    def scene(self, artifact: Artifact, section: Section) -> Scene | None:
        """Return what the step worked on that left an artifact; None where inputs are gone."""
        inputs: Mapping[str, str] = artifact.manifest["inputs"]
        tables = artifact.fingerprint if artifact.kind == "tables" else inputs.get("tables", "")
        counts = self.counts(tables)
        found = {name: self._find(name.split(":")[0], f) for name, f in inputs.items()}
        if counts is None or not all(found.values()):
            return None
        here = {name: each for name, each in found.items() if each}
        embeddings = artifact if artifact.kind == "embeddings" else here.get("embeddings")
        graphs, ranker = here.get("graphs"), here.get("ranker")
        models = {n: _train_section(a) for n, a in here.items() if a.kind == "model"}
        return Scene(
            counts=self._with_bytes(counts, artifact),
            modalities=written_modalities(embeddings) if embeddings else {},
            relations=written_relations(graphs) if graphs else {},
            given_graphs=_read_graphs(artifact),
            models={name: config for name, config in models.items() if config},
            ranker=_rank_section(ranker) if ranker else None,
            form=form_of(_raw_format(artifact)),
            threads=int(artifact.manifest.get("environment", {}).get("threads", 0)),
            bfloat16=_used_bfloat16(embeddings),
        )

    def counts(self, fingerprint: str) -> Counts | None:
        """Return the counts of tables, None where they are gone."""
        if fingerprint not in self._counts:
            tables = self._find("tables", fingerprint)
            self._counts[fingerprint] = of_tables(tables) if tables else None
        return self._counts[fingerprint]

    def _with_bytes(self, counts: Counts, artifact: Artifact) -> Counts:
        """Return the counts with the bytes of the raw files, where the artifact was made of any."""
        if artifact.kind != "tables":
            return counts
        raw: Mapping[str, Any] = artifact.manifest.get("raw", {}).get("files", {})
        hashes = [each for each in (*raw.values(), *(raw.get("folder") or {}).values()) if each]
        read = sum(self._bytes_of.get(each, 0) for each in hashes if isinstance(each, str))
        return replace(counts, raw_bytes=read)

    @cached_property
    def _bytes_of(self) -> Mapping[str, int]:
        """Return the size as text of every raw file that the store remembers, by content hash."""
        try:
            known = files.read_json(self.store.root / ".hashes.json")
            named = {h: (Path(name), size) for name, (size, _, h) in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        readable = {h: each for h, each in named.items() if each[0].suffix not in _ARRAYS}
        return {h: text_bytes(*each) for h, each in readable.items()}

    def _find(self, kind: str, fingerprint: str) -> Artifact | None:
        key = kind, fingerprint
        if key not in self._known:
            self._known[key] = self.store.find(kind, fingerprint) if fingerprint else None
        return self._known[key]


def section_of(artifact: Artifact) -> Section:
    """Return the settings an artifact was made with.

    Raises:
        ConfigError: they are of another version of the program.
    """
    stage = str(artifact.manifest["stage"])
    return validated(SECTIONS[stage], artifact.manifest["config"], f"{artifact.kind} of a past run")


def _train_section(artifact: Artifact) -> TrainConfig:
    found = section_of(artifact)
    assert isinstance(found, TrainConfig)
    return found


def _rank_section(artifact: Artifact) -> RankConfig:
    found = section_of(artifact)
    assert isinstance(found, RankConfig)
    return found


def _raw_format(artifact: Artifact) -> str:
    raw: Mapping[str, Any] = artifact.manifest.get("raw", {})
    return str(raw.get("settings", {}).get("format", ""))


def _read_graphs(artifact: Artifact) -> frozenset[str]:
    facts = artifact.facts if artifact.kind == "graphs" else {}
    given = (n for n, each in facts.items() if isinstance(each, dict) and "given" in each.values())
    return frozenset(name.removesuffix("_knn") for name in given)


def _used_bfloat16(embeddings: Artifact | None) -> bool:
    facts = embeddings.facts.get("modalities", {}) if embeddings else {}
    chosen = (f.get("precision", {}).get("precision") for f in facts.values())
    return any(each == "bfloat16" for each in chosen)


def on(scene: Scene, threads: int, memory_limit: int, *, bfloat16: bool) -> Scene:
    """Return the scene with what the machine and the runtime section add to it."""
    return replace(scene, threads=threads, memory_limit=memory_limit, bfloat16=bfloat16)
