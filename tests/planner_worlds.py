"""Machines, counts and past runs for the tests of the planner; nothing here is measured."""

from dataclasses import replace
from pathlib import Path

from pipeline import flow
from pipeline.artifacts import Store
from pipeline.config import load_config
from pipeline.measure.processor import machine_name
from pipeline.planner.counts import Counts
from pipeline.planner.machine import Machine
from pipeline.planner.probe import Rates
from pipeline.planner.scene import Modality, Scene

RATES = Rates(gemm=5e10, copy=1e10, gather=5e9, python=1e7, parse=1e8)
MACHINE = Machine(machine_name(), "a processor", 2, memory=16 * 10**9, disk=10**11)
YAML = """
name: foretold
data: {format: table, interactions: log.csv, items: items.csv}
embed: {text: {encoder: tiny}, image: null}
train: {model: gat, epochs: 10, patience: 3}
baselines: {popularity: {model: popularity}, ease: {model: ease}}
"""


def counts(users: int = 2000, items: int = 3000, per_user: int = 10, **others) -> Counts:
    kept = users * per_user
    common = {
        "users": users, "items": items, "interactions": kept, "train": round(0.8 * kept),
        "hot": items, "validation_users": users, "test_users": users,
        "pairs": 2.0 * users * per_user**2, "texts": items, "pictures": 0,
        "text_lengths": (80, 120, 200), "records": kept + items, "raw_bytes": 100 * kept,
    }  # fmt: skip
    return Counts(**{**common, **others})


def scene(of: Counts, width: int = 64, **others) -> Scene:
    modalities = {"text": Modality(width, of.texts, "tiny", encoded=of.texts)}
    relations = {"text": 15 * of.items, "cooccurrence": 10 * of.items}
    return replace(Scene(of, modalities, relations), **others)


def write_shop(folder: Path, users: int = 40, items: int = 30) -> Path:
    """Write a log in which everybody has five items, its catalogue and a configuration."""
    pairs = [(u, (u * 7 + k * 3) % items, k) for u in range(users) for k in range(5)]
    rows = "".join(f"u{u},i{i},{100 * u + k}\n" for u, i, k in pairs)
    (folder / "log.csv").write_text("user,item,timestamp\n" + rows)
    shop = "".join(f"i{i},Thing {i} of some kind\n" for i in range(items))
    (folder / "items.csv").write_text("key,title\n" + shop)
    config = folder / "shop.yaml"
    config.write_text(YAML)
    return config


def planned(config: Path, store: Path, *overrides: str):
    """Return the resolved configuration, the store and the steps of a run."""
    resolved, place = load_config(config, overrides), Store(store)
    return resolved, place, flow.plan(resolved, place)
