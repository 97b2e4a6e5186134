"""Lists of large catalogues, by tiles and by sparse sums, are those made from all scores."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import scoring, tiled
from pipeline.errors import ArtifactError
from pipeline.scoring import ItemItemScorer, Ranking, VectorScorer

QUICK = settings(deadline=None, max_examples=80)


@st.composite
def rankings(draw, users=9):
    """Return a ranking with hidden items, some candidates alone or all, and any length."""
    items = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    masked = sp.csr_matrix(
        (rng.random((users, items)) < draw(st.sampled_from([0, 0.2, 0.9]))) * 1.0
    )
    allowed = draw(st.sampled_from([None, 0.3, 0.0]))
    candidates = None if allowed is None else rng.random(items) < allowed
    return Ranking(masked, draw(st.integers(1, 70)), candidates, seed=3), rng


def of(ranking, scorer, users, *, large, monkeypatch):
    monkeypatch.setattr(scoring, "LARGE", 0 if large else 1 << 30)
    parts = [*ranking.lists(scorer, users)]
    return [np.concatenate([part[i] for part in parts]) for i in range(3)]


def same(ranking, scorer, tile=7):
    users = np.array([3, 0, 8, 5])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tiled, "TILE", tile)
        found = of(ranking, scorer, users, large=True, monkeypatch=patched)
        wanted = of(ranking, scorer, users, large=False, monkeypatch=patched)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@QUICK
@given(rankings(), st.sampled_from([1, 7, 64]))
def test_tiles_give_the_lists_of_all_scores(drawn, tile):
    """Small whole numbers, so that sums are exact and ties are many."""
    ranking, rng = drawn
    width = ranking.masked.shape[1]
    users = rng.integers(-2, 3, (9, 3)).astype(np.float32)
    same(ranking, VectorScorer(users, rng.integers(-2, 3, (width, 3)).astype(np.float32)), tile)


@QUICK
@given(rankings(), st.sampled_from([5, 16]), st.sampled_from([0, 0.9]), st.integers(1, 60))
def test_bounds_from_the_first_axes_pass_over_nothing(drawn, tile, likeness, strong):
    """Vectors that 8 of 24 axes nearly hold, whole numbers, axes in any order.

    With ``likeness`` most scores are close to the best, and with few ``strong`` items one is far.
    """
    ranking, rng = drawn
    width = ranking.masked.shape[1]
    spread = np.where(np.arange(24) < 6, 9, 1)
    items = np.rint(rng.normal(size=(width, 24)) * spread + likeness * 20)
    items[:: max(1, strong)] *= 3
    users = np.rint(rng.normal(size=(9, 24)) * spread + likeness * 5)
    turn = rng.permutation(24)
    scorer = VectorScorer(users[:, turn].astype(np.float32), items[:, turn].astype(np.float32))
    same(ranking, scorer, tile)


@QUICK
@given(rankings(), st.sampled_from([0.05, 0.5]))
def test_sparse_sums_give_the_lists_of_all_scores(drawn, density):
    ranking, rng = drawn
    width = ranking.masked.shape[1]
    taken = sp.csr_matrix((rng.random((9, width)) < 0.2).astype(np.float32))
    weights = rng.integers(-1, 3, (width, width)) * (rng.random((width, width)) < density)
    same(ranking, ItemItemScorer(taken, sp.csr_matrix(weights.astype(np.float32))))


@pytest.mark.parametrize("kind", ["vectors", "sums"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_has_no_order(kind, wrong, monkeypatch):
    ranking = Ranking(sp.csr_matrix((9, 12)), 3)
    items = np.ones((12, 2), dtype=np.float32)
    items[5, 0] = wrong
    weights = sp.csr_matrix(np.where(np.arange(12) == 5, np.float32(wrong), np.float32(1)))
    weights = sp.csr_matrix(sp.vstack([weights] * 12))
    scorer = {
        "vectors": VectorScorer(np.ones((9, 2), np.float32), items),
        "sums": ItemItemScorer(sp.csr_matrix(np.ones((9, 12), np.float32)), weights),
    }[kind]
    with pytest.raises(ArtifactError, match="NaN or infinity"):
        of(ranking, scorer, np.arange(9), large=True, monkeypatch=monkeypatch)
