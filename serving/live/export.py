"""What the service was told, as raw files: the next run of the pipeline takes them as its input."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import files
from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError
from pipeline.schema import IMAGE, ITEM, KEY, TIMESTAMP, USER, WEIGHT
from serving.bundle import Bundle
from serving.live import segments
from serving.live.activity import Event, sign_of
from serving.live.journal import Journal, Position
from serving.live.state import FEEDBACK, Live
from serving.live.uploads import FOLDER
from serving.pictures import SENT
from serving.recommender import Recommender

INTERACTIONS, ITEMS, PICTURES = "interactions.parquet", "items.parquet", "pictures"

LOG = pa.schema(
    [(USER, pa.string()), (ITEM, pa.string()), (WEIGHT, pa.float64()), (TIMESTAMP, pa.int64())]
)


def export(store: Store, bundle: Artifact, state: Path, out: Path) -> dict[str, int]:
    """Write the bundle's interactions with the feedback, and its items as they are now.

    Of feedback, what says yes counts, by its value where it has one; a pair of whose events the
    last says no is left out, that of the bundle's tables too. Pictures that were sent stand in a
    folder of their own. Returns how many of each were written.

    Raises:
        ArtifactError: the tables that the bundle was made from are not in the store.
    """
    out.mkdir(parents=True, exist_ok=True)
    log = _log(store, bundle, events_of(state))
    items, pictures = _items(bundle, state, out)
    files.write_table(out / INTERACTIONS, log)
    files.write_table(out / ITEMS, items)
    return {"interactions": log.num_rows, "items": items.num_rows, "pictures": pictures}


def events_of(state: Path) -> Iterator[Event]:
    """Yield every event that was taken, in order: of segments, then of what has none yet."""
    journal = Journal(state / FEEDBACK)
    done = 0
    for path in segments.segments(state):
        yield from segments.events_in(path)
        done = int(path.stem.rsplit("-", 1)[1])
    for record in journal.read(Position(done + 1))[0]:
        yield from record["events"]


def _log(store: Store, bundle: Artifact, events: Iterator[Event]) -> pa.Table:
    said = [event for event in events if sign_of(event)]
    last = {(event["user"], event["item"]): sign_of(event) for event in said}
    rows = [
        {
            USER: event["user"],
            ITEM: event["item"],
            WEIGHT: 1.0 if event["value"] is None else float(event["value"]),
            TIMESTAMP: int(event["at"]),
        }
        for event in said
        if sign_of(event) > 0
    ]
    whole = pa.concat_tables([_known(store, bundle), pa.Table.from_pylist(rows, schema=LOG)])
    pairs = zip(whole[USER].to_pylist(), whole[ITEM].to_pylist(), strict=True)
    return whole.filter(pa.array([last.get(pair, 1) > 0 for pair in pairs], pa.bool_()))


def _known(store: Store, bundle: Artifact) -> pa.Table:
    """Return the interactions of the bundle's tables by their keys."""
    name = str(bundle.manifest["inputs"].get("tables"))
    tables = store.find("tables", name)
    if tables is None:
        raise ArtifactError(
            f"bundle {bundle.fingerprint} was made from tables {name}, which {store.root} does not "
            f"hold any more; make them again: plotpointe run CONFIG --to etl"
        )
    found = tables.table("interactions.parquet")
    users, items = (tables.table(f"{kind}.parquet", [KEY])[KEY] for kind in ("users", "items"))
    columns = [users.take(found[USER]), items.take(found[ITEM]), found[WEIGHT], found[TIMESTAMP]]
    return pa.table(dict(zip(LOG.names, columns, strict=True))).cast(LOG)


def _items(bundle: Artifact, state: Path, out: Path) -> tuple[pa.Table, int]:
    """Return the items as they are now, and how many pictures were copied."""
    catalogue = Live(Bundle.of(bundle), state, Recommender).recommender.bundle
    shown = np.setdiff1d(np.arange(len(catalogue.catalogue)), catalogue.gone)
    whole = catalogue.catalogue.whole().take(pa.array(shown))
    images = whole[IMAGE].to_pylist()
    sent = {name for name in images if name is not None and name.startswith(SENT)}
    for name in sorted(sent):
        (out / PICTURES).mkdir(exist_ok=True)
        bare = name.removeprefix(SENT)
        shutil.copyfile(state / FOLDER / bare, out / PICTURES / bare)
    named: list[Any] = [None if name is None else name.removeprefix(SENT) for name in images]
    at = whole.column_names.index(IMAGE)
    return whole.set_column(at, IMAGE, pa.array(named, pa.string())), len(sent)
