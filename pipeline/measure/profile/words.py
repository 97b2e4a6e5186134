"""A profile in words: where the time went, and which ceiling is near."""

from collections.abc import Sequence

from pipeline.measure.profile.ceilings import Ceilings
from pipeline.measure.profile.operators import Row
from pipeline.measure.profile.stacks import Sampled, hottest

SHOWN = 5
_LEAST_SHARE = 0.02
_FAR = 0.25
"""Below this share of both ceilings, neither explains the time."""
_SHORT_CALL_SECONDS = 50e-6


def sentences(rows: Sequence[Row], seconds: float, outside: float, most: Ceilings) -> list[str]:
    """Return the largest parts of the time, most first.

    ``outside`` is the time in which the main thread was in none of the operators.
    """
    told = [(row.self_seconds, _of(row, seconds, most)) for row in rows[:SHOWN]]
    if rows:
        words = f"{_percent(outside, seconds)} of the time outside of torch's operators: Python, "
        told.append((outside, f"{words}NumPy, input, waiting"))
    told.sort(key=lambda each: -each[0])
    return [words for taken, words in told[:SHOWN] if taken >= _LEAST_SHARE * seconds]


def _of(row: Row, seconds: float, most: Ceilings) -> str:
    words = f"{_percent(row.self_seconds, seconds)} of the time in {row.name}"
    limit = bound(row, most)
    return f"{words}, {limit}" if limit else words


def bound(row: Row, most: Ceilings) -> str:
    """Return what limits an operator, with its rates; nothing where its work is not known."""
    flops, moved = row.flops_per_second, row.bytes_per_second
    if flops is None and moved is None:
        return _many_short(row)
    rates = []
    if moved is not None:
        rates.append(f"{_of_most(moved, most.bytes_per_second)} GB/s")
    if flops is not None:
        rates.append(f"{_of_most(flops, most.flops_per_second)} GFLOP/s")
    return f"{_kind(flops, moved, row, most)}: {', '.join(rates)}"


def _kind(flops: float | None, moved: float | None, row: Row, most: Ceilings) -> str:
    of_flops = (flops or 0.0) / most.flops_per_second
    of_bytes = (moved or 0.0) / most.bytes_per_second
    if max(of_flops, of_bytes) < _FAR:
        return _many_short(row) or "far from both ceilings"
    if of_bytes > 1:
        return "served by caches"
    return "memory-bound" if of_bytes > of_flops else "compute-bound"


def _many_short(row: Row) -> str:
    each = row.self_seconds / max(1, row.calls)
    if each >= _SHORT_CALL_SECONDS:
        return ""
    return f"{row.calls:,} calls of {each * 1e6:.0f} µs, where calling costs as much as working"


def _of_most(rate: float, ceiling: float) -> str:
    digits = 0 if rate >= 9.5e9 else 1 if rate >= 0.95e9 else 3
    return f"{rate / 1e9:.{digits}f} of {ceiling / 1e9:.0f}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / max(whole, 1e-9):.0f} %"


def stack_sentences(sampled: Sampled) -> list[str]:
    """Return the functions that were on top of the stacks most often."""
    total = max(1, sampled.samples)
    return [
        f"{_percent(own, total)} of the samples in {name}"
        for name, own, _ in hottest(sampled.stacks)[:SHOWN]
        if own >= _LEAST_SHARE * total
    ]
