"""Have data changed? Two samples of each feature beside each other, corrected for their number.

Numbers: Kolmogorov and Smirnov's test, and the population stability index (PSI) over tenths of the
reference. Categories: a chi-squared test, and the PSI over them. Vectors: the energy distance
(Székely and Rizzo 2004) by permutation; it is the kernel test (MMD) whose kernel is the distance
(Sejdinovic et al. 2013), sees every difference that has a finite mean, and has no width to choose.

Of large samples any difference is sure, so drift is what is both sure (p after Holm) and large
(PSI, or the energy distance as a share of what it can be).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.measure.errors import MeasureError
from pipeline.measure.stats.corrections import holm

Floats = npt.NDArray[np.floating]
Test = Literal["ks", "chi2", "energy"]

ALPHA = 0.05
"""Chance that any feature of unchanged data is called drifted."""
_BINS = 10
_LEAST_COUNT = 0.5
"""Counted in an empty bin, whose share would make the PSI endless."""
_VECTORS = 1000
"""Of each sample, drawn at random: the test looks at all their pairs."""
_RESAMPLES = 999


@dataclass(frozen=True)
class Limits:
    """How large a sure difference must be to be called drift."""

    psi: float = 0.1
    """Usual in credit scoring: below .1 nothing happened, above .25 much did (Siddiqi 2006)."""
    energy: float = 0.02
    """Of the energy distance over twice the mean distance between the samples: 0 to 1."""


@dataclass(frozen=True)
class Drift:
    """One feature in two samples."""

    feature: str
    test: Test
    statistic: float
    size: float
    """PSI; for vectors the energy distance as a share of what it can be."""
    p: float
    p_holm: float
    drifted: bool
    n_reference: int
    n_current: int

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def psi(reference: Floats, current: Floats) -> float:
    """Return the population stability index of counts in the same bins.

    Shapes:
        reference, current: (N bins,) counts.
    """
    shares = []
    for counts in (reference, current):
        filled = np.maximum(counts.astype(np.float64), _LEAST_COUNT)
        shares.append(filled / filled.sum())
    before, now = shares
    return float(((now - before) * np.log(now / before)).sum())


def binned(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Return the counts of both samples in tenths of the reference; equal values stay together.

    Shapes:
        reference, current: (N,), (M,). returns: two of (bins,).
    """
    edges = np.unique(np.quantile(reference, np.arange(1, _BINS) / _BINS, method="lower"))
    places = (np.searchsorted(edges, values, side="left") for values in (reference, current))
    before, now = (np.bincount(each, minlength=len(edges) + 1) for each in places)
    return before.astype(np.float64), now.astype(np.float64)


def of_numbers(feature: str, reference: Floats, current: Floats) -> Drift:
    """Return how a number drifted; values that are not finite are left out.

    Shapes:
        reference, current: (N,), (M,).

    Raises:
        MeasureError: a side has no finite value.
    """
    from scipy import stats

    before, now = (side[np.isfinite(side)] for side in (reference, current))
    _must_have(feature, len(before), len(now))
    found = stats.ks_2samp(before, now, method="asymp" if len(before) > 10_000 else "auto")
    size = psi(*binned(before, now))
    return _drift(feature, "ks", (float(found.statistic), size, float(found.pvalue)), before, now)


def of_categories(feature: str, reference: Mapping[str, int], current: Mapping[str, int]) -> Drift:
    """Return how the shares of categories drifted, given their counts.

    Raises:
        MeasureError: a side counts nothing.
    """
    from scipy import stats

    names = sorted({*reference} | {*current})
    before, now = (
        np.array([side.get(name, 0) for name in names], dtype=float)
        for side in (reference, current)
    )
    _must_have(feature, int(before.sum()), int(now.sum()))
    there = before + now > 0
    statistic, p = 0.0, 1.0
    if there.sum() > 1:
        found = stats.chi2_contingency(np.stack([before, now])[:, there], correction=False)
        statistic, p = float(found.statistic), float(found.pvalue)
    drift = _drift(feature, "chi2", (statistic, psi(before, now), p), before, now)
    return replace(drift, n_reference=int(before.sum()), n_current=int(now.sum()))


def of_vectors(feature: str, reference: Floats, current: Floats, seed: int = 0) -> Drift:
    """Return how vectors drifted, by the energy distance of 1,000 of each.

    Shapes:
        reference, current: (N, D), (M, D).

    Raises:
        MeasureError: a side is empty, or their widths differ.
    """
    _must_have(feature, len(reference), len(current))
    if reference.shape[1] != current.shape[1]:
        raise MeasureError(
            f"{feature}: vectors of {reference.shape[1]} and {current.shape[1]} numbers are of "
            f"two encoders and cannot be compared"
        )
    rng = np.random.default_rng(seed)
    sides = [_some(side, rng) for side in (reference, current)]
    apart = _distances(np.concatenate(sides))
    weights = np.repeat([1 / len(sides[0]), -1 / len(sides[1])], [len(side) for side in sides])
    energy = _energy(weights[None], apart)[0]
    shuffled = rng.permuted(np.tile(weights, (_RESAMPLES, 1)), axis=1)
    p = float((1 + (_energy(shuffled, apart) >= energy - 1e-12).sum()) / (_RESAMPLES + 1))
    most = 2 * float(apart[: len(sides[0]), len(sides[0]) :].mean())
    size = float(energy) / most if most else 0.0
    return _drift(feature, "energy", (float(energy), max(0.0, size), p), reference, current)


def _some(vectors: Floats, rng: np.random.Generator) -> Floats:
    chosen = rng.choice(len(vectors), min(_VECTORS, len(vectors)), replace=False)
    return np.asarray(vectors[np.sort(chosen)], dtype=np.float64)


def _distances(vectors: Floats) -> Floats:
    """Return the distances between all pairs.

    Shapes:
        vectors: (N, D). returns: (N, N).
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    both = squares[:, None] + squares - 2 * vectors @ vectors.T
    np.fill_diagonal(both, 0.0)
    return np.asarray(np.sqrt(np.maximum(both, 0.0)))


def _energy(weights: Floats, apart: Floats) -> Floats:
    """Return the energy distance for each division of the vectors into two samples.

    Shapes:
        weights: (R, N), 1/n for one sample, -1/m for the other. apart: (N, N). returns: (R,).
    """
    return np.asarray(-np.einsum("rn,rn->r", weights @ apart, weights))


def judged(found: Sequence[Drift], limits: Limits | None = None) -> list[Drift]:
    """Return the features with p corrected for their number, and whether each drifted."""
    limit = limits or Limits()
    corrected = holm(np.array([each.p for each in found]))
    return [
        replace(
            each,
            p_holm=float(p),
            drifted=bool(p < ALPHA)
            and each.size >= (limit.energy if each.test == "energy" else limit.psi),
        )
        for each, p in zip(found, corrected, strict=True)
    ]


def _drift(
    feature: str, test: Test, found: tuple[float, float, float], before: Floats, now: Floats
) -> Drift:
    statistic, size, p = found
    return Drift(feature, test, statistic, size, p, p, False, len(before), len(now))


def _must_have(feature: str, before: int, now: int) -> None:
    if not before or not now:
        raise MeasureError(
            f"{feature}: {before} values in the reference and {now} now; both need some"
        )
