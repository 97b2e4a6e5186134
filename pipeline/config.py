"""The configuration: one frozen model per stage; an unknown key is an error with a suggestion.

Fields marked by ``runtime`` change speed only and stay outside every fingerprint, as do the paths
of raw files, which enter by their content.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from pipeline.config_results import EvaluateConfig as EvaluateConfig
from pipeline.config_results import IndexConfig as IndexConfig
from pipeline.config_results import RerankConfig as RerankConfig
from pipeline.config_train import FIRST as FIRST
from pipeline.config_train import BaselineConfig as BaselineConfig
from pipeline.config_train import DistillConfig as DistillConfig
from pipeline.config_train import RankConfig as RankConfig
from pipeline.config_train import TrainConfig as TrainConfig
from pipeline.errors import ConfigError, suggest
from pipeline.sections import WORD_OFF, Section, read_yaml, validated


class DemoConfig(Section):
    """The embedded catalogue: planted tastes, drawn pictures, written descriptions."""

    users: int = Field(1500, ge=20)
    """Number of users."""
    items: int = Field(1200, ge=40)
    """Number of items."""
    interactions_per_user: float = Field(20.0, gt=2)
    """Mean number of interactions of a user."""
    seed: int = 0
    """Same seed, same bytes."""


class DataConfig(Section):
    """Where the raw input is, and how to read it."""

    format: Literal[
        "demo", "amazon-reviews", "amazon-ratings", "movielens", "recbole", "mmrec", "table"
    ]
    """The reader: ``amazon-reviews`` tells the editions of 2014, 2018 and 2023 apart by itself."""
    folder: Path | None = None
    """A folder that holds everything (movielens, recbole, mmrec)."""
    interactions: Path | None = None
    """The interactions file, where the format has no fixed name."""
    items: Path | None = None
    """The item metadata file, where the format has no fixed name."""
    images: Path | None = None
    """A folder of pictures; item image paths are relative to it, or named by item key."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """For ``table``: our column (user, item, weight, timestamp, split, key, title …) to theirs."""
    attributes: Mapping[str, Literal["text", "number", "truth"]] = Field(default_factory=dict)
    """For ``table``: further columns of items by type, such as ``in_stock: truth``, carried to the
    bundle for filters and caps; ``columns`` may say what a file calls them."""
    vectors: Mapping[str, Path] = Field(default_factory=dict)
    """Ready-made item vectors by modality: ``.npy``, row = item in file order; Parquet of ``key``
    and ``vector``; or ``.b``, the picture features published with Amazon's reviews of 2014."""
    graphs: Mapping[str, Path] = Field(default_factory=dict)
    """Ready-made item-item graphs by modality: scipy ``.npz``, row = item in file order."""
    demo: DemoConfig = DemoConfig()
    """The embedded catalogue, for format ``demo``."""

    def paths(self) -> list[Path]:
        """Return every raw path that is named."""
        single = [self.folder, self.interactions, self.items, self.images]
        return [p for p in single if p] + [*self.vectors.values(), *self.graphs.values()]


class SplitConfig(Section):
    """How interactions are divided into train, validation and test."""

    rule: Literal["global-time", "leave-last-out", "random", "label"] = "global-time"
    """``label`` uses the split column of the file; ``random`` is MMRec's 8:1:1 per user."""
    validation: float = Field(0.1, gt=0, lt=0.5)
    """Share of interactions for validation (global-time, random)."""
    test: float = Field(0.1, gt=0, lt=0.5)
    """Share of interactions for test (global-time, random)."""
    cold_items: float = Field(0.0, ge=0, lt=0.5)
    """Share of the interacted items that training never sees: every interaction of theirs is in
    the split ``cold``, which measures recommending items by content alone; the rule divides the
    rest."""
    seed: int = 0
    """Of the random rule and of which items are cold; apart from ``seed`` so that training seeds
    share one split."""


class EtlConfig(Section):
    """Raw files to tables."""

    min_rating: float | None = None
    """Keep interactions rated at least this; null keeps all."""
    user_core: int = Field(1, ge=1)
    """Every kept user has at least this many interactions (iterated with item_core)."""
    item_core: int = Field(1, ge=1)
    """Every interacted item has at least this many interactions; items with none stay."""
    max_reject_share: float = Field(0.05, ge=0, le=1)
    """The stage fails above this share of unreadable records in any one source file; duplicates
    and what the thresholds reject do not count."""
    split: SplitConfig = SplitConfig()
    """The division into train, validation and test."""


class TextConfig(Section):
    """The text encoder and what it reads."""

    encoder: Literal["minilm", "huggingface", "tiny"] = "minilm"
    """``minilm`` is packaged and offline; ``huggingface`` loads ``model`` from folder or hub."""
    model: str | None = None
    """Folder or hub name, for ``huggingface``."""
    revision: str | None = None
    """Hub revision, for ``huggingface``."""
    pooling: Literal["auto", "mean", "cls"] = "auto"
    """``auto`` follows the model's own pooling file, mean where it has none."""
    fields: tuple[str, ...] = ("title", "brand", "categories", "description")
    """Item columns joined into the text, in this order."""
    max_tokens: int = Field(128, ge=8)
    """Longer texts are cut."""


class ImageConfig(Section):
    """The image encoder."""

    encoder: Literal["efficientnet-lite0", "open-clip", "huggingface", "tiny"] = (
        "efficientnet-lite0"
    )
    """``efficientnet-lite0`` is packaged and offline; the others load ``model``."""
    model: str | None = None
    """Architecture (open-clip), or folder or hub name (huggingface CLIP and SigLIP)."""
    pretrained: str | None = None
    """Checkpoint tag or file, for ``open-clip``."""
    revision: str | None = None
    """Hub revision, for ``huggingface``."""


class DownloadConfig(Section):
    """How pictures are fetched from URLs."""

    concurrency: int = Field(8, ge=1)
    """Downloads at once."""
    timeout_seconds: float = Field(10.0, gt=0)
    """For one attempt."""
    attempts: int = Field(3, ge=1)
    """Tries per picture, with exponential backoff between them."""
    max_bytes: int = Field(20_000_000, ge=1000)
    """Larger answers are refused."""
    allow_private: bool = False
    """Whether addresses of private networks may be fetched; never for untrusted catalogues."""


class EmbedConfig(Section):
    """Tables to item embeddings."""

    text: TextConfig | None = TextConfig()
    """Null leaves the modality out."""
    image: ImageConfig | None = ImageConfig()
    """Null leaves the modality out."""
    download: DownloadConfig = DownloadConfig()
    """For items whose image is a URL."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto`` measures whether bfloat16 is faster on this machine."""


class GraphConfig(Section):
    """Embeddings and tables to graphs."""

    neighbors: int = Field(10, ge=1)
    """Edges kept per item and modality."""
    search: Literal["auto", "exact", "approximate"] = "auto"
    """How neighbours are found; ``auto`` is exact up to 100,000 items that have a vector."""
    recall_floor: float = Field(0.97, ge=0, le=1)
    """Share of the exact neighbours an approximate search must find, as measured on 5,000 of its
    items; where only an almost exact search does, the search is exact."""
    active_neighbors: int | None = Field(None, ge=0)
    """Edges kept per item and modality to items with interactions, where at most half of the items
    have any; training goes by these. Null takes as many as ``neighbors``, 0 makes none."""
    cooccurrence_neighbors: int = Field(10, ge=1)
    """Edges kept per item in the co-occurrence graph."""
    cooccurrence_min_users: int = Field(2, ge=1)
    """Users two items must share."""


class BudgetConfig(Section):
    """What a run may use; null limits nothing. Needs `energy` other than `off`."""

    run_wh: float | None = Field(None, gt=0)
    """Watt-hours of one run; one that would use more is stopped, and resumes where it was."""
    run_grams: float | None = Field(None, gt=0)
    """Grams of CO2e of one run."""
    month_wh: float | None = Field(None, gt=0)
    """Watt-hours of all that this store's runs made in a calendar month (UTC)."""
    month_grams: float | None = Field(None, gt=0)
    """Grams of CO2e of the month."""
    warn_share: float = Field(0.8, gt=0, le=1)
    """Share of a limit at which a warning is printed, once."""

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by name."""
        named = self.model_dump(include={"run_wh", "run_grams", "month_wh", "month_grams"})
        return {name: limit for name, limit in named.items() if limit is not None}


class RuntimeConfig(Section):
    """Options that change speed, never results; outside every fingerprint."""

    threads: int | None = Field(None, ge=1)
    """CPU threads of a stage; null takes the machine's cores."""
    side_by_side: int = Field(2, ge=1)
    """Independent stages run at once."""
    device: str = "auto"
    """``cpu``, ``cuda`` or ``auto``."""
    memory_limit: str = "4GB"
    """Of the ETL's database, which spills to disk beyond it."""
    batch_size: int | None = Field(None, ge=1)
    """Of inference; null chooses."""
    energy: Annotated[Literal["auto", "estimate", "machine", "codecarbon", "off"], WORD_OFF] = (
        "auto"
    )
    """How energy is known. ``auto``: the stage's share of what processor (RAPL) and GPU (NVML)
    count, estimated where they are not readable; ``estimate`` never reads them; ``machine`` bills
    all that the machine draws meanwhile; ``codecarbon`` runs CodeCarbon's own tracker."""
    place: str | float | None = None
    """Whose electricity: a country (``DEU``), a state (``USA/oregon``), a cloud region
    (``aws:eu-north-1``), or grams of CO2e per kWh. Null takes PLOTPOINTE_PLACE, else the region of
    the cloud that this is in, else the world's average. ``plotpointe carbon regions`` lists all."""
    processor_watts: float | None = Field(None, gt=0)
    """Design power of all processors, where an estimate should not go by their name."""
    budget: BudgetConfig = BudgetConfig()
    """Energy and carbon that a run, and a month, may use."""
    track: tuple[str, ...] = ()
    """Who is told of a run beside its record: ``tensorboard``, ``wandb``, ``mlflow``, or one's own
    as ``module:class``."""
    trackers: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """Their settings, by name: ``{wandb: {project: shop, mode: offline}, mlflow: {uri: …}}``."""

    def cores(self) -> int:
        """Return the threads a stage may use when it runs alone."""
        return self.threads or len(os.sched_getaffinity(0))


class Config(Section):
    """The whole configuration of a run."""

    name: str
    """Of the run; shown, never hashed."""
    seed: int = 0
    """Of everything random after the split."""
    data: DataConfig
    """Raw input."""
    etl: EtlConfig = EtlConfig()
    """Raw files to tables."""
    embed: EmbedConfig = EmbedConfig()
    """Tables to embeddings."""
    graph: GraphConfig = GraphConfig()
    """Embeddings to graphs."""
    train: TrainConfig = TrainConfig()
    """Graphs to a model."""
    baselines: Mapping[str, BaselineConfig] = Field(default_factory=dict)
    """Models trained on the same data path and reported beside ours, by name."""
    rank: RankConfig | None = None
    """A model to a second stage; null serves and reports the vectors alone."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Models to a report."""
    index: IndexConfig = IndexConfig()
    """A model to a bundle."""
    runtime: RuntimeConfig = RuntimeConfig()
    """Speed only."""

    def baseline(self, name: str) -> TrainConfig:
        """Return the training section of a baseline.

        Raises:
            ConfigError: its overrides are not fields of the training section.
        """
        chosen = self.baselines[name]
        values = {"model": chosen.model, **chosen.overrides}
        where = f"baselines.{name}.overrides"
        return validated(TrainConfig, values, where)

    def first_rank(self) -> RankConfig:
        """Return the rank section for the first network: its own opinion is no other one."""
        assert self.rank is not None
        others = tuple(name for name in self.rank.others if name != FIRST)
        return self.rank.model_copy(update={"others": others})

    def first(self) -> TrainConfig:
        """Return the training section of the first network, whose lists the main model learns from.

        Raises:
            ConfigError: its overrides are not fields of the training section.
        """
        assert self.train.distill is not None
        values = {**self.train.model_dump(), "distill": None, **self.train.distill.first}
        return validated(TrainConfig, values, "train.distill.first")


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration of a YAML file, with ``a.b=value`` overrides applied.

    Relative raw paths are taken from the file's own folder.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, or a bad value.
    """
    values: dict[str, Any] = {"name": path.stem, **read_yaml(path, [*Config.model_fields])}
    for override in overrides:
        _apply(values, override)
    return _anchored(parse_config(values, str(path)), path.parent)


def parse_config(values: Mapping[str, Any], source: str) -> Config:
    """Return the validated configuration of plain values; ``source`` names them in errors."""
    config = validated(Config, values, source)
    for name in config.baselines:
        _must_be_plain(config.baseline(name), f"baselines.{name}.overrides")
    if config.rank:
        known = [*config.baselines]
        _must_be_known("rank.second", config.rank.second, known, "set rank.second: null")
        first = [FIRST] if config.train.distill else []
        for name in config.rank.others:
            _must_be_known("rank.others", name, known + first, "leave it out of rank.others")
    if config.train.distill:
        _must_be_plain(config.first(), "train.distill.first")
    if config.train.distill and not config.rank:
        raise ConfigError("train.distill learns from a second stage; add a rank section: rank: {}")
    return config


def _must_be_plain(section: TrainConfig, where: str) -> None:
    if section.distill is not None:
        raise ConfigError(f"{where}.distill: only the main model learns from lists; leave it out")


def _must_be_known(where: str, name: str | None, known: list[str], instead: str) -> None:
    if name is not None and name not in known:
        raise ConfigError(
            f"{where} names the baseline {name!r}{suggest(name, known)}; baselines has {known}. "
            f"Add it (baselines: {{{name}: {{model: {name}}}}}), or {instead}"
        )


def _anchored(config: Config, base: Path) -> Config:
    def anchor(path: Path | None) -> Path | None:
        """Return the path taken from the configuration's folder."""
        return None if path is None else (base / path.expanduser()).resolve()

    data = config.data
    folder = anchor(data.folder)
    found = _mmrec_files(folder) if data.format == "mmrec" and folder else ({}, {})
    moved = {
        **{name: anchor(getattr(data, name)) for name in ("folder", "interactions", "items")},
        "images": anchor(data.images),
        "vectors": {**found[0], **{m: anchor(p) for m, p in data.vectors.items()}},
        "graphs": {**found[1], **{m: anchor(p) for m, p in data.graphs.items()}},
    }
    return config.model_copy(update={"data": data.model_copy(update=moved)})


def _mmrec_files(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the vectors and graphs that an MMRec folder holds, by modality."""
    suffixes = "_feat.npy", "_knn.npz"
    found = [{p.name.removesuffix(s): p for p in sorted(folder.glob(f"*{s}"))} for s in suffixes]
    return found[0], found[1]


def _apply(values: dict[str, Any], override: str) -> None:
    dotted, found, text = override.partition("=")
    if not found:
        raise ConfigError(f"--set {override!r} must look like train.epochs=5")
    *parents, leaf = dotted.strip().split(".")
    for parent in parents:
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} is not a section")
        values = child
    values[leaf] = yaml.safe_load(text)
