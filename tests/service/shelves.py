"""The planted bundle with a catalogue that filters have something to say about, and a referee."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from serving.grammar import Condition, Filter
from tests import worlds_bundle

BRANDS = ["Acme", "Bolt", "Ünicorn", None, ""]
AISLES = ["home", "kitchen", "kettles", "garden", "tools"]


def catalogue(items: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return what is known of each item; anything may be missing."""
    rng = np.random.default_rng(seed)
    prices = [None, 5.0, 19.99, 20.0, 100.5, float("nan")]
    return [
        {
            "key": f"i{item}",
            "title": f"Thing {item % 7}" if item % 5 else None,
            "description": "A thing.",
            "brand": BRANDS[rng.integers(len(BRANDS))],
            "categories": [AISLES[a] for a in rng.permutation(5)[: rng.integers(4)]] or None,
            "price": prices[rng.integers(len(prices))],
            "image": None,
            "available": [True, False, None][rng.integers(3)],
            "stock": [0, 3, 2**40, None][rng.integers(4)],
        }
        for item in range(items)
    ]


def table(records: list[dict[str, Any]]) -> pa.Table:
    kinds = {"price": pa.float32(), "categories": pa.list_(pa.string()), "stock": pa.int64()}
    kinds |= {"available": pa.bool_()}
    return pa.table(
        {
            name: pa.array([r[name] for r in records], kinds.get(name, pa.string()))
            for name in records[0]
        }
    )


def parts(seed: int = 0, **options: Any) -> worlds_bundle.Parts:
    these = worlds_bundle.parts(seed, **options)
    these.items = table(catalogue(these.world.n_items, seed))
    return these


def holds(record: dict[str, Any], clause: Condition | Filter) -> bool:
    """Return whether an item satisfies a clause: the slow, obvious way."""
    if isinstance(clause, Filter):
        return passes(record, clause)
    held = record[{"category": "categories", "id": "key"}.get(clause.key, clause.key)]
    if isinstance(held, float) and math.isnan(held):
        held = None
    held = [each for each in held or [] if each] if isinstance(held, list) else held
    nothing = held in (None, "") or held == []
    if clause.is_null is not None:
        return nothing is clause.is_null
    if nothing:
        return False
    if clause.match is not None:
        several = held if isinstance(held, list) else [held]
        return any(each in clause.match.values for each in several)
    bounds = clause.range
    return (
        (bounds.gt is None or held > bounds.gt)
        and (bounds.gte is None or held >= bounds.gte)
        and (bounds.lt is None or held < bounds.lt)
        and (bounds.lte is None or held <= bounds.lte)
    )


def passes(record: dict[str, Any], wanted: Filter) -> bool:
    return (
        all(holds(record, clause) for clause in wanted.must)
        and not any(holds(record, clause) for clause in wanted.must_not)
        and (not wanted.should or any(holds(record, clause) for clause in wanted.should))
    )
