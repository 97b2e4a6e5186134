"""Which precision an encoder computes in: asked for, or measured once per machine and kept."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline import files
from pipeline.arrays import Floats, unit_rows
from pipeline.embed.encoders import Precision
from pipeline.hashing import fingerprint
from pipeline.measure.processor import machine_name

FASTER = 1.2
"""bfloat16 is taken when it is this many times as fast: below, a measurement can err."""
CLOSE = 0.99
"""... and when its vectors have at least this cosine with those of float32."""
_REPEATS = 3

Encode = Callable[[], Floats]
Verdict = dict[str, Any]


def choose(
    asked: Literal["auto", "float32", "bfloat16"],
    probe: Callable[[Precision], Encode],
    memory: Path,
    key: Mapping[str, Any],
) -> Verdict:
    """Return the precision to use under ``precision``, and what was measured.

    A measurement is kept in ``memory`` by ``key`` and this machine, so that a resumed or repeated
    run here computes the same; ``probe(precision)`` returns a function that encodes one batch.
    """
    if asked != "auto":
        return {"precision": asked, "why": "configured"}
    machine = {"name": machine_name(), "system": platform.platform()}
    name = fingerprint({"key": dict(key), "machine": machine})
    known = _read(memory)
    if name not in known:
        known[name] = measured(probe)
        draft = memory.with_name(f"{memory.name}.{os.getpid()}")
        files.write_json(draft, known)
        draft.replace(memory)
    verdict: Verdict = known[name]
    return verdict


def measured(probe: Callable[[Precision], Encode]) -> Verdict:
    """Return the verdict of encoding one batch both ways, the best of a few times each."""
    runs: dict[Precision, Encode] = {p: probe(p) for p in ("float32", "bfloat16")}
    vectors = {p: unit_rows(encode())[0] for p, encode in runs.items()}
    rounds = [{p: _timed(encode) for p, encode in runs.items()} for _ in range(_REPEATS)]
    seconds = {p: min(each[p] for each in rounds) for p in runs}
    speedup = seconds["float32"] / seconds["bfloat16"]
    cosine = float((vectors["float32"] * vectors["bfloat16"]).sum(axis=1).min())
    good = speedup >= FASTER and np.isfinite(cosine) and cosine >= CLOSE
    return {
        "precision": "bfloat16" if good else "float32",
        "why": "measured",
        "bfloat16_speedup": round(speedup, 3),
        "bfloat16_cosine": round(cosine, 5),
    }


def _timed(encode: Encode) -> float:
    start = time.perf_counter()
    encode()
    return time.perf_counter() - start


def _read(memory: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = files.read_json(memory)
    except (OSError, ValueError):
        return {}
    return known
