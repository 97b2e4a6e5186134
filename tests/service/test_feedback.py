"""Feedback: taken once, kept through every crash, known by the next request, readable by others."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import duckdb
import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pipeline.artifacts import Store
from serving.app import create_app
from serving.bundle import Bundle
from serving.live import segments
from serving.live.activity import Activities, Memory, sign_of
from serving.live.journal import Journal, Position
from serving.live.state import Live
from serving.messages_feedback import NEGATIVE, PASSIVE
from serving.recommender import Recommender
from serving.settings import Settings
from tests import worlds_bundle


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("store"))
    worlds_bundle.publish(made)
    return made


def client_of(store, state):
    chosen = Settings(store=store.root, state=state, log_level="error")
    return TestClient(create_app(chosen), raise_server_exceptions=False)


@pytest.fixture
def client(store, tmp_path):
    with client_of(store, tmp_path) as started:
        yield started


def event(user="u0", item="i1", type="click", **more):
    return {"user": user, "item": item, "type": type, **more}


def post(client, *events, key=None):
    headers = {"idempotency-key": key} if key else {}
    return client.post("/v1/feedback", json={"events": [*events]}, headers=headers)


def shown(client, **request):
    return [i["id"] for i in client.post("/v1/recommend", json=request).json()["items"]]


def live_of(client) -> Live:
    return client.app_state["deployment"].service.live


class TestTaste:
    def test_the_next_request_knows(self, client):
        asked = client.post("/v1/recommend", json={"user": "u0", "history": ["i1", "i9"]}).json()
        assert post(client, event(), event(item="i9")).json() == {
            "accepted": 2, "duplicates": 0, "unknown_items": [], "repeated": False,
        }  # fmt: skip
        after = client.post("/v1/recommend", json={"user": "u0"}).json()
        assert after["strategy"] == "model+fold_in"
        assert [i["id"] for i in after["items"]] == [i["id"] for i in asked["items"]]
        assert "i1" in [i["id"] for i in client.get("/v1/users/u0").json()["history"]]

    def test_a_stranger_becomes_known(self, client):
        assert client.post("/v1/recommend", json={"user": "new"}).json()["strategy"] == "popular"
        post(client, event("new", "i1", "purchase"))
        after = client.post("/v1/recommend", json={"user": "new"}).json()
        assert after["strategy"] == "fold_in" and after["user_tier"] == "warm"
        assert client.get("/v1/users/new").json()["known"]

    @pytest.mark.parametrize("kind", sorted(NEGATIVE))
    def test_what_is_not_wanted_is_not_shown(self, client, kind):
        best = shown(client, user="u0", exclude_seen=False)
        post(client, event(item=best[0], type=kind))
        assert shown(client, user="u0", exclude_seen=False)[:4] == best[1:5]
        post(client, event(item=best[0], type="like"))
        assert best[0] in shown(client, user="u0", exclude_seen=False)

    def test_a_value_below_zero_says_no_and_zero_nothing(self, client):
        best = shown(client, user="u0")
        post(client, event(item=best[0], type="rating", value=-1), event(item=best[1], value=0))
        assert shown(client, user="u0")[:3] == best[1:4]

    def test_impressions_say_nothing(self, client):
        before = shown(client, user="u0")
        answer = post(client, *(event(item=i, type="impression") for i in before))
        assert answer.json()["accepted"] == len(before)
        assert shown(client, user="u0") == before

    def test_items_that_nobody_knows_are_kept_and_named(self, client, tmp_path):
        answer = post(client, event(item="nothing"), event("new", "nothing either")).json()
        assert answer["accepted"] == 2 and answer["unknown_items"] == ["nothing", "nothing either"]
        assert client.post("/v1/recommend", json={"user": "new"}).json()["strategy"] == "popular"
        assert b"nothing either" in (tmp_path / "feedback" / "00000001.log").read_bytes()

    @given(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.booleans()), max_size=25)
    )
    @settings(max_examples=60, deadline=None)
    def test_the_latest_word_on_an_item_counts(self, said):
        bundle = type("B", (), {})()
        bundle.catalogue = type("C", (), {})()
        bundle.catalogue.ids = type("I", (), {"rows": lambda _, keys: pd.Series(keys, dtype=int)})()
        activities, together = Activities(), Activities()
        events = [
            {"user": u, "item": i, "type": "like" if yes else "hide", "value": None}
            for u, i, yes in said
        ]
        for one in events:
            activities.take([one], bundle)
        together.take(events, bundle)
        for user in "ab":
            last = {i: yes for u, i, yes in said if u == user}
            for found in (activities, together):
                mine = found.get(user)
                taken = set() if mine is None else {*mine.taken.tolist()}
                hidden = set() if mine is None else {*mine.hidden.tolist()}
                assert taken == {i for i, yes in last.items() if yes}
                assert hidden == {i for i, yes in last.items() if not yes}

    def test_signs(self):
        for kind in PASSIVE:
            assert sign_of({"type": kind, "value": 5.0}) == 0
        assert sign_of({"type": "rating", "value": 4.5}) == 1
        assert sign_of({"type": "hide", "value": 1.0}) == -1


class TestOnce:
    def test_an_id_that_was_taken_is_not_taken_again(self, client):
        post(client, event(id="e1"), event(id="e2", item="i2"))
        answer = post(client, event(id="e1"), event(id="e3"), event(id="e3")).json()
        assert (answer["accepted"], answer["duplicates"]) == (1, 2)

    def test_a_batch_under_a_key_is_taken_once_and_answered_alike(self, client):
        batch = [event(item="i2"), event(item="nothing")]
        first = post(client, *batch, key="k1").json()
        again = post(client, *batch, key="k1").json()
        assert again == {**first, "repeated": True}
        assert len(live_of(client)._activities["u0"].taken) == 1
        other = post(client, event(item="i4"), key="k1")
        assert other.status_code == 422 and "came with another batch" in other.json()["detail"]

    def test_another_worker_and_another_life_know_the_key(self, store, client, tmp_path):
        post(client, event(id="e1"), key="k1")
        for _ in range(2):
            with client_of(store, tmp_path) as other:
                assert post(other, event(id="e1"), key="k1").json()["repeated"]
                assert post(other, event(id="e1")).json()["duplicates"] == 1

    def test_the_same_key_at_the_same_time_counts_once(self, store, tmp_path):
        with client_of(store, tmp_path) as one, client_of(store, tmp_path) as other:
            answers = []
            for client in (one, other):  # FastAPI makes a route when it is first asked for
                post(client, event(id="first"))
            threads = [
                threading.Thread(
                    target=lambda c=c: answers.append(post(c, event(), key="same").json())
                )
                for c in (one, other) * 4
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(a["repeated"] for a in answers) == [False] + [True] * 7
        records, _ = Journal(tmp_path / "feedback").read(Position())
        assert [record["key"] for record in records] == [None, "same"]

    def test_only_the_latest_names_are_remembered(self):
        memory = Memory(2)
        for name in "abc":
            memory.keep(name)
        assert "a" not in memory and "b" in memory and "c" in memory


class TestRefused:
    @pytest.mark.parametrize(
        "body",
        [
            {}, {"events": []}, {"events": [{}]}, {"events": [event(user="")]},
            {"events": [event(type="Click!")]}, {"events": [event(value="1")]},
            {"events": [event(timestamp="yesterday")]}, {"events": [event(timestamp=-1)]},
            {"events": [event(timestamp="2024-01-01T00:00:00")]},
            {"events": [event(timestamp=1e15)]}, {"events": [event(timestamp=True)]},
            {"events": [event(extra=1)]}, {"events": [event(context={"x": "y" * 5000})]},
            {"events": [event()] * 1001}, {"events": [event(id="")]},
        ],
        ids=lambda body: str(body)[:60],
    )  # fmt: skip
    def test_nothing_of_a_bad_batch_is_taken(self, client, tmp_path, body):
        whole = {**body, "events": [event(), *body["events"]]} if body.get("events") else body
        answer = client.post("/v1/feedback", content=orjson.dumps(whole))
        assert answer.status_code == 422, answer.text
        assert not (tmp_path / "feedback").exists()

    def test_a_full_disk_takes_nothing(self, client, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        before = shown(client, user="u0")
        monkeypatch.setattr(os, "fsync", full)
        assert post(client, event(item=before[0], id="e"), key="k").status_code == 507
        assert shown(client, user="u0") == before
        monkeypatch.undo()
        answer = post(client, event(item=before[0], id="e"), key="k").json()
        assert answer["accepted"] == 1 and not answer["repeated"]

    def test_a_failing_disk_is_another_thing_and_says_when_to_come_again(self, client, monkeypatch):
        def failing(*_):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", failing)
        answer = post(client, event())
        assert answer.status_code == 503 and answer.headers["retry-after"] == "5"


class TestAtRest:
    @pytest.fixture
    def small(self, store, tmp_path):
        """A state whose journal is closed after every batch."""
        return Live(Bundle.open(store), tmp_path, Recommender, segment_bytes=1)

    def take(self, live, count, start=0):
        for at in range(start, start + count):
            told = {"id": f"e{at}", "user": f"u{at % 3}", "item": f"i{at}", "type": "click",
                    "value": at / 2 or None, "at": 1_700_000_000.25 + at,
                    "recommendation_id": None, "context": {"at": at}}  # fmt: skip
            live.take([told], f"k{at}")

    def test_pandas_and_duckdb_read_them(self, small, tmp_path):
        self.take(small, 5)
        paths = segments.segments(tmp_path)
        assert len(paths) == 5
        table = pq.read_table(paths[0])
        assert table.schema.equals(segments.EVENTS)
        frame = pd.concat(pd.read_parquet(path) for path in paths)
        assert frame["event_id"].tolist() == [f"e{at}" for at in range(5)]
        assert frame["event_timestamp"].iloc[0] == pd.Timestamp(
            1_700_000_000.25, unit="s", tz="UTC"
        )
        assert pd.isna(frame["value"].iloc[0]) and frame["value"].iloc[4] == 2.0
        assert orjson.loads(frame["context"].iloc[3]) == {"at": 3}
        found = duckdb.sql(
            f"""select user_id, count(*) n, epoch(max(event_timestamp)) last
                from read_parquet('{tmp_path}/segments/*.parquet') group by 1 order by 1"""
        ).fetchall()
        assert [(user, n) for user, n, _ in found] == [("u0", 2), ("u1", 2), ("u2", 1)]
        assert found[0][2] == 1_700_000_003.25

    def test_closed_files_go_once_nobody_can_be_reading_them(self, small):
        self.take(small, 6)
        assert small._feedback.numbers() == [5, 6, 7]

    def test_a_new_process_knows_what_stands_in_segments_alone(self, small, store, tmp_path):
        self.take(small, 9)
        again = Live(Bundle.open(store), tmp_path, Recommender)
        for user in ("u0", "u1", "u2"):
            ours, theirs = small._activities[user], again._activities[user]
            assert ours.taken.tolist() == theirs.taken.tolist()
        assert "e0" in again._activities.ids and "e8" in again._activities.ids

    def test_a_new_process_takes_no_batch_again_whose_key_stands_in_segments_alone(
        self, small, store, tmp_path
    ):
        nameless = {"id": None, "user": "u0", "item": "i1", "type": "click", "value": None,
                    "at": 1.0, "recommendation_id": None, "context": {}}  # fmt: skip
        first = small.take([nameless, nameless], "cart", "digest")
        small.take([nameless])
        self.take(small, 9)
        again = Live(Bundle.open(store), tmp_path, Recommender)
        assert not again._feedback.path(1).exists()
        told = again.take([nameless, nameless], "cart", "digest")
        assert told.repeated and told.accepted == first.accepted == 2

    def test_a_process_that_slept_catches_up(self, small, store, tmp_path):
        sleeper = Live(Bundle.open(store), tmp_path, Recommender)
        self.take(small, 2)
        assert sleeper.recommender is not None and len(sleeper._activities["u0"].taken) == 1
        self.take(small, 9, start=2)
        assert sleeper.recommender is not None
        for user in ("u0", "u1", "u2"):
            ours, theirs = small._activities[user], sleeper._activities[user]
            assert ours.taken.tolist() == theirs.taken.tolist()

    def test_a_segment_that_cannot_be_written_is_written_later(self, small, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(segments, "flush", full)
            self.take(small, 3)
        assert not segments.segments(tmp_path)
        assert len(small._activities["u0"].taken) == 1
        self.take(small, 1, start=3)
        assert len(segments.segments(tmp_path)) == 4

    def test_a_segment_is_in_the_form_of_the_journal_again(self, small, tmp_path):
        self.take(small, 1)
        (told,) = segments.events_in(segments.segments(tmp_path)[0])
        assert told["at"] == 1_700_000_000.25 and told["context"] == {"at": 0}


def test_what_was_answered_before_a_kill_is_there(store, tmp_path):
    code = f"""
        from pathlib import Path
        from pipeline.artifacts import Store
        from serving.bundle import Bundle
        from serving.live.state import Live
        from serving.recommender import Recommender
        live = Live(Bundle.open(Store({str(store.root)!r})), Path({str(tmp_path)!r}), Recommender,
                    segment_bytes=2000)
        for at in range(100_000):
            live.take([{{"id": f"e{{at}}", "user": "new", "item": "i1", "type": "click",
                        "value": None, "at": 1.0, "recommendation_id": None, "context": {{}}}}])
            print(at, flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as writer:
        writer.stdout.readline()
        time.sleep(0.3)
        writer.send_signal(signal.SIGKILL)
        answered = [0, *map(int, writer.stdout.read().split())]
    live = Live(Bundle.open(store), tmp_path, Recommender)
    assert len(answered) > 5
    assert all(f"e{at}" in live._activities.ids for at in answered)
