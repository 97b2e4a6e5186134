"""How much training does and holds, by model."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from pipeline.config import TrainConfig
from pipeline.planner.scene import Scene
from pipeline.planner.work import WITHOUT_VECTORS, Amount, Work, block_users, listing
from pipeline.relations import COOCCURRENCE, FEW
from pipeline.scoring import LARGE as LISTED

EPOCHS_UNKNOWN = 0.5
"""Share of ``train.epochs`` that is expected where early stopping may end training sooner and no
past run says when."""
DENSE_ITEMS = 20_000
"""Hot items up to which ``solver: auto`` is dense, as in pipeline/models/ease.py."""
LARGE = 500_000
"""Training interactions from which ``model: auto`` trains one recipe, as in pipeline/train/auto.py.
"""
_CONSIDERED = 2
_PAIRS, _AT_ONCE = float(1 << 28), float(1 << 22)
_BLOCK = 512.0
_ITEMS_AT_ONCE = 4096.0
"""Items whose shared users are counted together, as in pipeline/models/item_knn.py."""
_INPUT_WIDTHS = 2
"""Widest a modality enters fusion, in widths of the model, as in pipeline/models/fusion.py."""
_DIRECTIONS = 4.0
"""Times an edge is walked in a step: forward and back, to users and to items."""


def learns(config: TrainConfig) -> bool:
    """Return whether a model trains in epochs."""
    return config.model not in _CLOSED


def work_of_train(config: TrainConfig, scene: Scene) -> Work:
    """Return the work of graphs to a model, by its settings and at most ``epochs`` epochs."""
    given = 4.0 * scene.counts.items * scene.content_width
    edges = 2.0 * scene.counts.train + sum(scene.relations.values())
    alone = trains_on_active(config, scene)
    trained = _active(scene) if alone else scene
    own = _way_of(config.model)(config, trained)
    attached = 4.0 * config.width * (scene.counts.items - trained.counts.items)
    disk = 4.0 * config.width * (scene.counts.users + 2 * scene.counts.items)
    return Work(
        time={
            "content": Amount("copy", given),
            "edges": Amount("gather", 16.0 * edges),
            "attached": Amount("gather", attached * (1 + len(scene.relations))),
            **_validations(config, trained),
            **own.time,
        },
        memory={"content": given, "edges": 8.0 * edges, "attached": 2 * attached, **own.memory},
        disk=own.disk or 4 * disk,
        mode=f"{own.mode}, on active items" if alone else own.mode,
    )


def trains_on_active(config: TrainConfig, scene: Scene) -> bool:
    """Return whether only items with interactions are trained on, and the others attached."""
    able = config.model in ("gat", "auto") and config.distill is None
    few = scene.counts.hot <= FEW * scene.counts.items
    return able and config.items != "all" and (few or config.items == "active")


def _active(scene: Scene) -> Scene:
    """Return what is there of the items that have interactions."""
    counts = scene.counts
    share = counts.hot / max(1, counts.items)
    relations = {
        name: edges if name == COOCCURRENCE else round(edges * share)
        for name, edges in scene.relations.items()
    }
    modalities = {
        name: replace(modality, present=round(modality.present * share))
        for name, modality in scene.modalities.items()
    }
    return replace(
        scene,
        counts=replace(counts, items=counts.hot),
        relations=relations,
        modalities=modalities,
    )


def _validations(config: TrainConfig, scene: Scene) -> dict[str, Amount]:
    """Return what looking at the validation users costs, as often as it is done."""
    counts = scene.counts
    times = max(1.0, config.epochs / config.evaluate_every) if learns(config) else 1.0
    users = times * counts.validation_users
    sums: dict[str, Amount] = {}
    items = counts.items
    if items > LISTED and config.model in WITHOUT_VECTORS:
        items = LISTED  # few scores are not zero, or all users have the same
        own = counts.train / max(1, counts.users)
        sums["sums"] = Amount("gather", 12.0 * users * own * _kept(config, scene))
        sums["rows"] = Amount("python", users)
    found = listing(items, users, [config.width]) | sums
    return {f"validation {name}": amount for name, amount in found.items()}


def _by_epochs(asked: TrainConfig, scene: Scene) -> Work:
    counts, config = scene.counts, asked.sized(scene.counts.train)
    width = float(config.width)
    steps = -(-counts.train // config.batch_size)
    batch = float(min(config.batch_size, counts.train))
    nodes = float(counts.users + counts.items)
    walked = _walked(config, scene)
    gates = config.heads * sum(scene.relations.values()) if config.model.startswith("gat") else 0
    content = _content_width(config, scene)
    negatives = config.negatives if config.loss == "softmax" else batch * config.negatives
    group = min(batch, config.in_batch) + config.negatives
    compared = batch * group if config.loss == "softmax" else negatives
    turns = float(steps * config.epochs) * (2 if config.distill else 1)
    per_step = {
        "propagation": Amount("gather", turns * _DIRECTIONS * 4 * width * walked),
        "gates": Amount("gather", turns * 16.0 * width * gates / max(1, config.heads)),
        "fusion": Amount("gemm", turns * 6.0 * counts.items * content * width),
        "nodes": Amount("copy", turns * 4.0 * nodes * width * (config.layers + 4)),
        "loss": Amount("gemm", turns * 6.0 * compared * width),
        "compared": Amount("copy", turns * 4.0 * compared),
        "steps": Amount("python", turns),
        "sampling": Amount("python", float(config.epochs) * counts.train),
    }
    return Work(
        time=per_step,
        memory={
            "nodes": 4.0 * nodes * width * (config.layers + 8),
            "fusion": 4.0 * counts.items * (content + width * (1 + len(scene.modalities))),
            "gates": 4.0 * gates,
            "walked": 24.0 * walked / max(1, config.layers),
            "compared": 4.0 * min(compared, config.in_batch * group) * 3,
            "validation": 4.0 * counts.items * block_users(counts.items, counts.validation_users),
        },
        disk=4.0 * width * nodes * 6,
        mode=f"{steps:,} steps an epoch, at most {config.epochs} epochs",
    )


def _walked(config: TrainConfig, scene: Scene) -> float:
    """Return the edges walked in all layers of one pass."""
    if config.model in ("mf", "vbpr"):
        return 0.0
    edges = 2.0 * scene.counts.train
    if config.model.startswith("gat"):
        weights = config.relation_weights
        edges += sum(n for name, n in scene.relations.items() if weights.get(name, 0.1))
    if config.model == "freedom":
        edges += sum(scene.relations.values()) * config.item_layers / max(1, config.layers)
    return edges * config.layers


def _content_width(config: TrainConfig, scene: Scene) -> float:
    """Return the widths of the modalities as they enter fusion."""
    if config.model not in ("gat", "gat_plain", "vbpr", "freedom"):
        return 0.0
    most = _INPUT_WIDTHS * config.width
    return float(sum(min(most, modality.width) for modality in scene.modalities.values()))


def _auto(config: TrainConfig, scene: Scene) -> Work:
    """Return the work of the recipes that ``auto`` tries."""
    softmax: dict[str, object] = {"loss": "softmax", "negatives": 256, "epochs": 60}
    bpr: dict[str, object] = {"heads": 0, "epochs": 100, "evaluate_every": 5}
    large = scene.counts.train >= LARGE
    recipes = [{**softmax, "batch_size": 8192}] if large else [softmax, bpr]
    works = [_by_epochs(_as_gat(config, recipe), scene) for recipe in recipes]
    names = {name for work in works for name in work.time}
    return Work(
        time={name: _summed([work.time[name] for work in works]) for name in sorted(names)},
        memory={n: max(work.memory[n] for work in works) for n in works[0].memory},
        disk=max(work.disk for work in works),
        mode="softmax" if large else "softmax, then bpr",
    )


def _as_gat(config: TrainConfig, recipe: Mapping[str, object]) -> TrainConfig:
    default = TrainConfig()
    free = {k: v for k, v in recipe.items() if getattr(config, k) == getattr(default, k)}
    return config.model_copy(update={**free, "model": "gat"})


def _summed(amounts: list[Amount]) -> Amount:
    return replace(amounts[0], count=sum(each.count for each in amounts))


def _popularity(config: TrainConfig, scene: Scene) -> Work:
    return Work(mode="counts")


def _item_knn(config: TrainConfig, scene: Scene) -> Work:
    counts = scene.counts
    blocks = max(1.0, counts.items / _ITEMS_AT_ONCE)
    return Work(
        time={"pairs": Amount("gather", 64.0 * counts.pairs)},
        memory={"block": 64.0 * counts.pairs / blocks, "weights": _kept_bytes(config, scene)},
        disk=8.0 * config.neighbors * counts.hot,
        mode="shared users of every pair that has any",
    )


def _kept_bytes(config: TrainConfig, scene: Scene) -> float:
    return 12.0 * _kept(config, scene) * scene.counts.hot


def _kept(config: TrainConfig, scene: Scene) -> int:
    return min(config.neighbors, scene.counts.hot)


def solver_of(config: TrainConfig, hot: int) -> str:
    """Return the solver of ease that will be used."""
    if config.solver != "auto":
        return config.solver
    return "dense" if hot <= DENSE_ITEMS else "local"


def _ease(config: TrainConfig, scene: Scene) -> Work:
    counts, hot = scene.counts, float(scene.counts.hot)
    kept = _kept_bytes(config, scene)
    disk = 8.0 * config.neighbors * hot
    if solver_of(config, counts.hot) == "dense":
        columns = min(hot, _BLOCK)
        return Work(
            time={
                "inverse": Amount("gemm", hot**3),
                "gram": Amount("gather", 8.0 * counts.train * hot),
                "best": Amount("copy", 4.0 * hot * hot),
            },
            memory={
                "matrices": 4.0 * hot * hot,
                "block": 4.0 * columns * (2 * hot + counts.users),
                "weights": kept,
            },
            disk=disk,
            mode="dense solver",
        )
    around = float(min(_CONSIDERED * config.neighbors, hot))
    pairs = min(counts.pairs, _PAIRS)
    return Work(
        time={
            "regressions": Amount("gemm", hot * around**3 / 3),
            "look-ups": Amount("gather", 64.0 * hot * around * around / 2),
            "pairs": Amount("gather", 64.0 * pairs),
        },
        memory={
            "gram": 12.0 * pairs / 2,
            "chosen": 24.0 * hot * around,
            "at once": 60.0 * _AT_ONCE,
            "weights": kept,
        },
        disk=disk,
        mode="local solver",
    )


def _als(config: TrainConfig, scene: Scene) -> Work:
    counts, width = scene.counts, float(config.width)
    nodes = float(counts.users + counts.items)
    turns = float(config.turns)
    return Work(
        time={
            "solves": Amount("gemm", turns * nodes * width**3),
            "sums": Amount("gather", turns * 8.0 * counts.train * width * width),
        },
        memory={"nodes": 16.0 * nodes * width, "matrices": 4.0 * 4096 * width * width},
        mode="alternating least squares",
    )


def _content(config: TrainConfig, scene: Scene) -> Work:
    counts = scene.counts
    scores = float(counts.items) * counts.items
    return Work(
        time={"products": Amount("gemm", 2.0 * scores * scene.content_width)},
        memory={
            "block": 4.0 * _BLOCK * counts.items,
            "weights": _kept_bytes(config, scene),
        },
        mode="content",
    )


_CLOSED: Mapping[str, Callable[[TrainConfig, Scene], Work]] = {
    "popularity": _popularity,
    "item_knn": _item_knn,
    "ease": _ease,
    "als": _als,
    "content_knn": _content,
    "content_mean": _content,
}


def _way_of(model: str) -> Callable[[TrainConfig, Scene], Work]:
    return _auto if model == "auto" else _CLOSED.get(model, _by_epochs)
