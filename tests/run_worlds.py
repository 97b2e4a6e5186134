"""Runs as records on disk, written without running anything."""

from datetime import UTC, datetime, timedelta

from pipeline.artifacts import Store
from pipeline.measure.track import JsonLines, Run

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MACHINE = {"environment_id": "e1", "cpu_model": "A Processor", "cores": 2}


def step(seconds: float, *, made: bool = True, **traits) -> dict:
    """Return a step of a record."""
    return {
        "stage": "train", "kind": "model", "fingerprint": "ab12", "made": made,
        "cost": {"wall_seconds": seconds, "cpu_seconds": seconds / 2, "peak_rss_bytes": 10**8},
        "asked": "c1", "data": "d1", "headline": ["best_validation"], **traits,
    }  # fmt: skip


def write_run(
    store: Store, number: int, seconds: float = 1.0, quality: float = 0.1, **about
) -> str:
    """Write the record of a run, ``number`` days after the first; return its id."""
    run_id = f"202601{number:04d}-000000000-abcd"
    record = JsonLines(store.root / "runs" / run_id)
    config = {"seed": number, "train": {"width": 16, "model": "gat"}}
    known = {"environment": MACHINE, "git": {"commit": f"c{number}", "branch": "b", "dirty": False}}
    record.start(Run(run_id, "shop", config, {**known, "command": "plotpointe run", **about}))
    at = (BEGAN + timedelta(days=number)).isoformat()
    for epoch in (1, 2, 3):
        record.log("train", {"loss": 1 / epoch, "ndcg@20": quality * epoch / 3}, epoch)
    record.log("", {"best_validation": quality, "ndcg@20": quality, "ndcg@5": quality / 2})
    record.note(steps={"train": step(seconds), "etl": step(1.0, made=False, stage="etl")})
    record.note(started_at=at)
    record.artifact("train", "model/ab12")
    record.finish("done")
    return run_id
