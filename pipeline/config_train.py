"""The sections of what is learned: models, baselines, and the second stage."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from pipeline.sections import Section

FIRST = "first"
"""Names the network and the second stage that the main network learns from, where it does."""


class DistillConfig(Section):
    """Lists of a second stage put back into vectors; needs the rank section."""

    weight: float = Field(1.0, gt=0)
    """Of the lists in the loss."""
    items: int = Field(50, ge=1)
    """Length of each user's list."""
    users: int = Field(1024, ge=1)
    """Users of a batch whose lists are learned from."""
    negatives: int = Field(64, ge=1)
    """Random items that stand beside the lists of a batch."""
    temperature: float = Field(1.0, gt=0)
    """Of the second stage's scores."""
    first: Mapping[str, Any] = Field(default_factory=dict)
    """Fields of TrainConfig in which the first network differs."""


class TrainConfig(Section):
    """Tables, embeddings and graphs to a model."""

    model: str = "gat"
    """A registered model: gat, gat_plain, freedom, vbpr, lightgcn, mf, als, ease,
    item_knn, popularity; ``auto`` trains gat by recipes that need no tuning, and keeps the best."""
    width: int = Field(64, ge=1)
    """Width of user and item vectors."""
    layers: int = Field(3, ge=0)
    """Propagation layers."""
    heads: int = Field(4, ge=0)
    """Attention heads; 0 leaves attention out of gat."""
    loss: Literal["bpr", "softmax", "bce"] = "bpr"
    """``softmax`` is sampled softmax with in-batch and uniform negatives."""
    negatives: int = Field(1, ge=1)
    """Sampled negatives per positive (bpr, bce) or per batch (softmax)."""
    negatives_from: Literal["train", "all"] = "train"
    """Draw negatives among items seen in training, or among all."""
    temperature: float = Field(0.2, gt=0)
    """Of the softmax."""
    epochs: int = Field(200, ge=0)
    """At most this many passes over the positives."""
    batch_size: int = Field(2048, ge=1)
    """Positives per step; changes results. One propagation serves them all: large data wants large
    batches."""
    steps_per_epoch: int | None = Field(None, ge=1)
    """Steps of an epoch, in place of ``batch_size``: batches grow with the load, in whole groups of
    ``in_batch``, so that an epoch takes as many propagations at any size."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks over content and of the projections of attention in a step, by autocast;
    parameters, propagation and loss stay float32. For GPUs; changes results a little."""
    fan_out: tuple[PositiveInt, ...] | None = None
    """Neighbours of each kind that a node keeps in a step, the batch's own layer first, such as
    [10, 10, 5]: for graphs beyond memory. null propagates over the whole graph (gat)."""
    in_batch: int = Field(2048, ge=1)
    """Positives that are one another's candidates: a larger batch is scored in groups of so many
    (softmax)."""
    learning_rate: float = Field(5e-3, gt=0)
    """Peak rate of AdamW."""
    weight_decay: float = Field(5e-3, ge=0)
    """L2 penalty on the embeddings of a batch (LightGCN's), or AdamW's decay elsewhere."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Of the learning rate after warm-up."""
    warmup_steps: int = Field(0, ge=0)
    """Linear warm-up."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the fused item input."""
    edge_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of user-item edges left out of each step's propagation."""
    modality_dropout: float = Field(0.1, ge=0, lt=1)
    """Chance that a present modality is hidden from the fusion in a step."""
    id_dropout: float = Field(0.1, ge=0, lt=1)
    """Chance that an item's id embedding is hidden, so that content alone must serve."""
    new_items: float = Field(0.0, ge=0, lt=1)
    """Chance that an item with content loses its id embedding and its user-item edges in a step, so
    that training practises what an item without interactions gets (gat)."""
    centre_content: bool = False
    """Whether a modality enters fusion less its mean over the items that have it, of unit length:
    what all items share says nothing (gat, gat_plain)."""
    select_metric: str = Field("recall@20", pattern=r"^[a-z]+@[1-9][0-9]*$")
    """Validation metric that picks the checkpoint."""
    validation_users: int = Field(20_000, ge=1)
    """Users an epoch is validated on, drawn once; all of them where they are fewer."""
    evaluate_every: int = Field(1, ge=1)
    """Epochs between validations."""
    patience: int = Field(20, ge=1)
    """Validations without gain before stopping."""
    neighbors: int = Field(100, ge=1)
    """Neighbours kept per item, for item_knn and ease."""
    shrinkage: float = Field(10.0, ge=0)
    """Added to the denominator of the cosine, for item_knn."""
    l2: float = Field(200.0, gt=0)
    """Penalty on the squared distance of item-item weights from their prior, for ease."""
    user_power: float = Field(0.3, ge=0)
    """A user with d interactions weighs d^-user_power, for ease."""
    prior_scale: float = Field(0.08, ge=0)
    """Of the item-item relations, mixed by relation_weights, as the prior of ease; 0 for none."""
    solver: Literal["auto", "dense", "local"] = "auto"
    """Of ease: by one inverse of hot items x hot items, or for each item from the 2 x neighbors
    items that say most about it; auto is dense up to 20,000 hot items."""
    relation_weights: Mapping[str, float] = Field(
        default_factory=lambda: {"text": 0.9, "image": 0.1, "cooccurrence": 0.0}
    )
    """Item-item edges against 1 for a user-item edge, at first; 0 leaves out, others get 0.1."""
    shift: float = 0.05
    """mu of the spectrum shift (A - mu I) / scale, for gat."""
    scale: float = Field(0.75, gt=0)
    """Divisor of the spectrum shift."""
    init_std: float = Field(1e-4, gt=0)
    """Standard deviation of new id embeddings."""
    attend_users: bool = False
    """Whether user-item edges learn attention too, not only item-item edges (gat)."""
    gate_rate: float = Field(0.02, ge=0)
    """Learning rate of attention gates and relation shares against the others'."""
    fusion: Literal["gated", "mixture", "mean", "concat"] = "gated"
    """How the modalities of an item become one vector (gat, gat_plain): softmax gates over their
    projections, a mixture of experts, the mean of projections, or one network over all of them."""
    experts: int = Field(4, ge=1)
    """Networks among which mixture fusion chooses."""
    experts_used: int = Field(2, ge=0)
    """Experts that serve an item in mixture fusion; 0 lets all."""
    balance: float = Field(0.01, ge=0)
    """Weight of the loss that balances the load of the experts."""
    attention: Literal["gatv2", "gat"] = "gatv2"
    """The layer of gat_plain."""
    turns: int = Field(10, ge=0)
    """Times that users, then items, are solved for, for als."""
    confidence: float = Field(10.0, ge=0)
    """What an interaction weighs more than a missing one, which weighs 1, for als."""
    ridge: float = Field(10.0, gt=0)
    """L2 penalty on vectors, for als."""
    item_layers: int = Field(1, ge=0)
    """Propagation layers of the frozen item graph, for freedom."""
    distill: DistillConfig | None = None
    """Train a first network and rank with it, then learn from its lists too; null trains once."""
    items: Literal["auto", "all", "active"] = "auto"
    """Train on all items, or on those with interactions and attach the others by content and edges
    afterwards (gat); auto does that where at most half of the items have any."""
    new_item_share: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] | None = "auto"
    """Share of the places in lists that items without interactions take, by the length of their
    vectors; null leaves these as they come. ``auto`` is for attached items alone, and takes the
    share of validation's interactions that go to them."""
    draw: Literal["interactions", "users"] = "interactions"
    """An epoch visits each interaction once, or draws users uniformly and an item of each."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over the candidates (softmax)."""
    layer_dropout: float = Field(0.0, ge=0, lt=1)
    """Chance that a layer is left out of the layer mean in a step (gat, lightgcn)."""
    mixup: float = Field(0.0, ge=0)
    """a of Beta(a, a), by which the vectors of two positives are mixed; 0 mixes nothing."""
    adversarial_weight: float = Field(0.0, ge=0)
    """Of the loss on vectors that are moved against it (adversarial personalised ranking)."""
    adversarial_radius: float = Field(0.3, gt=0)
    """How far each vector is moved, against its length."""
    view_weight: float = Field(0.0, ge=0)
    """Of the contrast between two views of the batch's users and items."""
    view_kind: Literal["edges", "noise"] = "edges"
    """Views without some user-item edges (SGL; gat, lightgcn), or of moved vectors (SimGCL)."""
    view_strength: float = Field(0.1, gt=0, lt=1)
    """Share of edges that a view lacks, or the move against a vector's length."""
    view_temperature: float = Field(0.2, gt=0)
    """Of the contrast between views."""
    align_weight: float = Field(0.0, ge=0)
    """Of the contrast between each modality alone and an item's final vector (gat)."""
    align_temperature: float = Field(0.2, gt=0)
    """Of that contrast."""
    hide_positives: bool = False
    """Leave the batch's positives out of the graph of their own step (gat, lightgcn)."""
    coupled_decay: float = Field(0.0, ge=0)
    """Above 0, train by Adam with this L2 penalty on every parameter in every step, id embeddings
    included, in place of AdamW and its decay; ``weight_decay`` stays on the batch's embeddings."""
    average: float = Field(0.0, ge=0, lt=1)
    """Decay per step of the moving average of the weights, which is then what is validated and
    kept; 0 keeps the weights themselves."""

    def sized(self, positives: int) -> "TrainConfig":
        """Return the same with the ``batch_size`` that so many positives get."""
        if self.steps_per_epoch is None:
            return self
        groups = max(1, round(positives / self.steps_per_epoch / self.in_batch))
        changed = {"batch_size": groups * self.in_batch, "steps_per_epoch": None}
        return self.model_copy(update=changed)


class BaselineConfig(Section):
    """A baseline: which model, and what differs from the training defaults."""

    model: str
    """A registered model."""
    overrides: Mapping[str, Any] = Field(default_factory=dict)
    """Fields of TrainConfig."""


class RankConfig(Section):
    """A model to a second stage that puts its candidates in order."""

    second: str | None = "ease"
    """Name of the baseline whose item-item weights are the second opinion; null does without."""
    others: tuple[str, ...] = ()
    """Names of baselines with vectors whose scores are evidence too; ``first`` is the network that
    train.distill trains first."""
    candidates: int = Field(100, ge=1)
    """Candidates from the vectors, and as many from the second model."""
    hidden: int = Field(16, ge=0)
    """Hidden units; a linear ranker is tried as well, and the better kept."""
    epochs: int = Field(12, ge=1)
    """Passes over the validation users."""
    learning_rate: float = Field(3e-3, gt=0)
    """Of AdamW."""
    weight_decay: float = Field(0.01, ge=0)
    """Of AdamW."""
    folds: int = Field(5, ge=2)
    """Networks, each fitted without one part of the users and judged on it."""
    users: int = Field(50_000, ge=1)
    """At most this many validation users are learned from."""
    select_metric: str = Field("recall@20", pattern=r"^[a-z]+@[1-9][0-9]*$")
    """Out-of-fold metric that decides between vectors alone, a linear ranker and hidden units."""
