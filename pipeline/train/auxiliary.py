"""What a step minimises beside the ranking loss: contrast of views, alignment of modalities."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pipeline.config import TrainConfig
from pipeline.models.base import Recommender, Vectors
from pipeline.models.linear import drop_edges
from pipeline.models.regularizers import info_nce, noisy
from pipeline.train.batch import TensorBatch

Auxiliary = Callable[[Recommender, Vectors, TensorBatch, torch.Generator], Tensor]
"""From a model, the vectors of the step, its batch and its noise to a weighted loss, ()."""


def auxiliaries_of(config: TrainConfig) -> list[Auxiliary]:
    """Return the auxiliary losses that a configuration asks for; none by default."""
    found: list[Auxiliary] = []
    if config.view_weight:
        found.append(
            Views(
                config.view_kind, config.view_weight, config.view_strength, config.view_temperature
            )
        )
    if config.align_weight:
        found.append(Alignment(config.align_weight, config.align_temperature))
    return found


@dataclass(frozen=True)
class Views:
    """Two views of the batch's users, and of its positives, shall agree.

    ``edges``: two propagations over graphs that each lack a share of the user-item edges (SGL: Wu
    et al., SIGIR 2021, arXiv 2010.10783; here the rest is scaled to keep the mean, where they
    normalise again, and negatives are the rest of the batch). ``noise``: the finished vectors,
    moved at random twice (see ``regularizers.noisy``), which costs next to nothing.
    """

    kind: Literal["edges", "noise"]
    weight: float
    strength: float
    temperature: float

    def __call__(
        self, model: Recommender, vectors: Vectors, batch: TensorBatch, noise: torch.Generator
    ) -> Tensor:
        """Return the weighted sum of the users' and the items' InfoNCE."""
        users, items = distinct(batch.users), distinct(batch.positives)
        view = self._dropped if self.kind == "edges" else self._moved
        first, second = (view(model, vectors, (users, items), noise) for _ in range(2))
        sides = (info_nce(a, b, self.temperature) for a, b in zip(first, second, strict=True))
        return self.weight * sum(sides, torch.zeros((), device=users.device))

    def _dropped(
        self, model: Recommender, _: Vectors, rows: tuple[Tensor, Tensor], noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        edges = model.inputs.user_item
        ones = torch.ones(edges.count, device=edges.indices.device)
        seen = model(None, drop_edges(ones, self.strength, noise))
        return seen.users[rows[0]], seen.items[rows[1]]

    def _moved(
        self, _: Recommender, vectors: Vectors, rows: tuple[Tensor, Tensor], noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        users, items = vectors.users[rows[0]], vectors.items[rows[1]]
        return noisy(users, self.strength, noise), noisy(items, self.strength, noise)


@dataclass(frozen=True)
class Alignment:
    """Each modality's own vector of an item shall find the item's final vector.

    InfoNCE over the batch's positives that have the modality, one term per modality, between what
    the modality alone enters the model with and what comes out after propagation. After the
    alignment terms of MSCA and RecGOAT, with the batch as negatives.
    """

    weight: float
    temperature: float

    def __call__(
        self, model: Recommender, vectors: Vectors, batch: TensorBatch, _: torch.Generator
    ) -> Tensor:
        """Return the weighted sum over modalities; 0 for a model that has no modality."""
        rows, total = distinct(batch.positives), vectors.items.new_zeros(())
        for view, present in model.modality_views(rows).values():
            if present.any():
                total = total + info_nce(
                    view[present], vectors.items[rows][present], self.temperature
                )
        return self.weight * total


def distinct(rows: Tensor) -> Tensor:
    """Return each row once, ascending: the same thing twice would be its own negative, (<= B,)."""
    found: Tensor = rows.unique()  # type: ignore[no-untyped-call]
    return found
