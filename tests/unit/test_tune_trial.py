"""One training of a study on the planted world: the stage's own numbers, and nothing left."""

import dataclasses
import time

import numpy as np
import pytest

from pipeline import schema
from pipeline.artifacts import SCRATCH, Store
from pipeline.config import TrainConfig
from pipeline.errors import DataError, StageKilledError
from pipeline.measure import Silent
from pipeline.train import checkpoint, stage
from pipeline.tune import trial as trials
from pipeline.tune.findings import Findings
from pipeline.tune.search import Budget
from pipeline.tune.study import BEST, check_out, check_validation, space_of, write_choice
from pipeline.tune.trial import Asked, Outcome, try_out
from tests import worlds
from tests.tune_worlds import SMALL, bench, here, lines, published, study, train_step

BUDGET = Budget(trials=4, seeds=1)


def nothing(_):
    return None


@pytest.fixture
def store(tmp_path):
    return published(tmp_path / "store", worlds.planted())


def left(store: Store) -> set[str]:
    return {p.name for p in store.root.iterdir()}


@pytest.mark.parametrize("model", ["mf", "item_knn"])
def test_a_trial_has_the_value_of_the_stage_and_leaves_no_model(store, tmp_path, model):
    train = SMALL.model_copy(update={"model": model})
    order = bench(store, train).order(Asked("trial 1", train, seed=3))
    outcome = try_out(order, Silent())
    step = dataclasses.replace(train_step(train))
    again = dataclasses.replace(order, step=step)
    into, scratch = tmp_path / "into", tmp_path / "scratch"
    into.mkdir()
    scratch.mkdir()
    with trials.measure.task("train") as task:
        facts = stage.run(trials.job_of(again, into, scratch, task))
    assert outcome.value == facts["best_validation"]
    assert outcome.parameters == facts["parameters"]
    assert outcome.curve[-1][0] == (4 if model == "mf" else 0)
    assert not outcome.pruned
    assert left(store) == {"tables", "embeddings", "graphs", SCRATCH}


def test_a_trial_that_is_behind_stops_where_it_is(store):
    limits = (None, 1.0, 1.0)
    order = bench(store).order(Asked("trial 1", SMALL, 0, limits))
    outcome = try_out(order, Silent())
    assert outcome.pruned
    assert [epoch for epoch, _ in outcome.curve] == [1, 2]
    assert outcome.value == max(value for _, value in outcome.curve)


def test_a_trial_goes_on_from_the_checkpoint_of_one_that_was_killed(store, monkeypatch):
    asked = Asked("trial 1", SMALL.model_copy(update={"epochs": 6}), 0)
    whole = try_out(bench(store).order(asked), Silent())
    trials.shutil.rmtree(store.root / SCRATCH)
    monkeypatch.setattr(checkpoint.Checkpoints, "due", lambda _: True)
    run, epochs = stage.run, []

    def dies(job, watch):
        def count(progress):
            watch(progress)
            epochs.append(progress.epoch)
            if len(epochs) == 4:
                raise KeyboardInterrupt

        return run(job, count)

    monkeypatch.setattr(stage, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        try_out(bench(store).order(asked), Silent())
    assert try_out(bench(store).order(asked), Silent()) == whole
    assert epochs == [1, 2, 3, 4, 3, 4, 5, 6], "the fourth epoch's checkpoint was not yet written"


def test_a_training_that_diverges_is_a_failed_trial(store):
    wild = SMALL.model_copy(update={"learning_rate": 1e30, "epochs": 20})
    outcome = try_out(bench(store).order(Asked("trial 1", wild, 0)), Silent())
    assert outcome.value is None
    assert "diverged" in outcome.failed


def test_the_same_question_has_the_same_scratch_and_another_has_another(store):
    def place(**asked) -> str:
        return bench(store).order(Asked(**{**known, **asked})).step.fingerprint

    known = {"name": "trial 1", "config": SMALL, "seed": 0}
    assert place() == place(name="trial 7") == place(limits=(0.5,))
    assert len({place(), place(seed=1), place(config=TrainConfig())}) == 3


def test_a_process_that_dies_is_tried_again_and_then_recorded(store, monkeypatch):
    begun = []

    def dies(order):
        begun.append(order.step.fingerprint)
        if len(begun) != 2:
            raise StageKilledError("ended by SIGKILL")
        time.sleep(0.1)  # seconds are rounded
        return Outcome(0.5, ((1, 0.5),))

    monkeypatch.setattr(trials, "_in_a_child", dies)
    first = bench(store).attempt(Asked("trial 1", SMALL, 0))
    assert (first.value, len(begun)) == (0.5, 2)
    assert first.seconds > 0
    second = bench(store).attempt(Asked("trial 2", SMALL, 0))
    assert (second.failed, len(begun)) == ("ended by SIGKILL", 4)
    assert not [*(store.root / SCRATCH / "tune").iterdir()]


def test_a_fresh_process_comes_to_the_same(store):
    asked = Asked("trial 1", SMALL, 0)
    apart = bench(store).attempt(asked)
    assert dataclasses.replace(apart, seconds=0.0) == here(store)(asked)


def found_on(root, world) -> tuple[list[tuple[object, ...]], str]:
    store = published(root, world)
    findings = study(store).run(BUDGET, nothing, here(store))
    return lines(findings.record), (findings.record.folder / BEST).read_text()


def test_the_test_split_is_never_read(tmp_path):
    """Rows that would turn the result around if they were read: the same study without them."""
    world = worlds.planted()
    kept = world.split != schema.TEST
    without = dataclasses.replace(
        world, users=world.users[kept], items=world.items[kept], split=world.split[kept]
    )
    cluster = (world.user_cluster + 1) % worlds.CLUSTERS
    wrong = [
        (u, i)
        for u in range(world.n_users)
        for i in np.flatnonzero(world.item_cluster == cluster[u])
    ]
    users, items = np.array(wrong).T
    planted = dataclasses.replace(
        without,
        users=np.concatenate([without.users, users]),
        items=np.concatenate([without.items, items]),
        split=np.concatenate([without.split, np.full(len(users), schema.TEST, dtype=np.int8)]),
    )
    assert found_on(tmp_path / "planted", planted) == found_on(tmp_path / "without", without)
    learned = dataclasses.replace(planted, split=np.where(
        planted.split == schema.TEST, schema.TRAIN, planted.split
    ))  # fmt: skip
    assert found_on(tmp_path / "learned", learned)[0] != found_on(tmp_path / "x", without)[0]


def test_a_study_leaves_its_journal_and_its_choice_alone(store):
    findings = study(store).run(BUDGET, nothing, here(store))
    assert left(store) == {"tables", "embeddings", "graphs", SCRATCH, "studies"}
    names = {p.name for p in findings.record.folder.iterdir()}
    assert names == {"journal.log", "study.json", "lock", BEST}
    assert findings.value >= findings.value_of(findings.trials[0])


def test_tables_without_validation_are_refused_before_anything_is_trained(tmp_path):
    world = worlds.planted()
    split = np.where(world.split == schema.VALIDATION, schema.TRAIN, world.split)
    store = published(tmp_path, dataclasses.replace(world, split=split))
    with pytest.raises(DataError, match=r"nothing to choose by.*etl\.split"):
        study(store).run(BUDGET, nothing, here(store))
    assert not (store.root / "studies").exists()
    with pytest.raises(DataError):
        check_validation(store.open("tables", "7ab1e5"))


def test_the_models_own_space_weighs_the_graphs_that_were_made(store):
    step = train_step(TrainConfig(model="gat"))
    found = space_of(None, TrainConfig(model="gat"), step, store).dimensions
    weighed = {n.rsplit(".", 1)[1] for n in found if "relation_weights" in n}
    assert weighed == {"text", "image", "cooccurrence"}


def test_a_file_that_tune_did_not_write_is_not_overwritten(store, tmp_path):
    mine, theirs = tmp_path / "mine.yaml", tmp_path / "theirs.yaml"
    theirs.write_text("name: precious\n")
    findings = study(store).run(Budget(trials=1), nothing, here(store))
    for out in (None, mine):
        check_out(out)
        assert write_choice(findings, out).read_text() == write_choice(findings, None).read_text()
    check_out(mine)
    with pytest.raises(trials.PlotpointeError, match=r"theirs\.yaml exists"):
        check_out(theirs)
    assert isinstance(findings, Findings)
