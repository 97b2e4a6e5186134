"""Gated sparse attention: a sparse product whose edges carry gates made from both of their ends.

On a GPU with Triton it is one fused kernel (triton_kernels.py); anywhere else the gates are
computed first, one number per edge, and the product takes them as values.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.models.accelerator import kernels_for
from pipeline.models.sparse import Edges, edge_scores, propagate


@dataclass(frozen=True)
class Gate:
    """What both ends bring to the gates of a relation.

    Shapes:
        queries: (R, H, P), of receivers. keys: (C, H, P), of senders. bound: (H,), how far a head
        may move an edge, sums of sizes below 1.
    """

    queries: Tensor
    keys: Tensor
    bound: Tensor

    def between(self, receivers: int, senders: int) -> "Gate":
        """Return the gate between the first of both."""
        return Gate(self.queries[:receivers], self.keys[:senders], self.bound)

    def turned(self) -> "Gate":
        """Return the gate of the same edges in the other direction: agreement is symmetric."""
        return Gate(self.keys, self.queries, self.bound)


def edge_factors(edges: Edges, gate: Gate) -> Tensor:
    """Return ``1 + sum_h bound_h tanh(q_rh . k_ch / sqrt(P))`` of each edge, (E,)."""
    factor = torch.ones(edges.count, device=gate.queries.device, dtype=gate.queries.dtype)
    for head, bound in enumerate(gate.bound):
        scores = edge_scores(edges, gate.queries[:, head], gate.keys[:, head])
        factor = factor + bound * torch.tanh(scores / gate.queries.shape[2] ** 0.5)
    return factor


def gated_propagate(edges: Edges, values: Tensor, gate: Gate, x: Tensor) -> Tensor:
    """Return A @ x, where edge e of A weighs ``values[e]`` times its factor.

    Shapes:
        values: (E,). x: (C, D). returns: (R, D).
    """
    if kernels_for(values, gate.queries, x):
        ends = values, gate.queries, gate.keys, gate.bound, x
        return cast(Tensor, _Gated.apply(edges, *ends))  # type: ignore[no-untyped-call]
    return propagate(edges, values * edge_factors(edges, gate), x)


def gated_propagate_dense(edges: Edges, values: Tensor, gate: Gate, x: Tensor) -> Tensor:
    """Return what ``gated_propagate`` returns, through dense matrices."""
    agree = torch.einsum("rhp,chp->rch", gate.queries, gate.keys) / gate.queries.shape[2] ** 0.5
    factors = 1 + torch.tanh(agree) @ gate.bound
    dense = values.new_zeros(edges.shape)
    return (dense.index_put((edges.rows, edges.indices), values) * factors) @ x


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, *ends: Tensor) -> Tensor:  # noqa: ANN401
        """Return the gated product: (R, D)."""
        ctx.edges = edges
        ctx.save_for_backward(*ends)
        kernels = kernels_for(*ends)
        assert kernels is not None
        return cast(Tensor, kernels.gated_forward((edges.indptr, edges.indices), ends))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of values, queries, keys, bound and x."""
        edges: Edges = ctx.edges
        ends = ctx.saved_tensors
        pattern = (
            edges.indptr,
            edges.indices,
            edges.transposed_indptr,
            edges.transposed_indices,
            edges.permutation,
        )
        kernels = kernels_for(*ends)
        assert kernels is not None
        return None, *kernels.gated_backward(pattern, ends, grads[0])
