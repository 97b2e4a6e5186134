"""Bundles come and go under a service that never stops answering."""

import gc
import json
import threading
import time
import weakref
from dataclasses import replace
from io import StringIO
from pathlib import Path

import faiss
import numpy as np
import psutil
import pytest
from starlette.testclient import TestClient

from pipeline import files
from pipeline.artifacts import MANIFEST, Store
from serving.app import create_app, open_bundle
from serving.deployment.memory import give_back
from serving.deployment.plan import Plan, read_plan, write_plan
from serving.deployment.start import PLAN, deployed
from serving.requests import RecommendRequest
from serving.settings import Settings
from serving.telemetry.instruments import Instruments
from serving.telemetry.logs import open_log
from tests import worlds_bundle

OTHER = "c0ffee"


@pytest.fixture
def store(tmp_path, parts):
    """A store with a promoted bundle and another one beside it."""
    root = Store(tmp_path)
    worlds_bundle.publish(root, parts)
    worlds_bundle.publish(root, worlds_bundle.parts(seed=5), OTHER, promote=False)
    return root


@pytest.fixture
def settings(store):
    return Settings(
        store=store.root, log_level="error", reload_seconds=60, queue_seconds=30, cache_entries=0
    )


@pytest.fixture
def deployment(settings):
    with deployed(settings, open_bundle(settings), Instruments.of(settings)) as running:
        yield running


def metric(deployment, line: str) -> float:
    text = deployment.desk.metrics.text().decode()
    return float(next(x.rsplit(" ", 1)[1] for x in text.splitlines() if x.startswith(line)))


def answer_of(service, **asked):
    return service.recommend_many([RecommendRequest(**asked)])[0]


def served(deployment) -> str:
    return answer_of(deployment.service, user="u1")["bundle"]["fingerprint"]


def bend(store: Store, fingerprint: str, change) -> None:
    """Rewrite a manifest as somebody would who knows how."""
    path = store.folder("bundle", fingerprint) / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


class TestReload:
    def test_a_promotion_is_followed_and_the_old_answer_ends_where_it_began(
        self, store, deployment
    ):
        before = deployment.service
        store.point("bundle", OTHER, "a test")
        deployment.refresh()
        assert served(deployment) == OTHER
        held = answer_of(before, user="u1")
        assert held["bundle"]["fingerprint"] == worlds_bundle.FINGERPRINT
        assert metric(deployment, f'plotpointe_bundle_info{{fingerprint="{OTHER}"') == 1
        assert worlds_bundle.FINGERPRINT not in deployment.desk.metrics.text().decode()
        assert metric(deployment, 'plotpointe_bundle_swaps_total{arm="control"}') == 2

    def test_the_watcher_sees_it_by_itself(self, store, settings):
        quick = settings.model_copy(update={"reload_seconds": 0.05})
        with TestClient(create_app(quick)) as client:
            store.point("bundle", OTHER, "a test")
            wait_for(lambda: client.get("/v1/bundle").json()["fingerprint"] == OTHER)

    def test_a_named_bundle_stays(self, store, settings):
        pinned = settings.model_copy(update={"bundle": worlds_bundle.FINGERPRINT[:4]})
        with TestClient(create_app(pinned)) as client:
            store.point("bundle", OTHER, "a test")
            assert client.post("/v1/admin/reload").json()["pinned"]
            assert client.get("/v1/bundle").json()["fingerprint"] == worlds_bundle.FINGERPRINT
            assert client.post("/v1/admin/rollback").status_code == 409

    def test_a_rollback_takes_the_bundle_that_is_still_open(self, store, deployment):
        first = deployment.lineup.control.bundle
        store.point("bundle", OTHER, "a test")
        deployment.refresh()
        assert deployment.roll_back() == worlds_bundle.FINGERPRINT
        assert deployment.lineup.control.bundle is first
        assert store.current("bundle") == worlds_bundle.FINGERPRINT

    def test_the_route_and_the_command_roll_back_alike(self, store, settings):
        with TestClient(create_app(settings)) as client:
            assert "no earlier bundle" in client.post("/v1/admin/rollback").json()["detail"]
            for roll_back in (
                lambda: client.post("/v1/admin/rollback"),
                lambda: store.roll_back("bundle"),
            ):
                store.point("bundle", OTHER, "a test")
                client.post("/v1/admin/reload")
                assert client.get("/v1/bundle").json()["fingerprint"] == OTHER
                roll_back()
                arms = client.post("/v1/admin/reload").json()["arms"]
                assert arms[0]["fingerprint"] == worlds_bundle.FINGERPRINT

    def test_no_request_fails_while_bundles_are_swapped(self, store, deployment):
        failures, seen, done = [], set(), threading.Event()

        def ask() -> None:
            while not done.is_set():
                try:
                    answer = answer_of(deployment.service, user="u1", k=5)
                    seen.add(answer["bundle"]["fingerprint"])
                    assert len(answer["items"]) == 5
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for swap in range(6):
            store.point("bundle", (OTHER, worlds_bundle.FINGERPRINT)[swap % 2], "a test")
            deployment.refresh()
        done.set()
        for thread in threads:
            thread.join()
        assert not failures and seen == {OTHER, worlds_bundle.FINGERPRINT}

    def test_memory_and_mapped_files_stay_flat_over_fifty_swaps(self, store, deployment):
        deployment.keep_previous = False
        gone, mapped, resident = [], [], []
        for swap in range(50):
            gone.append(weakref.ref(deployment.lineup.control.bundle))
            store.point("bundle", (OTHER, worlds_bundle.FINGERPRINT)[swap % 2], "a test")
            deployment.refresh()
            served(deployment)
            if swap % 10 == 9:
                gc.collect()
                mapped.append(Path("/proc/self/maps").read_text().count(str(store.root)))
                resident.append(psutil.Process().memory_info().rss)
        assert all(ref() is None for ref in gone)
        assert len({*mapped}) == 1 and len([*Path("/proc/self/fd").iterdir()]) < 200
        # A bundle held would show 50 times over; arenas of the allocator may settle a little.
        assert resident[-1] - resident[0] < 4_000_000


def wait_for(true) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestRefusals:
    def refused(self, store, deployment) -> dict:
        """Return the refusal of the other bundle, after checking that the first one serves."""
        store.point("bundle", OTHER, "a test")
        deployment.refresh()
        assert served(deployment) == worlds_bundle.FINGERPRINT
        (refusal,) = deployment.refusals
        assert (refusal.fingerprint, refusal.role) == (OTHER, "control")
        line = f'plotpointe_bundle_refusals_total{{reason="{refusal.reason}"}}'
        assert metric(deployment, line) == 1
        return refusal

    @pytest.mark.parametrize("name", ["item_vectors.npy", "items.faiss", "seen.npz", "audit.json"])
    def test_one_flipped_byte(self, store, deployment, name):
        path = store.folder("bundle", OTHER) / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        refusal = self.refused(store, deployment)
        assert refusal.reason == "altered" and name in refusal.detail

    def test_a_file_of_another_run(self, store, deployment):
        theirs = store.folder("bundle", worlds_bundle.FINGERPRINT) / "user_vectors.npy"
        path = store.folder("bundle", OTHER) / "user_vectors.npy"
        path.write_bytes(theirs.read_bytes())
        refusal = self.refused(store, deployment)
        assert refusal.reason == "altered" and "user_vectors.npy" in refusal.detail

    def test_a_file_of_another_run_whose_hash_was_corrected(self, store, deployment):
        from pipeline.artifacts import describe

        narrow = worlds_bundle.parts(width=6).fold_in
        path = store.folder("bundle", OTHER) / "fold_in.npy"
        files.write_array(path, narrow)
        bend(store, OTHER, lambda m: m["files"].update({"fold_in.npy": describe(path)}))
        refusal = self.refused(store, deployment)
        assert refusal.reason == "mixed" and "fold_in.npy" in refusal.detail

    def test_an_older_kind_version(self, store, deployment):
        bend(store, OTHER, lambda manifest: manifest.update(kind_version=0))
        refusal = self.refused(store, deployment)
        assert refusal.reason == "version" and "kind_version 0" in refusal.detail

    def test_a_bundle_that_is_not_there(self, store, deployment):
        store.remove("bundle", OTHER)
        assert self.refused(store, deployment).reason == "missing"

    def test_an_index_that_does_not_find(self, store, settings):
        these = worlds_bundle.parts(seed=5)
        wrong = faiss.IndexFlatIP(these.item_vectors.shape[1])
        wrong.add(np.roll(these.item_vectors, 1, axis=0))
        store.remove("bundle", OTHER)
        worlds_bundle.publish(store, replace(these, index=wrong), OTHER, promote=False)
        blind = settings.model_copy(update={"verify": False})
        with deployed(blind, open_bundle(blind), Instruments.of(blind)) as deployment:
            refusal = self.refused(store, deployment)
        assert refusal.reason == "index" and "canaries" in refusal.detail

    def test_it_is_tried_again_when_it_is_promoted_again(self, store, deployment):
        bend(store, OTHER, lambda manifest: manifest.update(kind_version=0))
        self.refused(store, deployment)
        deployment.refresh()
        assert len(deployment.refusals) == 1
        version = store.find("bundle", worlds_bundle.FINGERPRINT).manifest["kind_version"]
        bend(store, OTHER, lambda manifest: manifest.update(kind_version=version))
        store.point("bundle", OTHER, "again")
        deployment.refresh()
        assert served(deployment) == OTHER

    def test_everybody_can_see_it(self, store, settings, capfd):
        bend(store, OTHER, lambda manifest: manifest.update(kind_version=0))
        store.point("bundle", OTHER, "a test")
        with TestClient(create_app(settings, lambda _: first_of(store))) as client:
            told = client.get("/v1/bundle").json()
            metrics = client.get("/metrics").text
        assert told["fingerprint"] == worlds_bundle.FINGERPRINT
        assert told["refused"][0]["reason"] == "version"
        assert 'plotpointe_bundle_refusals_total{reason="version"} 1.0' in metrics
        logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        assert [line["reason"] for line in logged if line["event"] == "bundle refused"] == [
            "version"
        ]


def first_of(store):
    from serving.bundle import Bundle

    return Bundle.open(store, worlds_bundle.FINGERPRINT)


class TestFaults:
    def test_a_bundle_deleted_under_the_service_serves_on(self, store, settings):
        with TestClient(create_app(settings)) as client:
            store.remove("bundle", worlds_bundle.FINGERPRINT)
            assert client.post("/v1/admin/reload").status_code == 200
            for path in ("/v1/users/u1/recommendations", "/v1/items/i1", "/v1/items/i1/similar"):
                assert client.get(path).status_code == 200
            assert client.get("/health/ready").status_code == 200

    def test_an_index_that_goes_wrong_is_noticed_and_not_ready(self, settings, deployment):
        bundle = deployment.lineup.control.bundle
        assert deployment.service.check.ready
        spoiled = replace(bundle, canary_top=np.roll(bundle.canary_top, 20, axis=0))
        control = deployment.lineup.control
        live = replace(control.live, bundle=spoiled)
        deployment._serve(replace(deployment.lineup, control=replace(control, live=live)))
        deployment.recheck()
        assert not deployment.service.check.ready
        assert metric(deployment, 'plotpointe_index_recall{arm="control"}') < 0.95

    def test_the_recall_is_measured_again_and_again(self, settings):
        often = settings.model_copy(update={"reload_seconds": 0.05, "recheck_seconds": 0.1})
        tools = Instruments.of(often)
        with deployed(often, open_bundle(often), tools) as deployment:
            first = deployment.lineup.control.check
            wait_for(lambda: deployment.lineup.control.check is not first)

    def test_memory_is_given_back_after_a_swap_and_not_otherwise(
        self, store, settings, monkeypatch
    ):
        given = []
        monkeypatch.setattr("serving.deployment.deployment.give_back", lambda: given.append(1))
        quick = settings.model_copy(update={"reload_seconds": 0.05})
        with deployed(quick, open_bundle(quick), Instruments.of(quick)) as deployment:
            wait_for(lambda: len(given) == 1)
            store.point("bundle", OTHER, "a test")
            wait_for(lambda: len(given) == 2)
            assert served(deployment) == OTHER
            time.sleep(0.3)
            assert len(given) == 2

    def test_giving_back_changes_nothing(self, deployment):
        before = answer_of(deployment.service, user="u1")["items"]
        give_back()
        assert answer_of(deployment.service, user="u1")["items"] == before

    def test_a_watcher_survives_what_it_meets(self, store, settings):
        quick = settings.model_copy(update={"reload_seconds": 0.05})
        with deployed(quick, open_bundle(quick), Instruments.of(quick)) as deployment:
            lines = StringIO()
            deployment.desk = replace(deployment.desk, log=open_log("error", lines))
            current = store.root / "bundle" / "CURRENT"
            current.unlink()
            current.mkdir()
            wait_for(lambda: "watching failed" in lines.getvalue())
            current.rmdir()
            store.point("bundle", OTHER, "a test")
            wait_for(lambda: served(deployment) == OTHER)

    def test_a_plan_that_is_not_one_changes_nothing(self, settings, deployment):
        path = settings.state_folder / PLAN
        path.parent.mkdir(parents=True, exist_ok=True)
        write_plan(path, Plan(challenger=OTHER, weight=0.5))
        deployment.refresh()
        path.write_text("{")
        deployment.refresh()
        assert deployment.lineup.challenger.fingerprint == OTHER


class TestPlan:
    def test_it_is_read_as_it_was_written(self, tmp_path):
        plan = Plan(challenger="a", weight=0.25, shadow="b", shadow_share=1.0, stopped="why")
        write_plan(tmp_path / "deep" / PLAN, plan)
        assert read_plan(tmp_path / "deep" / PLAN) == plan
        assert read_plan(tmp_path / "none") == Plan()
