"""How much a step does and holds: the amounts that its time and memory are made of.

Each function counts what its stage's code does, in the unit of one rate of the probe. What one
unit costs is fitted to runs (costs.py), so a factor that is the same everywhere may be left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.config import (
    EmbedConfig,
    EtlConfig,
    EvaluateConfig,
    GraphConfig,
    IndexConfig,
    RankConfig,
)
from pipeline.planner.counts import Counts
from pipeline.planner.scene import Modality, Scene
from pipeline.relations import FEW
from pipeline.scoring import LARGE

Rate = Literal["gemm", "copy", "gather", "python", "parse"]

WITHOUT_VECTORS = ("ease", "item_knn", "popularity", "content_knn", "content_mean")
FLAT_LIMIT = 50_000
"""Items up to which ``index.method: auto`` compares with all, as in pipeline/index/recipe.py."""
EXACT_LIMIT = 100_000
"""Items up to which ``graph.search: auto`` is exact, as in pipeline/graph/stage.py."""
_LIST_SIZE, _LEARNED, _ASKED = 128.0, 100.0, 6500.0
"""Of an approximate search, as in pipeline/graph/approximate.py: fewest items in a list, items
compared with all centres to learn one, and queries compared with all items to measure it."""
_NEAR, _NEAR_SHARE = 4096.0, 0.05
"""Items with interactions that an item is compared with where there are many: so many, and a share
of them."""
_PER_LIST = 320.0
"""Of inverted lists: vectors that the centre of one is learned from, times the rounds."""
_CHARACTERS_A_TOKEN = 4.3
_BLOCK_SCORES, _FEWEST_USERS = 1 << 22, 64
"""As in ``scoring.blocks``."""
_POOL = 50_000
"""Users whose history the second stage looks through, as in pipeline/ranking/evidence.py."""
_ENCODER_FLOP = {"minilm": 21.3e6, "huggingface": 170e6, "tiny": 0.0}
"""Of a token: twice the weights it meets."""
_PICTURE_FLOP = {"efficientnet-lite0": 0.8e9, "open-clip": 8.8e9, "huggingface": 8.8e9, "tiny": 0.0}
_METRICS = 12
"""Kinds of per-user metrics, each for every list length."""


@dataclass(frozen=True)
class Amount:
    """Work in the unit of a rate."""

    rate: Rate
    count: float


@dataclass(frozen=True)
class Work:
    """What a step does and holds."""

    time: Mapping[str, Amount] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    """Bytes, by what holds them; what the program itself takes is not among them."""
    disk: float = 0.0
    """Bytes written, those in the scratch folder included."""
    mode: str = ""
    """What was chosen where the configuration leaves a choice."""


def work_of_etl(config: EtlConfig, scene: Scene) -> Work:
    """Return the work of raw files to tables."""
    counts = scene.counts
    characters = counts.items * mean_length(scene)
    records = counts.records or counts.interactions + counts.items
    held = 40.0 * counts.interactions + 2 * characters
    return Work(
        time={
            f"{scene.form} records": Amount("python", records),
            f"{scene.form} bytes": Amount("parse", counts.raw_bytes),
            "rows": Amount("copy", 100.0 * (counts.interactions + counts.items)),
        },
        memory={"rows": min(held, scene.memory_limit), "texts": min(characters, 200e6)},
        disk=60.0 * counts.interactions + 2 * characters,
        mode=f"memory limit {scene.memory_limit / 1e9:.0f} GB",
    )


def mean_length(scene: Scene) -> float:
    """Return the mean characters of an item, over all items."""
    lengths = scene.counts.text_lengths
    mean = sum(lengths) / len(lengths) if lengths else 0.0
    return mean * scene.counts.texts / max(1, scene.counts.items)


def work_of_embed(config: EmbedConfig, scene: Scene) -> Work:
    """Return the work of tables to embeddings."""
    time: dict[str, Amount] = {}
    memory = {"texts": 2.0 * scene.counts.items * mean_length(scene)}
    disk = 0.0
    for name, modality in scene.modalities.items():
        held = 4.0 * scene.counts.items * modality.width
        disk += held * (2 if modality.encoded else 1)
        memory["vectors"] = memory.get("vectors", 0.0) + held
        if modality.encoder == "given":
            time["given"] = Amount("copy", held + _so_far(time, "given"))
        elif name == "text":
            time |= _texts(config, modality, scene)
        else:
            time |= _pictures(modality, scene)
    neural = [m.encoder for m in scene.modalities.values() if m.encoder not in ("given", "tiny")]
    memory["encoders"] = 100e6 * len(neural) + (600e6 if neural else 0)
    kind = "bfloat16" if scene.bfloat16 else "float32"
    used = ", ".join(sorted(neural))
    return Work(time, memory, disk, f"{used} in {kind}" if neural else "")


def _so_far(time: Mapping[str, Amount], name: str) -> float:
    return time[name].count if name in time else 0.0


def tokens_per_text(config: EmbedConfig, scene: Scene) -> float:
    """Return the mean number of tokens of a text, cut as configured."""
    lengths = scene.counts.text_lengths
    if config.text is None or not lengths:
        return 0.0
    most = config.text.max_tokens
    return sum(min(most, 2 + n / _CHARACTERS_A_TOKEN) for n in lengths) / len(lengths)


def _texts(config: EmbedConfig, modality: Modality, scene: Scene) -> dict[str, Amount]:
    tokens = modality.encoded * tokens_per_text(config, scene)
    if modality.encoder == "tiny":
        return {"words": Amount("python", tokens)}
    flop = tokens * _ENCODER_FLOP.get(modality.encoder, _ENCODER_FLOP["huggingface"])
    kind = "bfloat16" if scene.bfloat16 else "float32"
    return {
        f"text {kind}": Amount("gemm", flop),
        "tokens": Amount("python", tokens),
    }


def _pictures(modality: Modality, scene: Scene) -> dict[str, Amount]:
    flop = modality.encoded * _PICTURE_FLOP.get(modality.encoder, _PICTURE_FLOP["huggingface"])
    kind = "bfloat16" if scene.bfloat16 else "float32"
    return {
        f"pictures {kind}": Amount("gemm", flop),
        "decoding": Amount("python", modality.encoded),
    }


def work_of_graph(config: GraphConfig, scene: Scene) -> Work:
    """Return the work of embeddings to graphs."""
    counts, made = scene.counts, {}
    for name, modality in scene.modalities.items():
        if name not in scene.given_graphs:
            made[name] = modality
    n = [float(modality.present) for modality in made.values()]
    widths = [modality.width for modality in made.values()]
    modes = [search_of(config, modality.present) for modality in made.values()]
    compared = [_compared(size, mode) for size, mode in zip(n, modes, strict=True)]
    edges = config.neighbors * (sum(n) + counts.items * len(scene.given_graphs))
    near = _near_active(counts)
    vectors = max((4.0 * a * w for a, w in zip(n, widths, strict=True)), default=0.0)
    return Work(
        time={
            **_searches(compared, widths, modes),
            "active": Amount("gemm", sum(a * w for a, w in zip(n, widths, strict=True)) * near),
            "vectors": Amount("python", sum(n)),
            "edges": Amount("gather", 64.0 * edges),
            "pairs": Amount("gather", 16.0 * counts.pairs),
        },
        memory={
            "vectors": vectors,
            "edges": 32.0 * config.neighbors * max(n, default=0.0),
            "pairs": 16.0 * min(counts.pairs, 1 << 24),
            "blocks": 4.0 * min(max(n, default=0.0), 2048) ** 2,
            "interactions": 40.0 * counts.interactions,
        },
        disk=8.0 * edges + 12.0 * counts.train,
        mode=f"{' and '.join(sorted({*modes}))} neighbours" if made else "",
    )


def _searches(
    compared: Sequence[float], widths: Sequence[int], modes: Sequence[str]
) -> dict[str, Amount]:
    """Return the products of the searches, and the looks at them, by mode."""
    found: dict[str, Amount] = {}
    for mode in sorted({*modes}):
        of = [(c, w) for c, w, m in zip(compared, widths, modes, strict=True) if m == mode]
        found[f"{mode} products"] = Amount("gemm", sum(c * w for c, w in of))
        found[f"{mode} scan"] = Amount("copy", 4.0 * sum(c for c, _ in of))
    return found


def search_of(config: GraphConfig, present: int) -> str:
    """Return how the neighbours of so many items are found; exactly where there is no choice."""
    if config.search != "auto":
        return config.search
    return "exact" if present <= EXACT_LIMIT else "approximate"


def _compared(n: float, mode: str) -> float:
    """Return how many pairs of items, or of an item and a list's centre, are compared."""
    if mode == "exact":
        return n * n
    lists = min(n / _LIST_SIZE, 4 * math.sqrt(n))
    return n * (2 * n / max(1.0, lists) + lists + _ASKED) + _LEARNED * lists * lists


def _near_active(counts: Counts) -> float:
    """Return with how many items that have interactions each item is compared by itself."""
    if counts.hot > FEW * counts.items:
        return 0.0
    return min(float(counts.hot), _NEAR + _NEAR_SHARE * counts.hot)


def block_users(items: int, users: int) -> int:
    """Return how many users are ranked at once."""
    fewest = min(_FEWEST_USERS, (1 << 26) // max(1, items))
    return min(users, max(1, fewest, _BLOCK_SCORES // max(1, items)))


def work_of_rank(config: RankConfig, scene: Scene) -> Work:
    """Return the work of a model to a second stage."""
    users = min(config.users, scene.counts.validation_users)
    asked = asking(config, scene, users)
    listed = 2.0 * config.candidates
    rows = users * listed
    feats = features(config, scene)
    fitting = 2.0 * config.folds * config.epochs * rows * feats
    return Work(
        time={
            **asked.time,
            "fit": Amount("gemm", fitting * (1 + config.hidden)),
            "steps": Amount("copy", 4.0 * fitting),
        },
        memory={**asked.memory, "examples": 4.0 * rows * feats, "relations": _held(scene)},
        disk=12.0 * sum(scene.relations.values()) + _second_bytes(config, scene),
        mode=f"{round(listed)} candidates of {users:,} users",
    )


def features(config: RankConfig, scene: Scene) -> int:
    """Return how many features a candidate has."""
    opinions = 3 if config.second else 0
    return 9 + opinions + 3 * len(scene.relations) + 2 * len(config.others)


def asking(config: RankConfig, scene: Scene, users: int) -> Work:
    """Return the work of looking at ``users`` as the second stage does, block by block."""
    counts = scene.counts
    own = counts.train / max(1, counts.users)
    block = block_users(counts.items, users)
    pool = float(min(_POOL, counts.users))
    steps = [_reach(own, edges, counts.items) for edges in scene.relations.values()]
    per_item = [edges / max(1, counts.items) for edges in scene.relations.values()]
    widest = own * max([_weights_of(config, scene), *per_item])
    walked = own * (_weights_of(config, scene) + sum(per_item)) + sum(steps)
    return Work(
        time={
            "searches": Amount("gemm", 2.0 * users * (counts.items + pool) * 64),
            "candidates": Amount("copy", 4.0 * users * (counts.items + pool)),
            "features": Amount("python", users * 2.0 * config.candidates),
            "edges": Amount("gather", 48.0 * users * walked),
        },
        memory={
            "scores": 4.0 * block * (counts.items + pool),
            "edges": 48.0 * block * widest,
            "steps": 12.0 * block * sum(steps),
            "features": 4.0 * block * 2 * config.candidates * features(config, scene),
        },
    )


def _reach(own: float, edges: int, items: int) -> float:
    """Return how many items two steps over a relation reach from a mean history."""
    per_item = edges / max(1, items)
    return min(float(items), own * per_item * per_item)


def _weights_of(config: RankConfig, scene: Scene) -> float:
    """Return how many weights an item of the second model keeps."""
    second = scene.models.get(f"model:{config.second}")
    return float(min(second.neighbors, scene.counts.hot)) if second else 0.0


def _second_bytes(config: RankConfig, scene: Scene) -> float:
    return 8.0 * scene.counts.hot * _weights_of(config, scene)


def _held(scene: Scene) -> float:
    """Return the bytes of item graphs and interactions in memory."""
    return 12.0 * (sum(scene.relations.values()) + 3 * scene.counts.interactions)


def work_of_evaluate(config: EvaluateConfig, scene: Scene) -> Work:
    """Return the work of models to a report."""
    counts, splits = scene.counts, (scene.counts.validation_users, scene.counts.test_users)
    users = float(sum(splits))
    models = [m for m in scene.models.values() if m.model not in WITHOUT_VECTORS]
    sparse = [m for m in scene.models.values() if m.model in WITHOUT_VECTORS]
    entrants = len(scene.models) + (1 if scene.ranker else 0)
    shown = entrants + len(config.rerank)
    values = _METRICS * len(config.ks)
    block = 0 if counts.items > LARGE else block_users(counts.items, max(splits))
    ranked = asking(scene.ranker, scene, round(users)) if scene.ranker else Work()
    own = counts.train / max(1, counts.users)
    kept = sum(min(m.neighbors, counts.hot) for m in sparse)
    return Work(
        time={
            **ranked.time,
            **listing(counts.items, users, [m.width for m in models], entrants),
            "weights": Amount("gather", 12.0 * users * own * kept),
            "sums": Amount("python", users * len(sparse) if counts.items > LARGE else 0.0),
            "values": Amount("python", users * shown * len(config.ks)),
            "resamples": Amount("gemm", 2.0 * config.resamples * users * shown * values),
            "draws": Amount("gather", 8.0 * config.resamples * users),
            "distances": Amount("gather", 8.0 * users * shown * max(config.ks) ** 2),
        },
        memory={
            **ranked.memory,
            "block": 4.0 * block * counts.items,
            "values": 8.0 * max(splits) * shown * values,
            "lists": 4.0 * max(splits) * shown * max(config.ks),
            "models": 4.0 * (counts.users + counts.items) * sum(m.width for m in models)
            + 8.0 * counts.hot * kept,
            "interactions": 40.0 * counts.interactions,
            "resamples": min(8.0 * config.resamples * max(splits), 8.0 * _BLOCK_SCORES),
        },
        disk=3.0 * users * shown * values,
        mode=f"{entrants} models, {round(users):,} users",
    )


def listing(
    items: int, users: float, widths: Sequence[int], entrants: int = 1
) -> dict[str, Amount]:
    """Return what lists of models take, some by vectors of a width: every score, or bounds."""
    looked = users * items
    if items > LARGE:
        return {
            "bounds": Amount("gemm", looked * sum(widths)),
            "tiles": Amount("copy", 4.0 * looked * len(widths)),
        }
    return {
        "scores": Amount("gemm", 2.0 * looked * sum(widths)),
        "lists": Amount("copy", 4.0 * looked * entrants),
    }


def index_method(config: IndexConfig, items: int) -> str:
    """Return the method that will be built."""
    if config.method != "auto":
        return config.method
    return "flat" if items <= FLAT_LIMIT or config.compress == "binary" else "ivf"


def work_of_index(config: IndexConfig, scene: Scene) -> Work:
    """Return the work of a model to a bundle."""
    counts = scene.counts
    width = scene.models["model"].width if "model" in scene.models else 64
    vectors = 4.0 * counts.items * width
    queries = min(config.audit_queries, counts.users)
    method = index_method(config, counts.items)
    links, walked, lists = 0.0, 0.0, 0.0
    if method == "hnsw":
        links = 4.0 * counts.items * config.hnsw_links * 2
        walked = counts.items * config.ef_construction * config.hnsw_links * 4.0 * width
    if method == "ivf":
        lists = float(config.ivf_lists or 4 * counts.items**0.5)
    probed = min(1.0, config.ivf_probes / lists) if lists else 1.0
    known = float(counts.users if config.known_lists else 0) * (lists + probed * counts.items)
    return Work(
        time={
            "walk": Amount("gather", walked),
            "centres": Amount("gemm", 2.0 * lists * (_PER_LIST * lists + counts.items) * width),
            "audit": Amount("gemm", 2.0 * queries * counts.items * width),
            "scan": Amount("copy", 4.0 * queries * counts.items),
            "known lists": Amount("gemm", 2.0 * known * width),
            "files": Amount("copy", 3 * vectors + 12.0 * counts.interactions),
        },
        memory={
            "vectors": vectors,
            "links": links,
            "users": 4.0 * counts.users * width,
            "scores": min(4.0 * queries * counts.items, 4.0 * (1 << 26)),
            "interactions": 40.0 * counts.interactions,
        },
        disk=2 * vectors + links + 12.0 * counts.interactions,
        mode=method,
    )
