"""The planted world as model inputs and training data, without artifacts."""

import numpy as np
import torch

from pipeline import schema
from pipeline.config import TrainConfig
from pipeline.models import Edges, Inputs, Recommender
from pipeline.train.active import edges_of
from pipeline.train.data import TrainingData, relation_of
from pipeline.train.loop import Trainer
from pipeline.train.stage import made
from tests.worlds import World, knn


def inputs_of(world: World, neighbours: int = 5) -> Inputs:
    relations = {
        m: relation_of(knn(v, world.present[m], neighbours)) for m, v in world.vectors.items()
    }
    vectors = {m: torch.from_numpy(v) for m, v in world.vectors.items()}
    present = {m: torch.from_numpy(p) for m, p in world.present.items()}
    return Inputs(edges_of(sorted_rows(world.matrix())), relations, vectors, present)


def sorted_rows(matrix):
    matrix.sort_indices()
    return matrix


def data_of(world: World) -> TrainingData:
    train = sorted_rows(world.matrix())
    validation = sorted_rows(world.matrix(schema.VALIDATION))
    return TrainingData(inputs_of(world), train, validation)


def config_of(**settings) -> TrainConfig:
    small = {
        "width": 16, "layers": 2, "heads": 2, "learning_rate": 0.02, "batch_size": 128,
        "epochs": 30, "weight_decay": 1e-4, "init_std": 0.1, "evaluate_every": 5, "patience": 3,
    }  # fmt: skip
    return TrainConfig(**{**small, **settings})


def model_of(data: TrainingData, config: TrainConfig, seed: int = 0) -> Recommender:
    return made(config, data.inputs, seed)


def trainer_of(world: World, seed: int = 0, **settings) -> Trainer:
    data, config = data_of(world), config_of(**settings)
    return Trainer(model_of(data, config, seed), data, config, seed)


def scores_of(model: Recommender) -> np.ndarray:
    vectors = model.outputs().vectors
    return (vectors["user_vectors"] @ vectors["item_vectors"].T).numpy()


def random_edges(seed: int, rows: int = 7, columns: int = 5, chance: float = 0.4) -> Edges:
    pattern = np.random.default_rng(seed).random((rows, columns)) < chance
    indptr = torch.from_numpy(np.concatenate([[0], pattern.sum(axis=1).cumsum()]))
    return Edges.of(indptr, torch.from_numpy(pattern.nonzero()[1]), (rows, columns))


def drawn(seed: int, *size: int, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)
