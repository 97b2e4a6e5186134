"""EASE: item-item weights in closed form, with item-item relations as their prior.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019 (arXiv 1905.03375). Changed:
the weights are drawn towards content instead of zero, after L3AE (Moon et al., CIKM 2025), and a
user counts with the power ``-user_power`` of the number of their interactions.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.models.base import MODELS, Inputs, Options, Outputs, Recommender, Relation
from pipeline.models.entries import Entries, joined, strongest, summed
from pipeline.models.linear import inverse_root
from pipeline.models.local_ridge import local
from pipeline.models.ridge import Ridge, dense
from pipeline.models.sparse import Edges

DENSE_ITEMS = 20_000
"""Hot items up to which ``auto`` solves densely: 1.6 GB a matrix, of which there are three."""
CONSIDERED = 2
"""Items that the local solver explains an item with, for each of ``neighbors`` that is kept."""


@MODELS.register("ease")
class Ease(Recommender):
    """Item-item weights; a user's score of an item is the sum over the items they have.

    Where either item has no interaction nothing contradicts the prior, and the weight is the
    prior's. So a new item is ranked by what it resembles.
    """

    uses_content = False

    def __init__(self, inputs: Inputs, options: Options, seed: int) -> None:
        """Solve; the seed thins long histories, where the local solver has to.

        Raises:
            ConfigError: l2 is too small for these interactions.
        """
        super().__init__(inputs)
        self.options, self.seed = options, seed
        with torch.no_grad():
            parts = self._weights(prior_of(inputs, options))
            self.item_item = strongest(parts, options.neighbors, inputs.items)

    def outputs(self) -> Outputs:
        """Return the CSR of each item's ``neighbors`` largest positive weights."""
        return Outputs(item_item=self.item_item)

    def _weights(self, prior: Entries) -> Iterator[Entries]:
        hot = self.inputs.hot
        both = hot[prior.rows] & hot[prior.columns]
        yield prior.where(~both)
        if not bool(hot.any()):
            return
        names, problem = hot.nonzero().squeeze(1), self._problem(prior.where(both))
        for part in self._solved(problem):
            yield Entries(names[part.rows], names[part.columns], part.values)

    def _problem(self, prior: Entries) -> Ridge:
        """Return the regressions among hot items, by their place among those."""
        hot, edges, options = self.inputs.hot, self.inputs.user_item, self.options
        place, count = hot.cumsum(0) - 1, int(hot.sum())
        interactions = Edges.of(edges.indptr, place[edges.indices], (self.inputs.users, count))
        weights = self.inputs.user_degrees.clamp(min=1).pow(-options.user_power)
        among = Entries(place[prior.rows], place[prior.columns], prior.values)
        return Ridge(interactions, weights, _relation(among, count), options.l2)

    def _solved(self, problem: Ridge) -> Iterator[Entries]:
        solver = self.options.solver
        if solver == "auto":
            solver = "dense" if problem.items <= DENSE_ITEMS else "local"
        if solver == "dense":
            return dense(problem, self.options.neighbors)
        return local(problem, CONSIDERED * self.options.neighbors, self.seed)


def prior_of(inputs: Inputs, options: Options) -> Entries:
    """Return ``prior_scale`` times the mean of the relations by their weights, ascending.

    Each relation is symmetric-normalised, so that its largest eigenvalue is 1 whatever the number
    and the weights of its edges.
    """
    shares = {name: options.relation_weights.get(name, 0.0) for name in inputs.relations}
    total = sum(shares.values())
    nothing = inputs.item_degrees.new_zeros(0)
    parts = [Entries(nothing.long(), nothing.long(), nothing)]
    for name, relation in inputs.relations.items():
        if options.prior_scale * shares[name] > 0:
            values = options.prior_scale * shares[name] / total * _normalised(relation)
            parts.append(Entries(relation.edges.rows, relation.edges.indices, values))
    return summed(joined(parts), inputs.items)


def _normalised(relation: Relation) -> Tensor:
    edges, weights = relation.edges, relation.weights
    degrees = weights.new_zeros(edges.shape[0]).index_add(0, edges.rows, weights)
    roots = inverse_root(degrees)
    return weights * roots[edges.rows] * roots[edges.indices]


def _relation(entries: Entries, items: int) -> Relation:
    counts = torch.bincount(entries.rows, minlength=items)
    indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Relation(Edges.of(indptr, entries.columns, (items, items)), entries.values)
