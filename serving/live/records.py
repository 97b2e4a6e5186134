"""What the journal of items holds: records to the overlay, and back."""

import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from pipeline.arrays import Floats
from pipeline.ids import UNKNOWN
from serving.live.attach import Attaching, Placed
from serving.live.grown import Edges
from serving.live.journal import Record
from serving.live.overlay import Added, Fields, Overlay

ADD, PATCH, DELETE = "add", "patch", "delete"


def digest_of(sent: Mapping[str, Any]) -> str:
    """Return a digest of what was sent: equal for equal requests."""
    return hashlib.sha256(orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)).hexdigest()


def now() -> float:
    """Return seconds since 1970."""
    return round(time.time(), 3)


def added_record(item: Added, model: str) -> Record:
    """Return the record of an item, with what ``model`` made of it."""
    return {
        "op": ADD, "at": now(), "key": item.key, "fields": item.fields, "digest": item.digest,
        "content": {name: packed(vector) for name, vector in item.content.items()},
        "placed": {
            "model": model, "vector": packed(item.vector), "fold_in": packed(item.fold_in),
            "edges": {
                name: {"rows": edges.rows.tolist(), "weights": packed(edges.weights)}
                for name, edges in item.edges.items()
            },
        },
    }  # fmt: skip


def patch_record(key: str, fields: Fields) -> Record:
    """Return the record of a change."""
    return {"op": PATCH, "at": now(), "key": key, "fields": fields}


def delete_record(key: str) -> Record:
    """Return the record of a deletion."""
    return {"op": DELETE, "at": now(), "key": key}


def applied(overlay: Overlay, records: Sequence[Record], attaching: Attaching) -> Overlay:
    """Return the state after some records.

    A record from before the tables that the bundle was made from gives way to the bundle where that
    holds its key; a deletion stays. What another model made of an item is made again by this one.
    """
    bundle = attaching.bundle
    ids, since = bundle.catalogue.ids, bundle.made_from
    waiting: list[Record] = []

    def settle() -> None:
        """Add the items that stand in a row in the journal, all at once."""
        nonlocal overlay
        rows = ids.rows([record["key"] for record in waiting]).tolist()
        overlay = overlay.with_added(zip(_items(waiting, attaching), rows, strict=True))
        waiting.clear()

    for record in records:
        in_bundle = ids.row(record["key"])
        if record["op"] != DELETE and record["at"] < since and in_bundle != UNKNOWN:
            continue
        if record["op"] == ADD:
            waiting.append(record)
            continue
        settle()
        row = overlay.rows.get(record["key"], in_bundle)
        if row == UNKNOWN:
            continue
        if record["op"] == PATCH:
            overlay = overlay.with_patch(row, record["fields"])
        else:
            overlay = overlay.without(record["key"], row)
    settle()
    return overlay


def _items(records: Sequence[Record], attaching: Attaching) -> list[Added]:
    contents = [_content(record, attaching) for record in records]
    model = attaching.bundle.model
    placed = [_placed(record, model, attaching) for record in records]
    missing = [at for at, each in enumerate(placed) if each is None]
    made = attaching.place([contents[at] for at in missing]) if missing else []
    fresh = dict(zip(missing, made, strict=True))
    return [
        Added(
            record["key"], record["fields"], each.vector, each.fold_in, each.edges, content,
            record["digest"],
        )
        for at, (record, content) in enumerate(zip(records, contents, strict=True))
        for each in [placed[at] or fresh[at]]
    ]  # fmt: skip


def _content(record: Record, attaching: Attaching) -> dict[str, Floats]:
    """Return an item's content, without modalities that the bundle has in another width."""
    found = {name: unpacked(text) for name, text in record["content"].items()}
    known = attaching.contents
    return {n: v for n, v in found.items() if n in known and len(v) == known[n].width}


def _placed(record: Record, model: str, attaching: Attaching) -> Placed | None:
    placed = record["placed"]
    if placed["model"] != model or not attaching.contents:
        return None if attaching.contents else _nowhere(attaching)
    edges = {
        name: Edges(np.array(each["rows"], dtype=np.int64), unpacked(each["weights"]))
        for name, each in placed["edges"].items()
    }
    return Placed(unpacked(placed["vector"]), unpacked(placed["fold_in"]), edges)


def _nowhere(attaching: Attaching) -> Placed:
    """Return the place of an item in a bundle without content: known by name alone."""
    nothing = np.zeros(attaching.bundle.item_vectors.shape[1], dtype=np.float32)
    return Placed(nothing, nothing, {})


def packed(values: Floats) -> str:
    """Return float32 numbers as text, every bit of them."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def unpacked(text: str) -> Floats:
    """Return the numbers of ``packed``."""
    numbers: Floats = np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)
    return numbers
