"""Scorers and the lists made from them."""

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline import files, scoring
from pipeline.artifacts import Store
from pipeline.errors import ArtifactError
from pipeline.ids import UNKNOWN
from pipeline.scoring import ItemItemScorer, Ranking, VectorScorer, blocks, open_scorer
from tests import worlds

NOTHING = sp.csr_matrix((5, 8))


class Fixed:
    def __init__(self, matrix):
        self.matrix = np.asarray(matrix, dtype=np.float32)
        self.asked: list[int] = []

    def scores(self, users):
        self.asked.append(len(users))
        return self.matrix[users]


def lists(ranking, scorer, users):
    parts = [*ranking.lists(scorer, np.asarray(users))]
    return tuple(np.concatenate([part[i] for part in parts]) for i in range(3))


def random_scores(rows=5, columns=8):
    return Fixed(np.random.default_rng(0).normal(size=(rows, columns)))


class TestLists:
    def test_best_first(self):
        scorer = random_scores()
        users, items, scores = lists(Ranking(NOTHING, 3), scorer, [4, 1])
        assert users.tolist() == [4, 1]
        assert items.tolist() == np.argsort(-scorer.matrix[[4, 1]], axis=1)[:, :3].tolist()
        assert (np.diff(scores, axis=1) < 0).all()

    def test_masked_items_never_stand_in_a_list(self):
        masked = sp.csr_matrix(np.eye(5, 8))
        _, items, _ = lists(Ranking(masked, 7), random_scores(), range(5))
        assert (items != np.arange(5)[:, None]).all()

    def test_only_candidates_stand_in_a_list(self):
        candidates = np.arange(8) % 2 == 0
        _, items, _ = lists(Ranking(NOTHING, 4, candidates), random_scores(), range(5))
        assert [sorted(row) for row in items.tolist()] == [[0, 2, 4, 6]] * 5

    def test_a_list_that_runs_out_ends_in_unknown(self):
        masked = sp.csr_matrix([[1] * 6 + [0, 0], *[[0] * 8] * 4])
        _, items, scores = lists(Ranking(masked, 8), random_scores(), [0, 1])
        assert (items[0, 2:] == UNKNOWN).all() and np.isneginf(scores[0, 2:]).all()
        assert sorted(items[0, :2]) == [6, 7]
        assert sorted(items[1]) == [*range(8)]

    def test_k_beyond_the_catalogue_is_cut(self):
        _, items, _ = lists(Ranking(NOTHING, 100), random_scores(), [0])
        assert items.shape == (1, 8)

    def test_nobody_asked_gives_nothing(self):
        assert [*Ranking(NOTHING, 3).lists(random_scores(), np.array([], dtype=int))] == []

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_a_score_that_is_not_finite_is_refused(self, bad):
        scorer = random_scores()
        scorer.matrix[2, 3] = bad
        with pytest.raises(ArtifactError, match="NaN or infinity"):
            lists(Ranking(NOTHING, 3), scorer, range(5))

    def test_many_blocks_give_what_one_block_gives(self, monkeypatch):
        """Few levels: ties must not depend on where a block begins."""
        rng = np.random.default_rng(1)
        levels = rng.integers(3, size=(40, 30))
        masked = sp.csr_matrix(rng.random((40, 30)) < 0.2)
        ranking = Ranking(masked, 6, rng.random(30) < 0.7, seed=4)
        one = lists(ranking, whole := Fixed(levels), range(40))
        original = scoring.blocks
        monkeypatch.setattr(scoring, "blocks", lambda users, items: original(users, 1 << 26, 7))
        many = lists(ranking, parts := Fixed(levels), range(40))
        assert whole.asked == [40] and parts.asked == [1] * 40
        for a, b in zip(one, many, strict=True):
            np.testing.assert_array_equal(a, b)


class TestTies:
    def test_same_seed_same_order_other_seed_other_order(self):
        constant = Fixed(np.zeros((5, 8)))
        first, again, other = (
            lists(Ranking(NOTHING, 8, seed=seed), constant, range(5))[1] for seed in (1, 1, 2)
        )
        assert (first == again).all() and (first != other).any()

    def test_each_user_begins_elsewhere_in_the_permutation(self):
        constant = Fixed(np.zeros((500, 8)))
        _, items, _ = lists(Ranking(sp.csr_matrix((500, 8)), 1), constant, range(500))
        counts = np.bincount(items[:, 0], minlength=8)
        assert counts.min() > 500 / 8 / 2

    def test_a_users_list_does_not_depend_on_who_else_is_asked(self):
        constant, ranking = Fixed(np.zeros((5, 8))), Ranking(NOTHING, 8)
        alone = lists(ranking, constant, [3])[1][0]
        among = lists(ranking, constant, range(5))[1][3]
        assert alone.tolist() == among.tolist()


class TestBlocks:
    @pytest.mark.parametrize("items", [0, 1, 100, 1 << 16, 1 << 22, 1 << 28])
    def test_cover_all_users_in_order(self, items):
        users = np.arange(1000)
        assert np.concatenate([*blocks(users, items)]).tolist() == users.tolist()

    @pytest.mark.parametrize("items", [7_050, 63_001, 498_196, 5_000_000])
    def test_memory_is_bounded(self, items):
        largest = max(len(block) for block in blocks(np.arange(2_000), items))
        assert largest * items * 4 <= 256 << 20

    def test_a_large_catalogue_still_gets_many_users_at_once(self):
        assert len(next(blocks(np.arange(1000), 498_196))) == 64


class TestScorers:
    def test_item_item_sums_over_the_basket(self):
        user_item = sp.csr_matrix([[1, 1, 0], [0, 0, 0]], dtype=np.float32)
        weights = sp.csr_matrix([[0, 2, 3], [4, 0, 5], [6, 7, 0]], dtype=np.float32)
        found = ItemItemScorer(user_item, weights).scores(np.array([0, 1]))
        assert found.tolist() == [[4, 2, 8], [0, 0, 0]]
        assert found.dtype == np.float32

    def test_vectors_may_be_mapped_read_only(self, tmp_path):
        world = worlds.planted()
        model = worlds.model(Store(tmp_path), world)
        scorer = open_scorer(model, world.matrix())
        scores = scorer.scores(np.array([0, 5]))
        scores[0, 0] = -1  # the array is fresh, so writing to it is fine
        assert isinstance(scorer, VectorScorer) and scores.shape == (2, world.n_items)

    def test_an_item_item_model_opens(self, tmp_path):
        world = worlds.planted()
        train = world.matrix()

        def write(into):
            files.write_matrix(into / "item_item.npz", sp.csr_matrix(train.T @ train))

        model = worlds.publish(Store(tmp_path), "model", "abc", write)
        assert isinstance(open_scorer(model, train), ItemItemScorer)

    def test_a_model_of_other_tables_is_refused(self, tmp_path):
        model = worlds.model(Store(tmp_path), worlds.planted())
        with pytest.raises(ArtifactError, match="80 users and 64 items; the tables hold 80 and 65"):
            open_scorer(model, sp.csr_matrix((80, 65)))

    def test_a_model_that_scores_nothing_is_refused(self, tmp_path):
        model = worlds.publish(Store(tmp_path), "model", "abc", lambda into: None)
        with pytest.raises(ArtifactError, match="neither vectors nor item-item"):
            open_scorer(model, sp.csr_matrix((3, 3)))
