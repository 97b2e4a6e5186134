"""Promotion asks for kept promises and a report; collection keeps what anybody still needs."""

import pytest

from pipeline.artifacts import Store
from pipeline.errors import ArtifactError
from pipeline.promotion import collect_garbage, promote
from tests import worlds
from tests.artifacts.whole_runs import bundle, report, whole


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


class TestPromote:
    def test_a_bundle_whose_model_was_measured(self, store):
        made = whole(store)
        assert promote(store, "bundle", "b0d1e") == made["bundle"]
        assert store.current("bundle") == "b0d1e"

    def test_a_bundle_whose_model_nobody_measured_is_refused(self, store):
        bundle(store, worlds.planted())
        report(store, "0ther")
        with pytest.raises(ArtifactError, match=r"serves model 30de1.*no report.*evaluate CONFIG"):
            promote(store, "bundle", "b0d1e")
        assert store.current("bundle") is None

    def test_a_bundle_that_breaks_a_promise_is_refused(self, store):
        made = whole(store)
        (made["bundle"].path / "extra.txt").write_text("?")
        with pytest.raises(ArtifactError, match="breaks 1 of its promises"):
            promote(store, "bundle", "b0d1e")
        assert store.current("bundle") is None and store.history("bundle") == []

    def test_a_prefix_is_enough_and_the_whole_name_is_kept(self, store):
        whole(store)
        promote(store, "bundle", "b0")
        assert store.current("bundle") == "b0d1e"

    def test_other_kinds_need_no_report(self, store):
        worlds.tables(store, worlds.planted())
        promote(store, "tables", "7ab1e5", "for a notebook")
        assert store.history("tables")[0]["why"] == "for a notebook"


def write_nothing(into):
    (into / "value").write_text("1234")


def chain(store, number):
    """Publish tables, a model, a report and a bundle that stand for one run."""
    names = {kind: f"{kind}{number}" for kind in ("tables", "model", "bundle", "report")}
    tables, model = {"tables": names["tables"]}, {"model": names["model"]}
    worlds.publish(store, "tables", names["tables"], write_nothing)
    worlds.publish(store, "model", names["model"], write_nothing, inputs=tables)
    worlds.publish(store, "bundle", names["bundle"], write_nothing, inputs=tables | model)
    worlds.publish(store, "report", names["report"], write_nothing, inputs=tables | model)


def left(store):
    return {f"{a.kind}/{a.fingerprint}" for k in ("tables", "model", "bundle", "report")
            for a in store.all(k)}  # fmt: skip


def of(*numbers):
    return {f"{k}/{k}{n}" for n in numbers for k in ("tables", "model", "bundle", "report")}


class TestCollecting:
    def test_the_newest_runs_stay_whole(self, store):
        for number in range(4):
            chain(store, number)
        removed = collect_garbage(store, keep=2)
        assert left(store) == of(2, 3)
        assert {f"{r.kind}/{r.fingerprint}" for r in removed} == of(0, 1)
        assert all(r.bytes == 4 for r in removed)

    def test_a_dry_run_tells_the_same_and_removes_nothing(self, store):
        for number in range(3):
            chain(store, number)
        told = collect_garbage(store, keep=1, dry_run=True)
        assert left(store) == of(0, 1, 2)
        assert collect_garbage(store, keep=1) == told

    def test_what_is_promoted_or_would_be_rolled_back_to_stays_whole(self, store):
        for number in range(5):
            chain(store, number)
        for name in ("bundle0", "bundle1", "bundle2"):
            store.point("bundle", name, "")
        collect_garbage(store, keep=1)
        assert left(store) == of(1, 2, 4), "bundle 0 is two rollbacks away"
        assert store.roll_back("bundle") == "bundle1"

    def test_baselines_of_a_kept_report_stay(self, store):
        chain(store, 0)
        worlds.publish(store, "model", "popular", write_nothing)
        inputs = {"model": "model0", "model:popularity": "popular"}
        worlds.publish(store, "report", "compared", write_nothing, inputs=inputs)
        for number in (1, 2):
            chain(store, number)
        store.point("bundle", "bundle0", "")
        collect_garbage(store, keep=1)
        assert "model/popular" in left(store) and "report/compared" in left(store)

    def test_keeping_none_leaves_what_is_promoted(self, store):
        for number in (0, 1):
            chain(store, number)
        store.point("bundle", "bundle0", "")
        collect_garbage(store, keep=0)
        assert left(store) == of(0)

    def test_abandoned_work_goes_and_unfinished_work_stays(self, store):
        chain(store, 0)
        done, under_way = store.scratch("train", "model0"), store.scratch("train", "unfinished")
        (store.root / "model" / ".stale.123").mkdir()
        collect_garbage(store, keep=1)
        assert not done.exists() and under_way.exists()
        assert not (store.root / "model" / ".stale.123").exists()

    def test_an_empty_store_has_nothing_to_collect(self, store):
        assert collect_garbage(store) == []
