"""Content finds items nobody has interacted with, and each modality is worth having."""

import dataclasses

import numpy as np

from pipeline.train.checkpoint import Checkpoints
from pipeline.train.loop import Trainer, fit
from tests import worlds
from tests.train_worlds import scores_of, trainer_of

WARM = 24


def cold_world(seed: int = 0) -> worlds.World:
    """A world whose last 24 items lost their interactions; each modality tells half the story.

    Text tells clusters 0 and 1 from 2 and 3, the image even clusters from odd ones.
    """
    world = worlds.planted(seed=seed, n_users=160, n_items=120, taste=0.95)
    rng = np.random.default_rng(seed)
    halves = {"text": world.item_cluster // 2, "image": world.item_cluster % 2}
    vectors = {m: _towards(half, world.present[m], rng) for m, half in halves.items()}
    warm = np.arange(world.n_items - WARM, world.n_items)
    kept = world.items < warm[0]
    return dataclasses.replace(
        world, users=world.users[kept], items=world.items[kept], split=world.split[kept],
        vectors=vectors, warm_items=warm,
    )  # fmt: skip


def _towards(half, present, rng) -> np.ndarray:
    raw = rng.normal(size=(2, 8))[half] + 0.3 * rng.normal(size=(len(half), 8))
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    return np.where(present[:, None], unit, 0).astype(np.float32)


def warm_recall(world: worlds.World, tmp_path, name: str) -> float:
    """Return the share of each user's six best warm items that are of the user's cluster."""
    folder = tmp_path / name
    folder.mkdir()
    trainer: Trainer = trainer_of(world, model="gat", id_dropout=0.3, epochs=20)
    fit(trainer, Checkpoints(folder), lambda _: None)
    scores = scores_of(trainer.model)[:, world.warm_items]
    best = np.argsort(-scores, axis=1)[:, :6]
    same = world.item_cluster[world.warm_items][best] == world.user_cluster[:, None]
    return float(np.delete(same, world.cold_user, axis=0).mean())


def without(world: worlds.World, modality: str) -> worlds.World:
    vectors = {m: v for m, v in world.vectors.items() if m != modality}
    present = {m: p for m, p in world.present.items() if m != modality}
    return dataclasses.replace(world, vectors=vectors, present=present)


def test_removing_a_modality_lowers_warm_recall(tmp_path):
    seeds = range(3)
    both = np.mean([warm_recall(cold_world(s), tmp_path, f"both{s}") for s in seeds])
    for modality in ("text", "image"):
        less = np.mean([
            warm_recall(without(cold_world(s), modality), tmp_path, f"{modality}{s}")
            for s in seeds
        ])  # fmt: skip
        assert less < both - 0.15, modality
    assert both > 0.75


def test_without_any_content_warm_items_are_at_zero(tmp_path):
    world = without(without(cold_world(), "text"), "image")
    trainer = trainer_of(world, model="gat", epochs=3)
    fit(trainer, Checkpoints(tmp_path), lambda _: None)
    assert not scores_of(trainer.model)[:, world.warm_items].any()
