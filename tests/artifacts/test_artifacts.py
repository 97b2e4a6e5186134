"""The artifact contract: complete or absent, never changed, safe to race and to kill."""

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from pipeline import artifacts, files
from pipeline.artifacts import MANIFEST, Store, sweep_drafts
from pipeline.errors import ArtifactError
from pipeline.schema import KINDS
from tests.worlds import publish

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def numbers(value=0, length=4):
    return lambda into: files.write_array(into / "text.npy", np.full(length, value))


def standing(store, kind="embeddings"):
    """Return every name below a kind's folder, hidden ones too."""
    return sorted(p.name for p in (store.root / kind).iterdir())


class TestPublishing:
    def test_what_was_written_is_found_with_its_description(self, store):
        published = publish(store, "embeddings", "a1", numbers(7))
        found = store.find("embeddings", "a1")
        assert found == published
        assert found.manifest["files"]["text.npy"]["shape"] == [4]
        assert found.manifest["files"]["text.npy"]["dtype"] == "int64"
        assert found.array("text.npy").tolist() == [7] * 4
        assert standing(store) == ["a1"]

    def test_an_artifact_that_failed_leaves_nothing(self, store):
        def fails(into):
            numbers()(into)
            raise ValueError("half way")

        with pytest.raises(ValueError, match="half way"):
            publish(store, "embeddings", "a1", fails)
        assert store.find("embeddings", "a1") is None
        assert standing(store) == []

    def test_an_array_cannot_be_changed_in_place(self, store):
        array = publish(store, "embeddings", "a1", numbers()).array("text.npy")
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1

    def test_the_first_of_two_writers_wins_and_both_succeed(self, store):
        with store.draft("embeddings", "a1") as slow:
            first = publish(store, "embeddings", "a1", numbers(1))
            numbers(2)(slow)
            second = store.publish(slow, {**first.manifest})
        assert second == first
        assert store.find("embeddings", "a1").array("text.npy")[0] == 1
        assert standing(store) == ["a1"]

    def test_two_drafts_of_one_process_do_not_meet(self, store):
        with store.draft("embeddings", "a1") as one, store.draft("embeddings", "a1") as other:
            assert one != other and one.is_dir() and other.is_dir()

    def test_a_folder_without_a_manifest_is_no_artifact_and_is_replaced(self, store):
        folder = store.folder("embeddings", "a1")
        folder.mkdir(parents=True)
        (folder / "text.npy").write_bytes(b"half")
        assert store.find("embeddings", "a1") is None
        assert publish(store, "embeddings", "a1", numbers(3)).array("text.npy")[0] == 3

    def test_a_file_that_describes_nothing_known_is_described_by_size_and_hash(self, store):
        published = publish(store, "model", "a1", lambda to: (to / "weights.bin").write_bytes(b"x"))
        assert set(published.manifest["files"]["weights.bin"]) == {"bytes", "sha256"}

    def test_pickled_arrays_are_refused(self, store):
        def write(into):
            np.save(into / "text.npy", np.array([{}]), allow_pickle=True)

        with pytest.raises(ValueError, match="Python objects in dtype"):
            publish(store, "embeddings", "a1", write)


def write_slowly(root, value, ready):
    """Race body: fill a draft, wait for the other, publish."""
    store = Store(root)
    with store.draft("embeddings", "a1") as draft:
        numbers(value)(draft)
        ready.wait()
        manifest = {"kind": "embeddings", "fingerprint": "a1", "kind_version": 1, "inputs": {}}
        store.publish(draft, manifest)


def hold_a_draft(root, folder_ready):
    with Store(root).draft("embeddings", "a1") as draft:
        numbers()(draft)
        folder_ready.set()
        time.sleep(60)


class TestProcesses:
    def test_writers_in_other_processes_race_safely(self, store):
        ready = SPAWN.Barrier(3)
        racers = [SPAWN.Process(target=write_slowly, args=(store.root, v, ready)) for v in range(3)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(60)
        assert [racer.exitcode for racer in racers] == [0, 0, 0]
        assert standing(store) == ["a1"]
        found = store.find("embeddings", "a1")
        entry = found.manifest["files"]["text.npy"]
        assert entry == artifacts.describe(found.file("text.npy"))

    def test_a_killed_writers_draft_is_swept_and_a_living_ones_is_not(self, store):
        held = SPAWN.Event()
        writer = SPAWN.Process(target=hold_a_draft, args=(store.root, held))
        writer.start()
        assert held.wait(60)
        sweep_drafts(store.root / "embeddings")
        assert len(standing(store)) == 1, "the writer lives"
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(60)
        assert len(standing(store)) == 1, "it left its draft"
        assert publish(store, "embeddings", "a1", numbers(5)).array("text.npy")[0] == 5
        assert standing(store) == ["a1"]

    def test_a_draft_named_by_this_process_number_is_swept_all_the_same(self, store):
        """In a container the next process often gets the number of the one that was killed."""
        stale = store.root / "embeddings" / f".a1.{os.getpid()}"
        stale.mkdir(parents=True)
        publish(store, "embeddings", "a1", numbers())
        assert standing(store) == ["a1"]


class TestOpening:
    def test_a_prefix_is_enough_where_it_is_unique(self, store):
        for name in ("abc1", "abd2", "ab"):
            publish(store, "embeddings", name, numbers())
        assert store.open("embeddings", "abc").fingerprint == "abc1"
        assert store.open("embeddings", "ab").fingerprint == "ab", "a whole name is meant"
        with pytest.raises(ArtifactError, match=r"0 embeddings in .* match 'x'.*abc1"):
            store.open("embeddings", "x")
        with pytest.raises(ArtifactError, match=r"3 embeddings in .* match 'a'"):
            store.open("embeddings", "a")

    def test_without_a_fingerprint_the_promoted_one_is_meant(self, store):
        publish(store, "embeddings", "a1", numbers())
        with pytest.raises(ArtifactError, match="no embeddings is promoted"):
            store.open("embeddings")
        store.point("embeddings", "a1", "why not")
        assert store.open("embeddings").fingerprint == "a1"
        assert [a.fingerprint for a in store.all("embeddings")] == ["a1"]

    def test_an_unknown_kind_suggests_the_nearest(self, store):
        with pytest.raises(ArtifactError, match="did you mean 'bundle'"):
            store.open("bundel")

    def test_another_kind_version_says_both_and_the_cure(self, store):
        published = publish(store, "embeddings", "a1", numbers())
        files.write_json(published.path / MANIFEST, {**published.manifest, "kind_version": 0})
        with pytest.raises(ArtifactError, match=r"kind_version 0; this code reads 1\. Rebuild"):
            store.open("embeddings", "a1")

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"kind": "embeddings"}'])
    def test_a_spoiled_manifest_names_itself_and_the_cure(self, store, text):
        published = publish(store, "embeddings", "a1", numbers())
        (published.path / MANIFEST).write_text(text)
        with pytest.raises(ArtifactError, match=r"a1/manifest\.json .*Delete .* and run again"):
            store.find("embeddings", "a1")

    def test_a_file_it_does_not_hold_suggests_the_nearest(self, store):
        published = publish(store, "embeddings", "a1", numbers())
        with pytest.raises(ArtifactError, match=r"no 'texts\.npy' \(did you mean 'text\.npy'\?\)"):
            published.file("texts.npy")

    @pytest.mark.parametrize("kind", [*KINDS])
    def test_an_empty_store_holds_nothing(self, store, kind):
        assert store.all(kind) == [] and store.current(kind) is None and store.history(kind) == []
        assert store.find(kind, "a1") is None
        sweep_drafts(store.root / kind)

    def test_a_file_in_the_place_of_an_artifact_is_none(self, store):
        publish(store, "embeddings", "a1", numbers())
        store.point("embeddings", "a1", "")
        assert store.find("embeddings", "CURRENT") is None

    def test_artifacts_are_listed_oldest_first(self, store):
        names = ["c", "a", "b"]
        for name in names:
            publish(store, "embeddings", name, numbers())
        assert [a.fingerprint for a in store.all("embeddings")] == names


class TestPromotion:
    @pytest.fixture
    def promoted(self, store):
        for name in "abc":
            publish(store, "embeddings", name, numbers())
            store.point("embeddings", name, f"try {name}")
        return store

    def test_history_tells_what_was_promoted_and_why(self, promoted):
        told = [(h["fingerprint"], h["previous"], h["why"]) for h in promoted.history("embeddings")]
        assert told == [("a", None, "try a"), ("b", "a", "try b"), ("c", "b", "try c")]

    def test_rolling_back_twice_goes_back_two(self, promoted):
        assert promoted.roll_back("embeddings") == "b"
        assert promoted.roll_back("embeddings") == "a", "not forth to c again"
        assert promoted.current("embeddings") == "a"
        with pytest.raises(ArtifactError, match="no earlier embeddings was promoted"):
            promoted.roll_back("embeddings")

    def test_what_was_promoted_after_a_rollback_is_undone_first(self, promoted):
        promoted.roll_back("embeddings")
        promoted.point("embeddings", "a", "again")
        assert promoted.roll_back("embeddings") == "b"

    def test_promoting_the_current_one_again_changes_nothing(self, promoted):
        promoted.point("embeddings", "c", "again")
        assert promoted.roll_back("embeddings") == "b"

    def test_a_rollback_to_what_is_gone_is_refused(self, promoted):
        promoted.remove("embeddings", "b")
        with pytest.raises(ArtifactError, match=r"0 embeddings in .* match 'b'"):
            promoted.roll_back("embeddings")
        assert promoted.current("embeddings") == "c"

    @pytest.mark.parametrize("rollback", [False, True])
    def test_a_crash_between_the_history_and_the_swap(self, promoted, monkeypatch, rollback):
        def crash(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(artifacts.Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            promoted.point("embeddings", "b" if rollback else "a", "", rollback=rollback)
        monkeypatch.undo()
        assert promoted.current("embeddings") == "c"
        assert promoted.roll_back("embeddings") == "b"

    def test_a_torn_last_line_of_history_loses_only_itself(self, promoted):
        path = promoted.root / "embeddings" / artifacts.HISTORY
        with path.open("a") as log:
            log.write('{"fingerprint": "c", "prev')
        assert promoted.roll_back("embeddings") == "b"
        assert len(promoted.history("embeddings")) == 4


class TestRemoving:
    def test_what_was_removed_is_gone_whole(self, store):
        publish(store, "embeddings", "a1", numbers())
        store.remove("embeddings", "a1")
        assert standing(store) == []

    def test_a_crash_while_removing_leaves_no_half_artifact(self, store, monkeypatch):
        publish(store, "embeddings", "a1", numbers())
        monkeypatch.setattr(artifacts.shutil, "rmtree", lambda *_, **__: None)
        store.remove("embeddings", "a1")
        monkeypatch.undo()
        assert store.find("embeddings", "a1") is None and store.all("embeddings") == []
        sweep_drafts(store.root / "embeddings")
        assert standing(store) == []

    def test_what_is_not_there_cannot_be_removed(self, store):
        with pytest.raises(FileNotFoundError):
            store.remove("embeddings", "a1")
        assert standing(store) == []


def test_a_work_folder_is_the_same_one_again(store):
    first = store.scratch("train", "a1")
    (first / "checkpoint").write_text("1")
    assert (store.scratch("train", "a1") / "checkpoint").read_text() == "1"


def test_the_manifest_is_plain_json(store):
    published = publish(store, "embeddings", "a1", numbers(), facts={"share": 0.5, "none": None})
    assert json.loads((published.path / MANIFEST).read_text())["facts"]["none"] is None


def test_a_fact_that_is_not_a_number_is_refused_before_publishing(store):
    with pytest.raises(ValueError, match="not JSON compliant"):
        publish(store, "embeddings", "a1", numbers(), facts={"share": float("nan")})
    assert standing(store) == []
