"""Sums under random weights of very many users, at the speed of a matrix product.

A bootstrap resample of n users is a vector of multinomial counts; a random sign flip is a vector of
bits. Both are made a block of resamples and a part of the users at a time, as bytes, and
multiplied with the values; nothing of the size of all resamples by all users is ever held.

Multinomial counts without drawing user by user: independent Poisson counts given their sum are
multinomial (Feller 1968, IX.9). So each user gets a Poisson(λ) count with λ a little below 1; their
sum N falls short of n, and the n - N draws that lack are made one by one. Given N the first part is
multinomial of N draws, the second of n - N independent ones: together exactly n independent uniform
draws, whatever N was. Where N exceeds n (once in 740) that resample is drawn user by user. This is
the plain bootstrap in distribution, not an approximation to it as the Poisson bootstrap
(Chamandy et al. 2012) or the bag of little bootstraps (Kleiner et al. 2014) are.

A Poisson count costs one random byte: of the 256 codes floor(256 p_k) stand for count k, and the
few that are left over draw from what rounding left out, in double precision.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import sched_getaffinity

import numpy as np
import numpy.typing as npt

from pipeline.measure.stats.draws import Draws, Floats

Bytes = npt.NDArray[np.uint8]
Weigh = Callable[[np.random.Generator, tuple[int, int]], Bytes]
"""Generator and (H resamples, C users) to weights of that shape; C is a multiple of 64."""

_SHORT_BY = 3.0
"""Standard deviations by which the sum of the Poisson counts is meant to fall short: more would
draw more users one by one, less would draw whole resamples so more often."""
_LEAST_RATE = 0.1
"""For a handful of users, of whom no rate would do."""
_TALL, _WIDE = 128, 4096
"""Resamples and users of one product: half a megabyte of weights, which stay in the cache."""
_CODES = 256
_MOST = 24
"""Counts above this have a chance below 1e-24."""


class PoissonBytes:
    """Draws Poisson counts, one random byte each."""

    def __init__(self, rate: float) -> None:
        """Share the 256 codes out; ``rate`` is at most 1."""
        counts = np.arange(_MOST)
        factorials = np.cumprod(np.maximum(1.0, counts))
        chances = np.exp(-rate) * rate**counts / factorials
        whole = np.floor(_CODES * chances)
        edges = np.cumsum(whole)
        self._edges = [np.uint8(e) for e in np.unique(edges[:-1][whole[1:] > 0])]
        self._rest = int(edges[-1])
        left = _CODES * chances - whole
        self._left = np.cumsum(left / left.sum())

    def __call__(self, rng: np.random.Generator, shape: tuple[int, int]) -> Bytes:
        """Return counts.

        Shapes:
            returns: ``shape``, whose size is a multiple of 64.
        """
        codes = _random_bytes(rng, shape[0] * shape[1])
        counts = np.zeros(len(codes), np.uint8)
        for edge in self._edges:
            counts += (codes >= edge).view(np.uint8)
        rare = np.flatnonzero(codes >= self._rest)
        drawn = np.searchsorted(self._left, rng.random(len(rare)), side="right")
        counts[rare] = np.minimum(drawn, _MOST - 1)
        return counts.reshape(shape)


def coins(rng: np.random.Generator, shape: tuple[int, int]) -> Bytes:
    """Return zeros and ones of equal chance.

    Shapes:
        returns: ``shape``, whose size is a multiple of 64.
    """
    return np.unpackbits(_random_bytes(rng, shape[0] * shape[1] // 8)).reshape(shape)


def _random_bytes(rng: np.random.Generator, count: int) -> Bytes:
    words = rng.integers(0, 2**64 - 1, size=count // 8, dtype=np.uint64, endpoint=True)
    return words.view(np.uint8)


def multinomial_sums(values: Floats, draws: Draws) -> Floats:
    """Return the column sums of bootstrap samples of the rows.

    Shapes:
        values: (B users, M metrics), best centred. returns: (R resamples, M).
    """
    n = len(values)
    rate = max(_LEAST_RATE, 1.0 - _SHORT_BY / np.sqrt(n))
    with_count = np.hstack([values, np.ones((n, 1))]).astype(np.float32)
    weigh = PoissonBytes(rate)

    def block(at: int, rows: int) -> Floats:
        rng = _stream(draws, at)
        sums = _weighted_sums(with_count, rows, weigh, rng)
        for row in sums:
            _complete(row, with_count, rng)
        return sums[:, :-1]

    return _all_blocks(draws, block)


def _complete(row: Floats, with_count: Floats, rng: np.random.Generator) -> None:
    """Add the draws that lack in a resample, or draw all of it where it has too many."""
    n = len(with_count)
    lacking = n - round(float(row[-1]))
    if lacking < 0:
        row[:] = 0.0
        lacking = n
    drawn = with_count[rng.integers(n, size=lacking)]
    row += drawn.sum(axis=0, dtype=np.float64)


def coin_sums(values: Floats, draws: Draws) -> Floats:
    """Return the column sums over a random half of the rows, each row in or out by a coin.

    Shapes:
        values: (B, M). returns: (R, M).
    """
    narrow = values.astype(np.float32)
    return _all_blocks(
        draws, lambda at, rows: _weighted_sums(narrow, rows, coins, _stream(draws, at))
    )


def _weighted_sums(values: Floats, rows: int, weigh: Weigh, rng: np.random.Generator) -> Floats:
    """Return the sums of ``rows`` resamples: single precision in parts, double over them."""
    sums = np.zeros((rows, values.shape[1]))
    for start in range(0, len(values), _WIDE):
        part = values[start : start + _WIDE]
        weights = weigh(rng, (_TALL, _rounded_up(len(part))))[:rows, : len(part)]
        sums += weights.astype(np.float32) @ part
    return sums


def _rounded_up(count: int) -> int:
    return -(-count // 64) * 64


def _stream(draws: Draws, at: int) -> np.random.Generator:
    """Return the generator of a block: its own, so that blocks may be made in any order."""
    seeds = np.random.SeedSequence(draws.seed, spawn_key=(at,))
    return np.random.Generator(np.random.SFC64(seeds))


def _all_blocks(draws: Draws, block: Callable[[int, int], Floats]) -> Floats:
    """Return every block's sums in order; a thread a core, which changes no number."""
    jobs = [*_blocks(draws.resamples)]
    with _threads() as count, ThreadPoolExecutor(count) as pool:
        return np.concatenate([*pool.map(lambda job: block(*job), jobs)])


@contextmanager
def _threads() -> Iterator[int]:
    """Yield how many threads to use, with products on one each: they would wait for each other."""
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        yield 1
        return
    with threadpool_limits(1):
        yield len(sched_getaffinity(0))


def _blocks(resamples: int) -> Iterator[tuple[int, int]]:
    for at, start in enumerate(range(0, resamples, _TALL)):
        yield at, min(_TALL, resamples - start)
