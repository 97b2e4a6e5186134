"""Encode one modality into files that are kept for later runs: resumed, and reused when equal."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeVar

import numpy as np

from pipeline import files
from pipeline.arrays import Floats, Rows
from pipeline.embed.batching import NONE
from pipeline.embed.content import Content, write_modality
from pipeline.embed.encoders import Placement, Precision
from pipeline.embed.ledger import Ledger
from pipeline.embed.modality import Encodable, Plan, Scale
from pipeline.embed.precision import Verdict, choose
from pipeline.embed.workers import Workers
from pipeline.hashing import fingerprint
from pipeline.measure import Task

VERSION = 1
"""Raised when the same inputs and encoder would give other vectors."""
DONE, WORK, PRECISION_MEMORY = "done.json", "work", "precision.json"

E = TypeVar("E")


@dataclass(frozen=True)
class Bench:
    """What encoding runs on and where its work is kept."""

    kept: Path
    """A folder that outlives the stage: finished modalities, by fingerprint."""
    keys: list[str]
    workers: Workers
    scale: Scale
    task: Task
    asked: Literal["auto", "float32", "bfloat16"] = "auto"
    """The configured precision."""
    probing: Lock = field(default_factory=Lock)
    """One measurement at a time."""


def settle_precision(modality: Encodable[E], bench: Bench) -> Verdict:
    """Return the precision of a modality, measured where that is asked for."""
    recipe = modality.base.recipe
    if not recipe.neural:
        return {"precision": "float32", "why": "the encoder has no other"}
    if not modality.base.inputs.inputs:
        return {"precision": "float32", "why": "nothing to encode"}

    def probe(precision: Precision) -> Callable[[], Floats]:
        """Return the timed encoding of a few inputs in one precision."""
        return modality.probe(recipe.load(Placement(bench.scale.device, precision)))

    key = {"encoder": dict(recipe.identity), "device": bench.scale.device}
    with bench.probing:
        return choose(bench.asked, probe, bench.kept / PRECISION_MEMORY, key)


def encode_modality(modality: Encodable[E], bench: Bench) -> Path:
    """Return the folder that holds the modality's files and its facts, made now or before."""
    base, verdict = modality.base, settle_precision(modality, bench)
    request = {
        "version": VERSION,
        "encoder": dict(base.recipe.identity),
        "precision": verdict["precision"],
        "content": base.content_hash(bench.keys),
    }
    folder = bench.kept / f"{base.name}-{fingerprint(request)}"
    if (folder / DONE).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    content, encoded = _encoded(modality, verdict, bench, folder / WORK)
    written = write_modality(folder, base.name, content, bench.keys)
    facts = {
        **base.recipe.identity,
        "width": written.width,
        "dtype": written.dtype,
        "precision": verdict,
        "device": bench.scale.device,
        "present": written.present,
        "missing": dict(written.missing),
        "distinct": len(base.inputs.inputs),
        **encoded,
    }
    _conclude(folder, facts)
    return folder


def _encoded(
    modality: Encodable[E], verdict: Verdict, bench: Bench, work: Path
) -> tuple[Content, dict[str, Any]]:
    """Return the vectors of the items, and what they took."""
    base = modality.base
    inputs = base.inputs.rows
    if not base.inputs.inputs:
        nothing = np.zeros((0, 1), dtype=np.float32)
        return Content(nothing, inputs, base.reasons), {"encoded": 0}
    placement = Placement(bench.scale.device, verdict["precision"])
    encoder = base.recipe.load(placement)
    plan = modality.plan(encoder, bench.scale, bench.task)
    how = f"{placement.device} {placement.precision}"
    with Ledger(work, plan.batches, plan.width, how) as ledger:
        took = _fill(ledger, plan, modality, bench)
        vectors, places = ledger.stored()
    failed = {i: ledger.reasons[at] for i, at in enumerate(inputs.tolist()) if at in ledger.reasons}
    rows = np.where(inputs == NONE, NONE, places[inputs])
    return Content(vectors, rows, {**base.reasons, **failed}), took


def _fill(ledger: Ledger, plan: Plan, modality: Encodable[E], bench: Bench) -> dict[str, Any]:
    """Encode the batches the ledger lacks, and return how many inputs at what rate."""
    total = len(modality.base.inputs.inputs)
    waiting = [number for number in range(len(plan.batches)) if number not in ledger.done]
    before = total - sum(len(plan.batches[number]) for number in waiting)

    def work(number: int) -> int:
        """Encode and keep one batch; return its size."""
        batch: Rows = plan.batches[number]
        ledger.keep(number, *plan.work(batch))
        return len(batch)

    start = time.perf_counter()
    with bench.task.progress(modality.base.name, total=total, unit=modality.unit) as bar:
        bar.advance(before, note=f"{before} from before" if before else None)
        for _, count in bench.workers.each(work, waiting):
            bar.advance(count)
    seconds = time.perf_counter() - start
    return {
        "encoded": total - before,
        "resumed": before,
        "seconds": round(seconds, 3),
        "per_second": round((total - before) / seconds, 2) if seconds else None,
    }


def _conclude(folder: Path, facts: dict[str, Any]) -> None:
    for path in folder.iterdir():
        if path.is_file():
            _flush(path)
    draft = folder / f"{DONE}.{os.getpid()}"
    files.write_json(draft, facts)
    _flush(draft)
    draft.replace(folder / DONE)
    shutil.rmtree(folder / WORK, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def hand_over(folder: Path, into: Path) -> dict[str, Any]:
    """Link a finished modality's files into an artifact and return its facts."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith((DONE, "draft-")):
            link(path, into / path.name)
    facts: dict[str, Any] = files.read_json(folder / DONE)
    return facts


def link(source: Path, target: Path) -> None:
    """Make ``target`` the same file, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
