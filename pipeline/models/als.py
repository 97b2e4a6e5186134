"""ALS: weighted matrix factorisation, solved exactly in turns (Hu, Koren and Volinsky, ICDM 2008).

Every user-item pair counts: an interaction as 1 with weight ``1 + confidence``, a missing one as 0
with weight 1. With the items' vectors fixed, each user's best vector is the solution of a D x D
system, and the other way round; each turn lowers the whole loss. All is done in double precision,
in blocks that are sorted by history length, so that little is padded.

A new user's vector is not linear in the history. What an interaction adds (``fold_in``) is solved
with the system of the average user instead of the user's own; the length does not change an order.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.models.base import MODELS, Inputs, Options, Outputs, Recommender, only_known_users
from pipeline.models.sparse import Edges

BLOCK_NUMBERS = 1 << 23
"""Numbers of the largest block of gathered vectors, and of systems."""


@MODELS.register("als")
class Als(Recommender):
    """Vectors that minimise the weighted squared error over all pairs; no step, no sampling."""

    uses_content = False

    def __init__(self, inputs: Inputs, options: Options, seed: int) -> None:
        """Solve in turns, items first, from users' vectors drawn from ``seed``."""
        super().__init__(inputs)
        self.options = options
        edges = inputs.user_item
        draw = torch.Generator().manual_seed(seed)
        start = torch.randn(inputs.users, options.width, generator=draw, dtype=torch.float64)
        start = start.to(edges.indices.device) / options.width**0.5
        self.users = only_known_users(start, inputs)
        self.items = solve(edges.transpose, self.users, options)
        for _ in range(options.turns):
            self.users = solve(edges, self.items, options)
            self.items = solve(edges.transpose, self.users, options)

    def outputs(self) -> Outputs:
        """Return vectors, zero for whoever has no interaction."""
        return Outputs(
            {
                "user_vectors": self.users.float(),
                "item_vectors": self.items.float(),
                "fold_in": self._fold_in().float(),
            }
        )

    def _fold_in(self) -> Tensor:
        """Return what an interaction with each item adds to the average user's vector, (N, D)."""
        known = (self.inputs.user_degrees > 0).sum().clamp(min=1)
        often = self.inputs.item_degrees / known
        history = (self.items * often.unsqueeze(1)).T @ self.items
        system = _gram(self.items, self.options.ridge) + self.options.confidence * history
        solved: Tensor = torch.linalg.solve(system, self.items.T).T
        return (1 + self.options.confidence) * solved


def solve(edges: Edges, others: Tensor, options: Options) -> Tensor:
    """Return the best vector of each row, given those of the columns; zero for an empty row.

    ``x = (Y'Y + c Y_h'Y_h + ridge I)^-1 (1 + c) Y_h' 1`` with Y_h the vectors in the row's history
    and c the confidence.

    Shapes:
        edges: pattern (R, C). others: Y, (C, D) float64. returns: (R, D) float64.
    """
    gram, found = _gram(others, options.ridge), others.new_zeros(edges.shape[0], others.shape[1])
    for rows, columns, real in blocks(edges, others.shape[1]):
        history = others[columns] * real.unsqueeze(2)
        systems = torch.baddbmm(
            gram.expand(len(rows), -1, -1), history.mT, history, alpha=options.confidence
        )
        wanted = (1 + options.confidence) * history.sum(dim=1)
        factors = torch.linalg.cholesky(systems)
        found[rows] = torch.cholesky_solve(wanted.unsqueeze(2), factors).squeeze(2)
    return found


def _gram(vectors: Tensor, ridge: float) -> Tensor:
    """Return the inner products of the columns with ``ridge`` on the diagonal, (D, D)."""
    one = torch.eye(vectors.shape[1], dtype=vectors.dtype, device=vectors.device)
    return vectors.T @ vectors + ridge * one


def blocks(edges: Edges, width: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield rows that have edges, shortest first, with their padded columns and which are real.

    Shapes:
        yields: (B,), (B, L) and (B, L) bool, with B times L and B times ``width`` bounded.
    """
    lengths, order = edges.indptr.diff().sort(stable=True)
    at, sizes = int((lengths == 0).sum()), lengths.tolist()
    while at < len(sizes):
        end = _end(sizes, at, BLOCK_NUMBERS // width, width)
        longest = sizes[end - 1]
        rows, count = order[at:end], torch.arange(longest, device=order.device)
        real = count.unsqueeze(0) < lengths[at:end].unsqueeze(1)
        places = (edges.indptr[rows].unsqueeze(1) + count).clamp(max=edges.count - 1)
        yield rows, edges.indices[places], real
        at = end


def _end(sizes: list[int], at: int, most: int, width: int) -> int:
    """Return where the block that starts ``at`` ends: its rows times the longest stay in bounds."""
    end = at + 1
    while end < len(sizes) and (end + 1 - at) * max(sizes[end], width) <= most:
        end += 1
    return end
