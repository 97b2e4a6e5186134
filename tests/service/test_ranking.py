"""The second stage in the service: what the evaluation measured is what is served."""

import numpy as np
import pytest

from pipeline import interactions
from pipeline.artifacts import Store
from pipeline.errors import ArtifactError
from pipeline.ids import UNKNOWN
from pipeline.ranking import RankedScorer
from pipeline.scoring import Ranking
from serving.asker import look_up
from serving.bundle import Bundle
from serving.live.overlay import Added, Overlay
from serving.live.view import LiveBundle
from serving.messages import RecommendRequest
from serving.recommender import Recommender
from tests import ranking_worlds, worlds
from tests.artifacts.whole_runs import replaced

USERS = 79


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def given(store, tmp_path_factory):
    """Everything of a run whose ranker learned from validation, and whose users are as trained.

    The ranker asks another model, too.
    """
    world = worlds.planted()
    whole = ranking_worlds.inputs(store, world)
    asked = {**whole, "model:mf": ranking_worlds.another(store, world)}
    ranker = ranking_worlds.ranker(store, asked, others=["mf"])
    as_trained = Store(tmp_path_factory.mktemp("trained"))
    tables = worlds.tables(as_trained, ranking_worlds.trained_only(world))
    return {**whole, "tables": tables, "ranker": ranker}


@pytest.fixture(scope="module")
def bundle(store, given):
    return Bundle.of(ranking_worlds.bundle(store, given))


@pytest.fixture(scope="module")
def recommender(bundle):
    return Recommender(bundle)


@pytest.fixture(scope="module")
def alone(store, given):
    """The same bundle without a second stage."""
    vectors = {name: each for name, each in given.items() if name != "ranker"}
    return Recommender(Bundle.of(ranking_worlds.bundle(store, vectors, "a10e")))


@pytest.fixture(scope="module")
def evaluated(given):
    """Return the lists, of any length, that the evaluation would score."""
    train = interactions.user_item(given["tables"])
    scorer = RankedScorer.opened(given["ranker"], given["model"], train)

    def lists(k):
        blocks = Ranking(train, k).lists(scorer, np.arange(USERS))
        return np.concatenate([items for _, items, _ in blocks])

    return lists


def ask(recommender, **request):
    return recommender.recommend(RecommendRequest(**request))


def rows(answer):
    return [int(item.id[1:]) for item in answer.items]


def listed(row):
    return row[row != UNKNOWN].tolist()


def test_the_service_shows_the_lists_that_were_evaluated(recommender, evaluated):
    for user, row in enumerate(evaluated(10)):
        assert rows(ask(recommender, user=f"u{user}", k=10)) == listed(row), user


def test_they_are_not_those_of_the_vectors_alone(recommender, alone):
    assert alone.bundle.second_stage is None
    asked = [{"user": f"u{user}", "k": 10} for user in range(USERS)]
    differ = [rows(ask(recommender, **a)) != rows(ask(alone, **a)) for a in asked]
    assert np.mean(differ) > 0.5


def test_a_list_longer_than_the_candidates_goes_on_with_the_vectors(recommender, evaluated):
    """Candidates are 12 from each source; the list has the whole catalogue."""
    candidates_first = evaluated(12)
    for user, row in enumerate(evaluated(64)[:20]):
        answer = ask(recommender, user=f"u{user}", k=64)
        assert rows(answer)[:12] == listed(candidates_first[user])
        assert sorted(rows(answer)) == sorted(listed(row))
        scores = np.array([item.score for item in answer.items])
        others = scores < -1000
        assert 12 <= (~others).sum() <= 24 and (np.diff(others.astype(int)) >= 0).all()
        assert (np.diff(scores) <= 1e-2).all()


@pytest.mark.parametrize("size", [3, 10, 12])
def test_pages_are_parts_of_one_list(recommender, size):
    whole = rows(ask(recommender, user="u7", k=48))
    pages = [ask(recommender, user="u7", k=size, offset=at) for at in range(0, 48, size)]
    assert [row for page in pages for row in rows(page)][:48] == whole
    assert [item.rank for page in pages for item in page.items][:48] == [*range(1, 49)]


def test_another_model_sees_a_stranger_by_its_own_fold_in(recommender, bundle):
    """The stranger has what a known user has: nothing is new, so only the rows differ."""
    space = bundle.second_stage.evidence.others["mf"]
    history = bundle.seen_by(4)
    stranger = look_up(bundle, RecommendRequest(history=[f"i{row}" for row in history]))
    known = look_up(bundle, RecommendRequest(user="u4", history=["i1"]))
    tastes = recommender._ranker._taste([stranger, known])
    folded = space.fold_in[history].sum(axis=0) / np.sqrt(len(history))
    np.testing.assert_allclose(tastes.others["mf"][0], folded, rtol=1e-5)
    count = len(history)
    whole = (space.user_vectors[4] * np.sqrt(count) + space.fold_in[1]) / np.sqrt(count + 1)
    np.testing.assert_allclose(tastes.others["mf"][1], whole, rtol=1e-5)


def test_a_batch_answers_as_single_requests_do(recommender):
    requests = [RecommendRequest(user=f"u{user}", k=8) for user in range(0, USERS + 1, 3)]
    requests += [RecommendRequest(history=["i8", "i12"], k=30), RecommendRequest(k=5)]
    for request, answer in zip(requests, recommender.recommend_many(requests), strict=True):
        alone = recommender.recommend(request)
        assert rows(answer) == rows(alone) and answer.strategy == alone.strategy
        scores = [[item.score for item in each.items] for each in (answer, alone)]
        np.testing.assert_allclose(*scores, rtol=1e-5, atol=1e-5)


def test_a_history_alone_finds_its_kind_and_leaves_itself_out(recommender):
    world = worlds.planted()
    answer = ask(recommender, history=["i8", "i12", "i16"], k=8)
    assert answer.strategy == "fold_in" and not {8, 12, 16} & {*rows(answer)}
    assert (world.item_cluster[rows(answer)] == 0).mean() > 0.8


def test_a_stranger_of_the_same_vector_and_history_gets_much_of_the_list(recommender, bundle):
    """All but the neighbours is the same; the vector is the fold-in of the history."""
    shared = []
    for user in range(20):
        has = [f"i{row}" for row in bundle.seen_by(user)]
        lists = (ask(recommender, user=f"u{user}", k=8), ask(recommender, history=has, k=8))
        shared.append(len({*rows(lists[0])} & {*rows(lists[1])}) / 8)
    assert np.mean(shared) > 0.5


def test_a_known_user_with_new_items_is_ranked_by_both(recommender, bundle):
    answer = ask(recommender, user="u0", history=["i1", "i5", "i9"], k=64)
    assert answer.strategy == "model+fold_in"
    assert not {1, 5, 9, *bundle.seen_by(0).tolist()} & {*rows(answer)}
    assert rows(answer)[:10] != rows(ask(recommender, user="u0", k=10))


def test_what_is_excluded_never_comes_and_the_rest_fills_the_list(recommender):
    first = rows(ask(recommender, user="u4", k=10))
    answer = ask(recommender, user="u4", k=10, exclude_ids=[f"i{row}" for row in first[:5]])
    assert len(answer.items) == 10 and not {*first[:5]} & {*rows(answer)}
    assert set(first[5:]) & {*rows(answer)}


def test_what_the_user_has_comes_only_where_it_is_asked_for(recommender, bundle):
    has = {*bundle.seen_by(4).tolist()}
    assert not has & {*rows(ask(recommender, user="u4", k=64))}
    answer = ask(recommender, user="u4", k=64, exclude_seen=False)
    assert has <= {*rows(answer)} and len(answer.items) == 64


def test_nothing_left_is_an_empty_list_with_its_reason(recommender):
    everything = [f"i{row}" for row in range(64)]
    answer = ask(recommender, user="u4", k=5, exclude_ids=everything)
    assert answer.items == [] and "64 items, 64 of them excluded" in answer.shortfall_reason


def test_without_anything_known_the_popular_items_come(recommender, alone):
    for request in ({"user": "u79"}, {"user": "nobody"}, {}):
        answers = [ask(each, k=10, **request) for each in (recommender, alone)]
        assert answers[0].strategy == "popular"
        assert rows(answers[0]) == rows(answers[1])


def test_reasons_are_told_as_before(recommender):
    answer = ask(recommender, user="u4", k=10, explain=True)
    assert all(item.reasons for item in answer.items)
    assert all(not item.reasons for item in ask(recommender, user="u4", explain=False).items)


def test_a_second_stage_that_does_not_fit_stops_the_bundle(store, given):
    artifact = ranking_worlds.bundle(store, given, "bad1")

    def other_names(settings):
        return {**settings, "features": ["smell", *settings["features"][1:]]}

    with pytest.raises(ArtifactError, match=r"second stage of bundle bad1: .*'smell'"):
        Bundle.of(replaced(artifact, "ranking.json", other_names))


def test_a_second_stage_of_another_model_is_not_bundled(store, given, tmp_path):
    manifest = {**given["ranker"].manifest, "inputs": {"tables": "7ab1e5", "model": "07e4"}}
    other = type(given["ranker"])(given["ranker"].path, manifest)
    with pytest.raises(ArtifactError, match="ranker 4a4ce4 was made from model 07e4, not from 30d"):
        ranking_worlds.bundle(store, {**given, "ranker": other}, "bad2")


class TestItemsThatItDoesNotKnow:
    """Items added while the service runs: the second stage ranks those of the bundle alone."""

    @pytest.fixture(scope="class")
    @classmethod
    def grown(cls, bundle):
        best = 3 * np.asarray(bundle.user_vectors[0])
        overlay = Overlay.empty(len(bundle.catalogue), len(best)).with_added(
            [
                (Added(key, {}, vector, vector, {}, {}, ""), UNKNOWN)
                for key, vector in (("best", best), ("worst", -best))
            ]
        )
        return LiveBundle.over(bundle, overlay.without("i7", 7), {})

    def test_they_stand_as_high_as_retrieved_and_the_others_keep_their_order(
        self, recommender, grown
    ):
        before = [item.id for item in ask(recommender, user="u0", k=60).items]
        found = ask(Recommender(grown), user="u0", k=60)
        after = [item.id for item in found.items]
        assert after[0] == "best"
        assert [key for key in after if key in before] == [key for key in before if key in after]
        assert "i7" not in after
        scores = [item.score for item in found.items]
        assert scores == sorted(scores, reverse=True)

    def test_they_take_no_candidates_place_so_that_scores_stay(self, recommender, bundle):
        best = 3 * np.asarray(bundle.user_vectors[0])
        many = [(Added(f"a{n}", {}, best, best, {}, {}, ""), UNKNOWN) for n in range(10)]
        overlay = Overlay.empty(len(bundle.catalogue), len(best)).with_added(many)
        after = ask(Recommender(LiveBundle.over(bundle, overlay, {})), user="u0", k=15)
        before = {item.id: item.score for item in ask(recommender, user="u0", k=15).items}
        shown = {item.id: item.score for item in after.items if item.id in before}
        assert len(shown) == 5
        assert shown == pytest.approx({key: before[key] for key in shown}, rel=1e-5)

    def test_pages_fit_each_other(self, grown):
        whole = [item.id for item in ask(Recommender(grown), user="u3", k=30).items]
        pages = [
            item.id
            for offset in (0, 10, 20)
            for item in ask(Recommender(grown), user="u3", k=10, offset=offset).items
        ]
        assert pages == whole

    def test_a_history_may_hold_them(self, grown):
        answer = ask(Recommender(grown), user="u0", history=["worst", "i1"], k=10)
        assert len(answer.items) == 10 and answer.strategy == "model+fold_in"
        alone = ask(Recommender(grown), history=["best"], k=10)
        assert len(alone.items) == 10 and alone.strategy == "fold_in"
