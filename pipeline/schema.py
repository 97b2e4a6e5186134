"""Column names, Arrow schemas and artifact kinds: the contract between stages, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline.errors import ArtifactError

USER, ITEM, WEIGHT, TIMESTAMP, SPLIT = "user", "item", "weight", "timestamp", "split"
KEY, TITLE, DESCRIPTION, BRAND = "key", "title", "description", "brand"
CATEGORIES, PRICE, IMAGE = "categories", "price", "image"

TRAIN, VALIDATION, TEST, COLD = 0, 1, 2, 3
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "cold": COLD}
"""``cold`` holds every interaction of the items that ``etl.split.cold_items`` holds out."""

INTERACTIONS = pa.schema(
    [
        (USER, pa.int32()),
        (ITEM, pa.int32()),
        (WEIGHT, pa.float32()),
        (TIMESTAMP, pa.int64()),
        (SPLIT, pa.int8()),
    ]
)
"""One row per user-item pair; rows are dense; timestamp in seconds since 1970, 0 if unknown."""

ITEMS = pa.schema(
    [
        (KEY, pa.string()),
        (TITLE, pa.string()),
        (DESCRIPTION, pa.string()),
        (BRAND, pa.string()),
        (CATEGORIES, pa.list_(pa.string())),
        (PRICE, pa.float32()),
        (IMAGE, pa.string()),
    ]
)
"""Row i is item i; null where unknown; image is a path below the images folder, or a URL. Behind
these stand the attributes that ``data.attributes`` names."""

ATTRIBUTES: Mapping[str, pa.DataType] = {
    "text": pa.string(), "number": pa.float64(), "truth": pa.bool_(),
}  # fmt: skip
"""Types of what a catalogue tells of its items beyond ``ITEMS``, by the name a config has."""

USERS = pa.schema([(KEY, pa.string())])
"""Row u is user u."""

REJECTS = pa.schema(
    [("source", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())]
)
"""One row per raw record that was not kept: where it stood, a reason code, and its text."""

PER_USER = pa.schema(
    [
        ("model", pa.string()),
        ("split", pa.string()),
        ("slice", pa.string()),
        (USER, pa.int32()),
        ("metric", pa.string()),
        ("value", pa.float32()),
    ]
)
"""One row per model, slice, user and metric; metrics are spelled ``ndcg@10``."""

TOP_K = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
    ]
)
"""Exported lists; rank 1 is best; ids are keys."""


@dataclass(frozen=True)
class FileSpec:
    """What one file of an artifact is."""

    format: str
    """parquet, npy, npz (scipy CSR), safetensors, faiss, json or jsonl."""
    schema: pa.Schema | None = None
    required: bool = True
    attributes: bool = False
    """Whether columns of the types of ``ATTRIBUTES`` may stand behind those of the schema."""


@dataclass(frozen=True)
class Kind:
    """A kind of artifact: its name, version and files; ``*`` in a name stands for a modality."""

    name: str
    version: int
    made_by: str
    files: Mapping[str, FileSpec]


NPY, NPZ, JSON = FileSpec("npy"), FileSpec("npz"), FileSpec("json")


def _optional(format_: str, schema: pa.Schema | None = None) -> FileSpec:
    return FileSpec(format_, schema, required=False)


_SECOND_STAGE = {
    "network.safetensors": FileSpec("safetensors"),
    "ranking.json": JSON,
    "second.npz": _optional("npz"),
    "relation_*.npz": _optional("npz"),
    "other_*.npy": _optional("npy"),
}

_ATTACHING = {
    "attach.json": _optional("json"),
    "attach.safetensors": _optional("safetensors"),
    "attach_layers.npy": _optional("npy"),
    "attach_rows.npy": _optional("npy"),
}
"""What the vectors of items that arrive later are computed with; there for models that can."""

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "tables",
            1,
            "etl",
            {
                "interactions.parquet": FileSpec("parquet", INTERACTIONS),
                "items.parquet": FileSpec("parquet", ITEMS, attributes=True),
                "users.parquet": FileSpec("parquet", USERS),
                "rejects.parquet": FileSpec("parquet", REJECTS),
                "quality.json": JSON,
            },
        ),
        Kind(
            "embeddings",
            1,
            "embed",
            {
                "*_present.npy": _optional("npy"),
                "*_missing.parquet": _optional("parquet"),
                "*.npy": _optional("npy"),
            },
        ),
        Kind(
            "graphs",
            1,
            "graph",
            {
                "user_item.npz": NPZ,
                "cooccurrence.npz": NPZ,
                "*_knn.npz": _optional("npz"),
                "*_active.npz": _optional("npz"),
                "statistics.json": JSON,
            },
        ),
        Kind(
            "model",
            1,
            "train",
            {
                "weights.safetensors": FileSpec("safetensors"),
                "user_vectors.npy": _optional("npy"),
                "item_vectors.npy": _optional("npy"),
                "fold_in.npy": _optional("npy"),
                "item_item.npz": _optional("npz"),
                **_ATTACHING,
                "curve.jsonl": FileSpec("jsonl"),
            },
        ),
        Kind("ranker", 1, "rank", {**_SECOND_STAGE}),
        Kind(
            "report",
            1,
            "evaluate",
            {
                "per_user.parquet": FileSpec("parquet", PER_USER),
                "metrics.json": JSON,
                "comparisons.json": JSON,
                "slices.json": JSON,
                "rerank.json": _optional("json"),
            },
        ),
        Kind(
            "bundle",
            1,
            "index",
            {
                "items.faiss": FileSpec("faiss"),
                "items.parquet": FileSpec("parquet", ITEMS, attributes=True),
                "users.parquet": FileSpec("parquet", USERS),
                "item_vectors.npy": NPY,
                "user_vectors.npy": NPY,
                "fold_in.npy": NPY,
                "hot.npy": NPY,
                "popular.npy": NPY,
                "seen.npz": NPZ,
                "canary_users.npy": NPY,
                "canary_top.npy": NPY,
                "known.npy": _optional("npy"),
                "cooccurrence.npz": NPZ,
                "*_knn.npz": _optional("npz"),
                "audit.json": JSON,
                **{name: replace(spec, required=False) for name, spec in _SECOND_STAGE.items()},
                **_ATTACHING,
                "live.json": _optional("json"),
                "content_*_present.npy": _optional("npy"),
                "content_*.npy": _optional("npy"),
            },
        ),
    )
}


def items_with(attributes: Mapping[str, str]) -> pa.Schema:
    """Return ``ITEMS`` with further columns, given by name and type."""
    return pa.schema([*ITEMS, *(pa.field(n, ATTRIBUTES[t]) for n, t in attributes.items())])


def attributes_of(found: pa.Schema) -> dict[str, str]:
    """Return the attributes of an items table, name and type; others' columns are left out."""
    names = {kind: name for name, kind in ATTRIBUTES.items()}
    further = [each for each in found if each.name not in ITEMS.names]
    return {each.name: names[each.type] for each in further if each.type in names}


def conform(table: pa.Table, want: pa.Schema, name: str) -> pa.Table:
    """Return ``table`` with exactly the columns and types of ``want``.

    Raises:
        ArtifactError: a column is missing or cannot be cast.
    """
    missing = [column for column in want.names if column not in table.column_names]
    if missing:
        raise ArtifactError(
            f"{name}: columns {missing} are missing; found {table.column_names}, want {want.names}"
        )
    try:
        return table.select(want.names).cast(want)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ArtifactError(f"{name}: a column has the wrong type: {error}") from error
