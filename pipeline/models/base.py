"""What every model is made from and gives: one protocol for learned and closed-form models."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.models.sparse import Edges
from pipeline.registry import Registry


@dataclass(frozen=True)
class Relation:
    """Weighted item-item edges.

    Shapes:
        weights: (E,) float32, non-negative.
    """

    edges: Edges
    weights: Tensor


@dataclass(frozen=True)
class Inputs:
    """What a model may know: the training interactions, and content.

    Shapes:
        user_item: pattern (U, N). relations: each (N, N).
        vectors: each (N, width of the modality). present: each (N,) bool.
    """

    user_item: Edges
    relations: Mapping[str, Relation] = field(default_factory=lambda: MappingProxyType({}))
    vectors: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    present: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def users(self) -> int:
        """Return U."""
        return self.user_item.shape[0]

    @property
    def items(self) -> int:
        """Return N."""
        return self.user_item.shape[1]

    @property
    def user_degrees(self) -> Tensor:
        """Return each user's number of training interactions, (U,) float32."""
        return self.user_item.indptr.diff().float()

    @property
    def item_degrees(self) -> Tensor:
        """Return each item's number of training interactions, (N,) float32."""
        return self.user_item.transposed_indptr.diff().float()

    @property
    def hot(self) -> Tensor:
        """Return which items have a training interaction, (N,) bool."""
        return self.item_degrees > 0

    def to(self, device: torch.device) -> "Inputs":
        """Return the inputs on ``device``."""
        relations = {
            name: Relation(r.edges.to(device), r.weights.to(device))
            for name, r in self.relations.items()
        }
        vectors = {name: v.to(device) for name, v in self.vectors.items()}
        present = {name: p.to(device) for name, p in self.present.items()}
        return Inputs(self.user_item.to(device), relations, vectors, present)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Hyper-parameters; a model reads those that concern it."""

    width: int = 64
    """D, of user and item vectors."""
    layers: int = 3
    """Propagation layers."""
    heads: int = 4
    """Attention gates per relation; 0 leaves attention out."""
    dropout: float = 0.0
    """On the content part of an item's input."""
    attend_users: bool = False
    """Whether user-item edges learn gates and a share too, and not only item-item edges."""
    edge_dropout: float = 0.0
    """Share of user-item edges left out of a step."""
    layer_dropout: float = 0.0
    """Chance that a layer is left out of the layer mean in a step."""
    modality_dropout: float = 0.0
    """Chance that a present modality of an item is hidden in a step."""
    id_dropout: float = 0.0
    """Chance that the id embedding of an item with content is hidden in a step."""
    new_items: float = 0.0
    """Chance that an item with content has neither id embedding nor user-item edge in a step."""
    centre_content: bool = False
    """Whether a modality enters less its mean over the items that have it."""
    relation_weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Initial weight of an item-item edge against 1 for a user-item edge; 0 drops the relation."""
    shift: float = 0.0
    """mu of the spectrum shift (A - mu I) / scale."""
    scale: float = 1.0
    """Divisor of the spectrum shift."""
    init_std: float = 0.1
    """Standard deviation of new id embeddings."""
    fusion: str = "gated"
    """How the modalities of an item become one vector."""
    experts: int = 4
    """Networks among which mixture fusion chooses."""
    experts_used: int = 2
    """Experts that serve an item; 0 lets all."""
    balance: float = 0.01
    """Weight of the load-balancing loss of mixture fusion."""
    attention: str = "gatv2"
    """The layer of gat_plain."""
    item_layers: int = 1
    """Propagation layers of the frozen item graph (freedom)."""
    turns: int = 10
    """Times that users, then items, are solved for (als)."""
    confidence: float = 10.0
    """What an interaction weighs more than a missing one, which weighs 1 (als)."""
    ridge: float = 10.0
    """L2 penalty on vectors (als)."""
    neighbors: int = 100
    """Neighbours kept per item (item_knn, ease)."""
    shrinkage: float = 10.0
    """Added to the denominator of the cosine (item_knn)."""
    l2: float = 200.0
    """Penalty on the squared distance of the weights from their prior (ease)."""
    user_power: float = 0.3
    """A user with d interactions weighs d^-user_power (ease)."""
    prior_scale: float = 0.08
    """Of the item-item relations as the weights' prior, 0 for none (ease)."""
    solver: str = "auto"
    """auto, dense or local (ease)."""


@dataclass(frozen=True)
class Vectors:
    """What a step's loss needs.

    Shapes:
        users: (U, D) and items: (N, D), whose inner products are scores.
        user_ids: (U, D) and item_ids: (N, D), the id embeddings that the L2 penalty is on.
        extra: (), what the model itself adds to the loss of a step.
    """

    users: Tensor
    items: Tensor
    user_ids: Tensor
    item_ids: Tensor
    extra: Tensor | None = None


@dataclass(frozen=True)
class ItemItem:
    """Sparse item-item weights, CSR; row = the item a user has."""

    indptr: Tensor
    indices: Tensor
    values: Tensor
    shape: tuple[int, int]


@dataclass(frozen=True)
class Outputs:
    """What ranking needs: arrays by name (user_vectors, item_vectors, fold_in), or item_item.

    A new user with history h has the vector ``sum(fold_in[i] for i in h) / sqrt(len(h))``.
    """

    vectors: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    item_item: ItemItem | None = None


class Recommender(nn.Module):
    """A model: parameters where it learns, none where it is closed-form.

    A model without parameters is complete once made, so that training it takes zero epochs.
    """

    uses_content: ClassVar[bool] = True
    """Whether it looks at the vectors of modalities; they are read for those that do alone."""
    masks_edges: ClassVar[bool] = False
    """Whether ``forward`` also takes ``factors``: what the weight of each user-item edge is
    multiplied with in both directions, (E,)."""

    def __init__(self, inputs: Inputs) -> None:
        """Keep the inputs, which are constant and no part of the weights."""
        super().__init__()
        self.inputs: Inputs = inputs

    def forward(self, noise: torch.Generator | None = None) -> Vectors:
        """Return the vectors of a step; ``noise`` draws what is dropped, None drops nothing."""
        raise NotImplementedError(f"{type(self).__name__} has nothing to learn")

    def modality_views(self, rows: Tensor) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Return each modality's own vectors of some items, and which of them have it.

        Shapes:
            rows: (B,). returns: (B, D) and (B,) bool each; nothing for a model without content.
        """
        return {}

    def outputs(self) -> Outputs:
        """Return what ranking needs, for the parameters as they are."""
        raise NotImplementedError

    def learned(self) -> dict[str, float]:
        """Return the few numbers a reader wants to know: relation weights, gates."""
        return {}

    @property
    def learns(self) -> bool:
        """Return whether there is any parameter to train."""
        return any(True for _ in self.parameters())


Maker = Callable[[Inputs, Options, int], Recommender]
"""Makes a model from inputs, options and the seed of its new parameters."""

MODELS: Registry[Maker] = Registry("model")
"""Every model by name."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw new parameters from ``seed`` and leave torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def new_ids(count: int, options: Options) -> nn.Parameter:
    """Return id embeddings (count, D) drawn from torch's current generator."""
    return nn.Parameter(options.init_std * torch.randn(count, options.width))


def kept(size: tuple[int, ...], chance: float, like: Tensor, noise: torch.Generator) -> Tensor:
    """Return which entries survive a dropout of ``chance``, bool of shape ``size``."""
    return torch.rand(size, generator=noise, device=like.device) >= chance


def only_known_users(vectors: Tensor, inputs: Inputs) -> Tensor:
    """Return user vectors (U, D) with zeros for users who have no training interaction."""
    return vectors * (inputs.user_degrees > 0).unsqueeze(1).to(vectors.device)
