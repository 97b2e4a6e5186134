"""The door of the train stage, on the planted world: files, facts, errors."""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline import files, measure, schema
from pipeline.artifacts import Store
from pipeline.config import FIRST, DataConfig, DistillConfig, RuntimeConfig, TrainConfig
from pipeline.errors import ArtifactError, ConfigError, DataError, StageFailedError
from pipeline.job import Job
from pipeline.measure.progress import Metrics
from pipeline.models import MODELS
from pipeline.schema import KINDS
from pipeline.train import stage
from tests import ranking_worlds, worlds

SMALL = {"width": 8, "layers": 2, "heads": 2, "epochs": 2, "learning_rate": 0.01, "init_std": 0.1}


def job_for(tmp_path, world, **settings) -> Job[TrainConfig]:
    store = Store(tmp_path / "store")
    into, scratch = tmp_path / "into", tmp_path / "scratch"
    into.mkdir(exist_ok=True, parents=True)
    scratch.mkdir(exist_ok=True)
    inputs = {
        "tables": worlds.tables(store, world),
        "embeddings": worlds.embeddings(store, world),
        "graphs": worlds.graphs(store, world),
    }
    with measure.task("train") as task:
        return Job(
            config=TrainConfig(**{**SMALL, **settings}),
            data=DataConfig(format="demo"),
            inputs=inputs,
            into=into,
            scratch=scratch,
            task=task,
            runtime=RuntimeConfig(device="cpu"),
        )


@pytest.mark.parametrize("model", MODELS.names())
def test_every_model_leaves_the_files_that_ranking_needs(tmp_path, model):
    world = worlds.planted()
    job = job_for(tmp_path, world, model=model)
    facts = stage.run(job)
    left = {p.name for p in job.into.iterdir()}
    assert {"weights.safetensors", "curve.jsonl"} <= left <= set(KINDS["model"].files)
    if "item_item.npz" in left:
        weights = files.read_matrix(job.into / "item_item.npz")
        assert weights.shape == (world.n_items, world.n_items)
        assert np.isfinite(weights.data).all()
    else:
        shapes = {n: files.read_array(job.into / f"{n}.npy").shape for n in
                  ("user_vectors", "item_vectors", "fold_in")}  # fmt: skip
        assert shapes["user_vectors"][0] == world.n_users
        assert shapes["item_vectors"] == shapes["fold_in"]
        assert shapes["item_vectors"] == (world.n_items, shapes["user_vectors"][1])
    assert facts["best_validation"] > 0
    assert facts["epochs_run"] == (2 if facts["parameters"] else 0)


def test_a_cold_user_gets_the_zero_vector(tmp_path):
    world = worlds.planted()
    job = job_for(tmp_path, world)
    stage.run(job)
    users = files.read_array(job.into / "user_vectors.npy")
    assert not users[world.cold_user].any()
    assert users[np.arange(len(users)) != world.cold_user].any(axis=1).all()


def test_the_facts_tell_what_was_learned(tmp_path):
    facts = stage.run(job_for(tmp_path, worlds.planted()))
    learned = facts["learned"]
    shares = [v for k, v in learned.items() if k.startswith("share/")]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    gates = [v for k, v in learned.items() if k.startswith("modality/")]
    assert len(gates) == 2
    assert all(0 < g < 1 for g in gates)


def test_the_curve_has_a_line_per_epoch(tmp_path):
    job = job_for(tmp_path, worlds.planted(), epochs=3, evaluate_every=2)
    stage.run(job)
    curve = files.read_lines(job.into / "curve.jsonl")
    assert [line["epoch"] for line in curve] == [1, 2, 3]
    assert ["recall@20" in line for line in curve] == [False, True, True]


@pytest.mark.parametrize("loss", ["bpr", "bce", "softmax"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_every_loss_and_schedule_trains(tmp_path, loss, schedule):
    facts = stage.run(job_for(
        tmp_path, worlds.planted(), loss=loss, schedule=schedule, warmup_steps=2,
        dropout=0.1, edge_dropout=0.1, draw="users", negatives=3, negatives_from="all",
    ))  # fmt: skip
    assert facts["best_validation"] > 0


def test_without_a_validation_user_the_last_weights_stay(tmp_path):
    world = worlds.planted()
    split = np.where(world.split == schema.VALIDATION, schema.TEST, world.split)
    facts = stage.run(job_for(tmp_path, dataclasses.replace(world, split=split)))
    assert facts["best_validation"] is None
    assert facts["best_epoch"] == facts["epochs_run"] == 2


def test_an_unknown_model_names_the_closest(tmp_path):
    with pytest.raises(ConfigError, match=r"lightgcm.*lightgcn"):
        stage.run(job_for(tmp_path, worlds.planted(), model="lightgcm"))


def test_lists_cannot_teach_what_has_nothing_to_train(tmp_path):
    world = worlds.planted()
    job = job_for(tmp_path, world, model="ease", distill=DistillConfig())
    store = Store(tmp_path / "store")
    given = ranking_worlds.inputs(store, world)
    first = {
        f"model:{FIRST}": given["model"],
        f"ranker:{FIRST}": ranking_worlds.ranker(store, given),
    }
    with pytest.raises(ConfigError, match=r"train.distill: ease has nothing to train"):
        stage.run(dataclasses.replace(job, inputs={**job.inputs, **first}))


def test_an_unknown_metric_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="recal@20"):
        stage.run(job_for(tmp_path, worlds.planted(), select_metric="recal@20"))


def test_nothing_to_learn_from_is_an_error_with_a_cure(tmp_path):
    world = worlds.planted()
    empty = dataclasses.replace(world, split=np.full_like(world.split, schema.TEST))
    with pytest.raises(DataError, match=r"etl\.split"):
        stage.run(job_for(tmp_path, empty))


def test_a_vector_that_is_not_finite_is_refused(tmp_path):
    world = worlds.planted()
    world.vectors["text"][7, 2] = np.nan
    with pytest.raises(ArtifactError, match="1 text vectors are not finite"):
        stage.run(job_for(tmp_path, world))


def test_artifacts_of_another_run_are_refused(tmp_path):
    world = worlds.planted()
    smaller = {m: v[:-1] for m, v in world.vectors.items()}
    masks = {m: p[:-1] for m, p in world.present.items()}
    other = dataclasses.replace(world, vectors=smaller, present=masks)
    job = job_for(tmp_path / "a", world)
    mixed = {**job.inputs, "embeddings": worlds.embeddings(Store(tmp_path / "b"), other)}
    with pytest.raises(ArtifactError, match="63 rows, but the tables have 64"):
        stage.run(dataclasses.replace(job, inputs=mixed))


def test_divergence_is_a_clear_error(tmp_path):
    with pytest.raises(StageFailedError, match=r"diverged in epoch .*train\.learning_rate"):
        stage.run(job_for(tmp_path, worlds.planted(), learning_rate=1e30, epochs=20))


def test_the_same_job_leaves_the_same_bytes(tmp_path):
    ends = []
    for name in ("a", "b"):
        job = job_for(tmp_path / name, worlds.planted(), dropout=0.1, edge_dropout=0.1)
        stage.run(job)
        ends.append({p.name: p.read_bytes() for p in job.into.iterdir()})
    assert ends[0] == ends[1]


def test_global_random_state_is_left_alone(tmp_path):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    stage.run(job_for(tmp_path, worlds.planted()))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("items", ["all", "active"])
def test_sampled_training_leaves_a_model_and_its_graph_in_scratch(tmp_path, items):
    world = worlds.planted()
    job = job_for(tmp_path, world, model="gat", fan_out=(3, 2), items=items)
    facts = stage.run(job)
    assert facts["epochs_run"] == 2
    assert files.read_array(job.into / "item_vectors.npy").shape == (world.n_items, 8)
    left = {p.name for p in (job.scratch / "graph").iterdir()}
    assert {"user_item_indices.npy", "relation_text_weights.npy"} <= left
    assert not any("draft" in name for name in left)
    assert files.read_array(job.scratch / "graph" / "user_item_indices.npy").dtype == np.int32


def test_sampled_training_ends_the_same_after_a_kill(tmp_path):
    class Stopped(Exception):
        """A kill."""

    def stop(progress):
        if progress.epoch == 1:
            raise Stopped

    world, outputs = worlds.planted(), []
    for name, killed in (("whole", False), ("killed", True)):
        job = job_for(tmp_path / name, world, model="gat", fan_out=(3, 2), average=0.5)
        if killed:
            with pytest.raises(Stopped):
                stage.run(job, stop)
            (job.scratch / "graph" / "user_item_indices.npy").write_bytes(b"half a file")
        stage.run(job)
        outputs.append(files.read_array(job.into / "item_vectors.npy"))
    assert np.array_equal(*outputs)


class _Ear:
    def __init__(self):
        self.logged = []

    def hear(self, event):
        if isinstance(event, Metrics):
            self.logged.append(event)


def listened(job: Job[TrainConfig]) -> tuple[Job[TrainConfig], _Ear]:
    ear = _Ear()
    return dataclasses.replace(job, task=measure.Task("train", ear, path="train")), ear


def test_every_epoch_is_logged_with_what_validation_came_to(tmp_path):
    job, ear = listened(job_for(tmp_path, worlds.planted(), epochs=3, evaluate_every=2))
    stage.run(job)
    assert [(event.task, event.step) for event in ear.logged] == [
        ("train", 1), ("train", 2), ("train", 3),
    ]  # fmt: skip
    names = [{*event.values} for event in ear.logged]
    assert names[0] == {"loss", "epoch_seconds"}
    assert names[1] == {"loss", "epoch_seconds", "recall@20", "ndcg@20"}
    curve = files.read_lines(job.into / "curve.jsonl")
    assert [event.values["loss"] for event in ear.logged] == [entry["loss"] for entry in curve]


def test_a_training_that_goes_on_logs_the_epochs_before_the_kill_too(tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def until(progress) -> None:
        if progress.epoch == 3:
            raise Killed

    monkeypatch.setattr("pipeline.train.checkpoint.Checkpoints.due", lambda _: True)
    job, ear = listened(job_for(tmp_path, worlds.planted(), epochs=4))
    with pytest.raises(Killed):
        stage.run(job, until)
    again, later = listened(job)
    stage.run(again)
    assert [event.step for event in ear.logged] == [1, 2, 3]
    assert [event.step for event in later.logged] == [1, 2, 3, 4]


def test_recipes_that_compete_log_under_their_own_names(tmp_path):
    settings = {"model": "auto", "epochs": 2}
    job, ear = listened(job_for(tmp_path, worlds.planted(), **settings))
    stage.run(job)
    assert {event.task for event in ear.logged} == {"train/softmax", "train/bpr"}
