"""Metric definitions, with the arithmetic in view."""

from collections.abc import Sequence
from math import log2

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.errors import ConfigError
from pipeline.evaluate.metrics import (
    KERNELS,
    Metric,
    evaluate_users,
    hits_of,
    rank_metrics,
    validate,
)
from pipeline.scoring import Ranking, VectorScorer


def value(hits: Sequence[int], n_relevant: int, spelling: str) -> float:
    metric = Metric.parse(spelling)
    found = rank_metrics(np.array([hits], dtype=bool), np.array([n_relevant]), [metric])
    return float(found[spelling][0])


class TestGoldenVector:
    """Field notes 4.4: five relevant items, one hit at rank 1, K = 10."""

    hits = (1, *[0] * 9)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, 6))  # five hits fit into ten places

    @pytest.mark.parametrize(
        ("spelling", "expected"),
        [
            ("recall@10", 1 / 5),
            ("precision@10", 1 / 10),
            ("ndcg@10", 1 / ideal),  # the hit at rank 1 gains 1 / log2(2) = 1
            ("map@10", 1 / 5),  # precision 1/1 at the hit, over min(10, 5)
            ("mrr@10", 1.0),
            ("hit@10", 1.0),
        ],
    )
    def test_value(self, spelling, expected):
        assert value(self.hits, 5, spelling) == pytest.approx(expected, abs=1e-12)

    def test_ndcg_is_neither_of_the_other_two_meanings(self):
        ndcg = value(self.hits, 5, "ndcg@10")
        assert ndcg == pytest.approx(0.3392, abs=5e-5)
        over_all_k = 1 / sum(1 / log2(rank + 1) for rank in range(1, 11))
        assert over_all_k == pytest.approx(0.2201, abs=5e-5)
        assert abs(ndcg - over_all_k) > 0.1
        assert abs(ndcg - 1.0) > 0.1  # the ideal over its own hits


class TestByHand:
    """Hits at ranks 2 and 4 of five; three relevant items."""

    hits = (0, 1, 0, 1, 0)

    @pytest.mark.parametrize(
        ("spelling", "expected"),
        [
            ("recall@5", 2 / 3),
            ("recall@3", 1 / 3),
            ("precision@5", 2 / 5),
            ("precision@4", 2 / 4),
            ("map@5", (1 / 2 + 2 / 4) / 3),
            ("map@2", (1 / 2) / 2),
            ("mrr@5", 1 / 2),
            ("mrr@1", 0.0),
            ("hit@1", 0.0),
            ("hit@2", 1.0),
            ("ndcg@5", (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / 2)),
            ("ndcg@2", (1 / log2(3)) / (1 + 1 / log2(3))),
        ],
    )
    def test_value(self, spelling, expected):
        assert value(self.hits, 3, spelling) == pytest.approx(expected, abs=1e-12)

    def test_a_list_shorter_than_k_ends_in_misses(self):
        for name in KERNELS:
            padded = [*self.hits, *[0] * 15]
            assert value(self.hits, 3, f"{name}@20") == value(padded, 3, f"{name}@20")
        assert value(self.hits, 3, "precision@20") == 2 / 20


def test_no_hit_is_zero_everywhere():
    for name in KERNELS:
        assert value([0] * 10, 4, f"{name}@10") == 0.0


def test_a_user_without_relevant_items_is_refused():
    with pytest.raises(ValueError, match="without a relevant item"):
        rank_metrics(np.zeros((2, 5), dtype=bool), np.array([1, 0]), [Metric("recall", 5)])


class TestSpelling:
    def test_canonical(self):
        assert str(Metric.parse(" NDCG @ 10 ")) == "ndcg@10"
        assert Metric.parse("recall@20") == Metric("recall", 20)

    @pytest.mark.parametrize(
        "wrong", ["ndgc@10", "ndcg", "ndcg@0", "ndcg@-1", "ndcg@ten", "", "@5"]
    )
    def test_wrong(self, wrong):
        with pytest.raises(ConfigError, match="is not known"):
            Metric.parse(wrong)

    def test_the_error_names_the_closest(self):
        with pytest.raises(ConfigError, match=r"did you mean 'ndcg'\?"):
            Metric.parse("ndgc@10")


class TestHits:
    relevant = sp.csr_matrix(np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]))

    def test_each_user_has_its_own_items(self):
        items = np.array([[1, 0, 3], [1, 0, 3]])
        found = hits_of(items, np.array([0, 1]), self.relevant)
        assert found.tolist() == [[True, False, True], [False, True, False]]

    def test_an_ended_list_hits_nothing(self):
        """Row 1's place -1 is row 0's last item, which is relevant there, in flat numbering."""
        found = hits_of(np.array([[1, -1], [-1, -1]]), np.array([0, 1]), self.relevant)
        assert found.tolist() == [[True, False], [False, False]]

    def test_users_in_any_order(self):
        found = hits_of(np.array([[0], [3]]), np.array([1, 0]), self.relevant)
        assert found.tolist() == [[True], [True]]

    def test_nobody_has_anything(self):
        assert not hits_of(np.array([[0, 1]]), np.array([2]), self.relevant).any()


def test_masked_items_leave_room_for_the_next():
    scorer = VectorScorer(np.ones((1, 1), np.float32), np.array([[3.0], [2.0], [1.0]], np.float32))
    train, held_out = sp.csr_matrix([[1, 0, 0]]), sp.csr_matrix([[0, 1, 0]])
    wanted = [Metric("recall", 1)]
    users = np.array([0])
    assert evaluate_users(scorer, users, held_out, Ranking(train, 1), wanted)["recall@1"] == [1.0]
    unmasked = Ranking(sp.csr_matrix((1, 3)), 1)
    assert evaluate_users(scorer, users, held_out, unmasked, wanted)["recall@1"] == [0.0]


def test_validation_averages_over_users_with_both_kinds():
    """User 1 has no training, user 2 nothing held out; of users 0 and 3 one is served well."""
    train = sp.csr_matrix([[1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]])
    held_out = sp.csr_matrix([[0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]])
    scorer = VectorScorer(np.ones((4, 1), np.float32), np.array([[3.0], [2.0], [1.0]], np.float32))
    assert validate(scorer, train, held_out, [Metric("hit", 1)]) == {"hit@1": 0.5}


def test_validation_without_users_is_zero():
    empty = sp.csr_matrix((2, 3))
    scorer = VectorScorer(np.ones((2, 1), np.float32), np.ones((3, 1), np.float32))
    assert validate(scorer, empty, empty, [Metric("recall", 2)]) == {"recall@2": 0.0}
