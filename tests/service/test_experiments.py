"""Two bundles at once: who meets which, how they compare, and when the challenger has to go."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pipeline.artifacts import Store
from pipeline.measure.stats.sequential import Tally
from serving.app import create_app, open_bundle
from serving.deployment.arms import asker_of, position
from serving.deployment.clicks import WITHIN_SECONDS, Clicks
from serving.deployment.guardrail import Margins, Outcome, Trial, judge
from serving.deployment.plan import Plan
from serving.deployment.shadow import overlap
from serving.deployment.start import deployed
from serving.requests import RecommendRequest
from serving.settings import Settings
from serving.telemetry.instruments import Instruments
from tests import worlds_bundle

FIRST, OTHER = worlds_bundle.FINGERPRINT, "c0ffee"


@pytest.fixture(scope="module")
def store(tmp_path_factory, parts):
    root = Store(tmp_path_factory.mktemp("store"))
    worlds_bundle.publish(root, parts)
    worlds_bundle.publish(root, worlds_bundle.parts(seed=5), OTHER, promote=False)
    return root


@pytest.fixture
def settings(store, tmp_path):
    return Settings(
        store=store.root, state=tmp_path, log_level="error", reload_seconds=60, queue_seconds=30,
        guard=Margins(requests=20),
    )  # fmt: skip


@pytest.fixture
def deployment(settings):
    with deployed(settings, open_bundle(settings), Instruments.of(settings)) as running:
        yield running


def asked(deployment, users=200, **more) -> list[str]:
    """Return which bundle answered each user."""
    requests = [RecommendRequest(user=f"u{user}", k=3, **more) for user in range(users)]
    return [
        deployment.service.recommend_many([one])[0]["bundle"]["fingerprint"] for one in requests
    ]


class TestAssignment:
    def test_a_share_of_users_meets_the_challenger_always_the_same(self, deployment):
        deployment.follow(Plan(challenger=OTHER, weight=0.3))
        met = asked(deployment)
        assert 0.2 < met.count(OTHER) / len(met) < 0.4
        assert asked(deployment, offset=1) == met
        text = deployment.desk.metrics.text().decode()
        assert f'arm_answers_total{{arm="challenger",outcome="full"}} {2.0 * met.count(OTHER)}' in (
            text
        )
        assert "plotpointe_challenger_weight 0.3" in text

    def test_a_batch_is_split_and_put_together_again(self, deployment):
        deployment.follow(Plan(challenger=OTHER, weight=0.5))
        requests = [RecommendRequest(user=f"u{user}", k=3) for user in range(40)]
        together = deployment.service.recommend_many(requests)
        alone = [deployment.service.recommend_many([one])[0] for one in requests]
        assert [a["items"] for a in together] == [a["items"] for a in alone]
        assert {a["bundle"]["fingerprint"] for a in together} == {FIRST, OTHER}

    def test_more_weight_moves_nobody_back(self, deployment):
        deployment.follow(Plan(challenger=OTHER, weight=0.2))
        few = asked(deployment)
        deployment.follow(Plan(challenger=OTHER, weight=0.6))
        many = asked(deployment)
        assert all(b == OTHER for a, b in zip(few, many, strict=True) if a == OTHER)

    @given(key=st.text(max_size=20), salt=st.text(max_size=40))
    def test_a_position_depends_on_key_and_salt_alone(self, key, salt):
        assert 0 <= position(salt, key) < 1
        assert position(salt, key) == position(salt, key)

    def test_positions_are_even_and_another_salt_shuffles(self):
        keys = [f"user {n}" for n in range(4000)]
        one, other = (np.array([position(salt, key) for key in keys]) for salt in ("a", "b"))
        assert np.abs(np.histogram(one, 10, (0, 1))[0] - 400).max() < 100
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.06

    def test_a_session_is_told_by_how_it_began(self):
        assert asker_of(RecommendRequest(history=["a", "b"])) == asker_of(
            RecommendRequest(history=["a"])
        )
        assert asker_of(RecommendRequest(user="a")) != asker_of(RecommendRequest(history=["a"]))

    def test_who_says_nothing_is_told_by_the_request(self):
        assert asker_of(RecommendRequest(k=3)) == asker_of(RecommendRequest(k=3))
        assert asker_of(RecommendRequest(k=3)) != asker_of(RecommendRequest(k=4))

    def test_the_promoted_bundle_is_no_challenger(self, deployment):
        deployment.follow(Plan(challenger=FIRST, weight=1.0, shadow=FIRST))
        assert deployment.lineup.challenger is deployment.lineup.shadow is None

    def test_a_restart_follows_the_plan_that_was_made(self, settings, deployment):
        deployment.follow(Plan(challenger=OTHER, weight=0.3))
        met = asked(deployment)
        with deployed(settings, open_bundle(settings), Instruments.of(settings)) as again:
            assert asked(again) == met


class TestRoutes:
    def test_a_plan_is_made_shown_and_taken_back(self, settings):
        with TestClient(create_app(settings)) as client:
            plan = {"challenger": OTHER[:3], "weight": 0.25, "shadow": OTHER}
            made = client.put("/v1/admin/deployment", json=plan).json()
            assert [(arm["role"], arm["share"]) for arm in made["arms"]] == [
                ("control", 0.75), ("challenger", 0.25), ("shadow", 0.1),
            ]  # fmt: skip
            assert client.get("/v1/bundle").json()["arms"] == made["arms"]
            none = client.put("/v1/admin/deployment", json={}).json()
            assert [arm["role"] for arm in none["arms"]] == ["control"]

    def test_a_bundle_that_is_not_there_is_409(self, settings):
        with TestClient(create_app(settings)) as client:
            answer = client.put("/v1/admin/deployment", json={"challenger": "dead"})
            assert answer.status_code == 409 and "match 'dead'" in answer.json()["detail"]

    def test_a_weight_above_one_is_422(self, settings):
        with TestClient(create_app(settings)) as client:
            assert client.put("/v1/admin/deployment", json={"weight": 1.5}).status_code == 422


class TestShadow:
    def test_its_lists_are_compared_and_shown_to_nobody(self, deployment):
        deployment.follow(Plan(shadow=OTHER, shadow_share=1.0))
        assert {*asked(deployment, users=30)} == {FIRST}
        deployment.desk.shadow.settle()
        text = deployment.desk.metrics.text().decode()
        assert 'plotpointe_shadow_requests_total{outcome="answered"} 30.0' in text
        assert "plotpointe_shadow_overlap_count 30.0" in text

    def test_a_failing_shadow_hurts_nobody(self, deployment):
        deployment.follow(Plan(shadow=OTHER, shadow_share=1.0))
        shadow = deployment.lineup.shadow.recommender
        object.__setattr__(shadow, "plain", crash)
        assert {*asked(deployment, users=5)} == {FIRST}
        deployment.desk.shadow.settle()
        assert 'shadow_requests_total{outcome="failed"} 5.0' in (
            deployment.desk.metrics.text().decode()
        )

    def test_overlap(self):
        assert overlap(["a", "b"], ["b", "c"]) == 0.5
        assert overlap([], []) == 1.0
        assert overlap(["a"], []) == 0.0
        assert overlap(["a", "b", "c", "d"], ["a"]) == 0.25


def outcomes(n, seconds=0.01, failed=0.0, short=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Outcome(seconds * (1 + rng.random()), bool(rng.random() < failed), rng.random() < short)
        for _ in range(n)
    ]


def crash(*_):
    raise RuntimeError("a bug")


class TestGuardrail:
    margins = Margins(requests=200)

    @pytest.mark.parametrize(
        ("worse", "what"),
        [
            ({"failed": 0.1}, "errors"),
            ({"short": 0.2}, "shortfalls"),
            ({"seconds": 0.1}, "latency"),
        ],
    )
    def test_what_is_worse_is_named(self, worse, what):
        reason, told = judge(outcomes(500), outcomes(500, **worse), self.margins)
        assert reason == what and what in told
        assert judge(outcomes(500, **worse), outcomes(500), self.margins) is None

    def test_equals_are_left_alone_however_often_they_are_looked_at(self):
        for seed in range(200):
            ours = outcomes(300, failed=0.02, short=0.05, seed=2 * seed)
            theirs = outcomes(300, failed=0.02, short=0.05, seed=2 * seed + 1)
            assert judge(ours, theirs, self.margins) is None

    def test_a_little_slower_than_very_fast_is_not_slow(self):
        assert judge(outcomes(300, 1e-4), outcomes(300, 5e-4), self.margins) is None

    def test_too_few_are_not_compared(self):
        trial = Trial(self.margins)
        trial.add("control", outcomes(500))
        trial.add("challenger", outcomes(199, failed=1.0))
        assert trial.verdict("control", "challenger") is None
        trial.add("challenger", outcomes(1, failed=1.0))
        assert trial.verdict("control", "challenger")[0] == "errors"
        trial.clear()
        assert trial.verdict("control", "challenger") is None

    def test_old_outcomes_are_forgotten(self):
        trial = Trial(Margins(requests=10, window=50))
        trial.add("challenger", outcomes(50, failed=1.0))
        trial.add("challenger", outcomes(50))
        trial.add("control", outcomes(50))
        assert trial.verdict("control", "challenger") is None

    def test_a_failing_challenger_fails_nobody_and_is_stopped(self, settings, deployment):
        deployment.follow(Plan(challenger=OTHER, weight=0.5))
        object.__setattr__(deployment.lineup.challenger.recommender, "plain", crash)
        assert {*asked(deployment)} == {FIRST}
        deployment.refresh()
        assert deployment.lineup.challenger is None
        assert "errors: 100.00% against 0.00%" in deployment.plan.stopped
        deployment.refresh()
        assert deployment.lineup.challenger is None
        text = deployment.desk.metrics.text().decode()
        assert 'plotpointe_experiment_stops_total{reason="errors"} 1.0' in text

    def test_a_challenger_is_stopped_even_where_the_plan_cannot_be_written(
        self, deployment, monkeypatch
    ):
        deployment.follow(Plan(challenger=OTHER, weight=0.5))
        object.__setattr__(deployment.lineup.challenger.recommender, "plain", crash)
        asked(deployment)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("serving.deployment.deployment.write_plan", full)
        deployment.refresh()
        deployment.refresh()
        assert deployment.lineup.challenger is None
        assert {*asked(deployment)} == {FIRST}

    def test_a_wrong_request_is_no_failure_of_an_arm(self, deployment):
        deployment.follow(Plan(challenger=OTHER, weight=1.0))
        from pipeline.errors import DataError

        def refuse(*_):
            raise DataError("the asker's mistake")

        object.__setattr__(deployment.lineup.challenger.recommender, "plain", refuse)
        with pytest.raises(DataError):
            deployment.service.recommend_many([RecommendRequest(user="u1")])[0]
        assert deployment.desk.trial.verdict("control", "challenger") is None


def test_the_controls_answer_for_a_failing_challenger_is_not_kept_as_its_own(deployment):
    deployment.follow(Plan(challenger=OTHER, weight=1.0))
    request = RecommendRequest(user="u1")
    arm = deployment.lineup.challenger
    service = deployment.service
    of_control = deployment.lineup.control.recommender.plain([request])[0]
    service.keep(arm, request, of_control, arm.stamp)
    assert service.kept(arm, request) is None
    answer = arm.recommender.plain([request])[0]
    service.keep(arm, request, answer, "the state before")
    assert service.kept(arm, request) is None
    service.keep(arm, request, answer, arm.stamp)
    assert service.kept(arm, request)["bundle"]["fingerprint"] == OTHER


class TestComparing:
    @pytest.fixture
    def client(self, settings):
        with TestClient(create_app(settings)) as started:
            yield started

    def test_every_arm_answers_the_same_request(self, client):
        plan = {"challenger": OTHER, "weight": 0.0, "shadow": OTHER, "shadow_share": 0.0}
        assert client.put("/v1/admin/deployment", json=plan).status_code == 200
        told = client.post("/v1/admin/compare", json={"user": "u1", "k": 4}).json()["answers"]
        assert [one["role"] for one in told] == ["control", "challenger", "shadow"]
        assert [one["answer"]["bundle"]["fingerprint"] for one in told] == [FIRST, OTHER, OTHER]
        assert told[1]["answer"]["items"] == told[2]["answer"]["items"]
        assert told[0]["answer"]["items"] != told[1]["answer"]["items"]
        shown = client.post("/v1/recommend", json={"user": "u1", "k": 4}).json()
        assert shown["items"] == told[0]["answer"]["items"]

    def test_nothing_of_it_is_counted(self, client):
        client.post("/v1/admin/compare", json={"user": "u1", "k": 4})
        assert "arm_answers_total{" not in client.get("/metrics").text

    def test_one_bundle_stands_alone_and_a_bad_request_is_refused(self, client):
        assert len(client.post("/v1/admin/compare", json={"user": "u1"}).json()["answers"]) == 1
        assert client.post("/v1/admin/compare", json={"user": "u1", "k": 0}).status_code == 422


class TestClicks:
    def test_each_user_counts_once_by_the_first_half_hour(self):
        now = [0.0]
        clicks = Clicks(lambda: now[0])
        clicks.shown("control", ["a", "b", None])
        clicks.shown("challenger", ["c"])
        clicks.took([("a", "click", None), ("b", "impression", None), ("c", "dislike", None)])
        assert clicks.tally("control") == Tally(0, 0), "nobody's time is over"
        now[0] = WITHIN_SECONDS + 1
        clicks.took([("b", "click", None)])
        assert clicks.tally("control") == Tally(1, 2), "b came too late"
        clicks.shown("control", ["a", "b"])
        clicks.took([("b", "purchase", 9.0)])
        now[0] *= 3
        assert clicks.tally("control") == Tally(1, 2), "a user counts once"
        assert clicks.tally("challenger") == Tally(0, 1)
        clicks.clear()
        assert clicks.tally("control") == Tally(0, 0)

    def test_what_was_turned_down_is_no_click(self):
        now = [0.0]
        clicks = Clicks(lambda: now[0])
        clicks.shown("control", ["a", "b", "c"])
        clicks.took([("a", "rating", -1.0), ("b", "rating", 0.0), ("c", "rating", 0.5)])
        now[0] = WITHIN_SECONDS + 1
        assert clicks.tally("control") == Tally(1, 3)

    def test_the_deployment_tells_what_feedback_says(self, settings):
        with TestClient(create_app(settings)) as client:
            assert client.get("/v1/admin/deployment").json()["clicks"] is None
            client.put("/v1/admin/deployment", json={"challenger": OTHER, "weight": 0.5})
            users = [f"u{n}" for n in range(40)]
            for user in users:
                assert client.post("/v1/recommend", json={"user": user, "k": 3}).status_code == 200
            events = [{"user": u, "item": "i1", "type": "click"} for u in users[:10]]
            assert client.post("/v1/feedback", json={"events": events}).status_code == 200
            clicks = client.app_state["deployment"].desk.trial.clicks
            clicks._clock = lambda: time.monotonic() + 2 * WITHIN_SECONDS
            told = client.get("/v1/admin/deployment").json()["clicks"]
            assert told["control_users"] + told["challenger_users"] == 40
            assert told["control_clicked"] + told["challenger_clicked"] == 10
            assert told["low"] <= told["difference"] <= told["high"] and not told["decided"]

    def test_a_challenger_that_is_surely_taken_up_less_goes_where_that_is_asked(self):
        trial = Trial(Margins(requests=1, clicks=True))
        now = [0.0]
        trial.clicks = Clicks(lambda: now[0])
        for arm, share in (("control", 2), ("challenger", 20)):
            trial.add(arm, outcomes(10))
            users = [f"{arm} {n}" for n in range(2000)]
            trial.clicks.shown(arm, users)
            trial.clicks.took([(user, "click", None) for user in users[::share]])
        assert trial.verdict("control", "challenger") is None
        now[0] = WITHIN_SECONDS + 1
        reason, told = trial.verdict("control", "challenger")
        assert reason == "clicks" and "-45.00%" in told
        assert trial.verdict("challenger", "control") is None
        trial.margins = Margins(requests=1)
        assert trial.verdict("control", "challenger") is None
