"""Sparse matrices whose values are learned: one number per edge, never one vector per edge.

The pattern of a graph is constant, so its transpose is computed once; a step only brings values.
Every function has a dense twin below it, slow and obvious, that the tests compare it with. The
products themselves are native code where it fits (kernels.py; on a GPU triton_kernels.py), else
torch's.
"""

import warnings
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.models import kernels
from pipeline.models.accelerator import kernels_for


@dataclass(frozen=True)
class Edges:
    """The pattern of a sparse matrix: row r receives from ``indices[indptr[r]:indptr[r+1]]``.

    Shapes:
        indptr: (R+1,) int64. indices: (E,) int64, ascending within a row. shape: (R, C).
        permutation: (E,) int64; edge e of the transpose is edge ``permutation[e]`` here.
    """

    indptr: Tensor
    indices: Tensor
    transposed_indptr: Tensor
    transposed_indices: Tensor
    permutation: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, indptr: Tensor, indices: Tensor, shape: tuple[int, int]) -> "Edges":
        """Return the pattern of a CSR matrix, with its transpose."""
        rows = _rows(indptr)
        permutation = torch.argsort(indices, stable=True)
        counts = torch.bincount(indices, minlength=shape[1])
        transposed_indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(
            indptr.long(), indices.long(), transposed_indptr, rows[permutation], permutation, shape
        )

    @property
    def count(self) -> int:
        """Return the number of edges E."""
        return len(self.indices)

    @cached_property
    def rows(self) -> Tensor:
        """Return the row of each edge, (E,)."""
        return _rows(self.indptr)

    @cached_property
    def transpose(self) -> "Edges":
        """Return the pattern with rows and columns exchanged; shares memory."""
        inverse = torch.empty_like(self.permutation)
        inverse[self.permutation] = torch.arange(self.count, device=inverse.device)
        return Edges(
            self.transposed_indptr,
            self.transposed_indices,
            self.indptr,
            self.indices,
            inverse,
            (self.shape[1], self.shape[0]),
        )

    def to(self, device: torch.device) -> "Edges":
        """Return the pattern on ``device``."""
        moved = {
            f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "shape"
        }
        return replace(self, **moved)

    def matrix(self, values: Tensor) -> Tensor:
        """Return the torch CSR tensor of this pattern with ``values`` (E,)."""
        return torch.sparse_csr_tensor(
            self.indptr.long(), self.indices.long(), values, size=self.shape, check_invariants=False
        )


@dataclass(frozen=True)
class Union:
    """The edges of several square matrices as one, so that a layer multiplies once, not for each.

    Shapes:
        edges: (N, N). places: for each matrix (E,), where its edges stand in the union.
    """

    edges: Edges
    places: list[Tensor]

    @classmethod
    def of(cls, parts: list[Edges], size: int) -> "Union":
        """Return the union of patterns (size, size)."""
        codes = [part.rows * size + part.indices for part in parts]
        every = torch.cat([torch.zeros(0, dtype=torch.long), *(c.cpu() for c in codes)])
        distinct, inverse = torch.unique(every, sorted=True, return_inverse=True)
        counts = torch.bincount(distinct // size, minlength=size)
        indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        device = codes[0].device if codes else torch.device("cpu")
        places = inverse.to(device).split([len(c) for c in codes])
        edges = Edges.of(indptr, distinct % size, (size, size)).to(device)
        return cls(edges, list(places))

    def merged(self, values: list[Tensor]) -> Tensor:
        """Return the sum of the matrices as values of the union, (E of the union,)."""
        whole = torch.zeros(self.edges.count, device=self.edges.indices.device)
        for place, part in zip(self.places, values, strict=True):
            whole = whole.index_add(0, place, part)
        return whole


def _know_that_csr_is_new() -> None:
    """Let torch say once, unheard, that its CSR tensors are in beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor([0, 1], [0], [1.0], size=(1, 1))


_know_that_csr_is_new()


def _rows(indptr: Tensor) -> Tensor:
    counts = indptr.diff()
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def propagate(edges: Edges, values: Tensor, x: Tensor) -> Tensor:
    """Return A @ x, where A has the pattern ``edges`` and the differentiable ``values``.

    Shapes:
        values: (E,). x: (C, D). returns: (R, D).
    """
    return cast(Tensor, _Propagate.apply(edges, values, x))  # type: ignore[no-untyped-call]


def propagate_dense(edges: Edges, values: Tensor, x: Tensor) -> Tensor:
    """Return what ``propagate`` returns, through the dense matrix."""
    dense = values.new_zeros(edges.shape)
    return dense.index_put((edges.rows, edges.indices), values, accumulate=True) @ x


def edge_scores(edges: Edges, receivers: Tensor, senders: Tensor) -> Tensor:
    """Return the inner product at both ends of each edge.

    Shapes:
        receivers: (R, D). senders: (C, D). returns: (E,).
    """
    return cast(Tensor, _EdgeScores.apply(edges, receivers, senders))  # type: ignore[no-untyped-call]


def edge_scores_dense(edges: Edges, receivers: Tensor, senders: Tensor) -> Tensor:
    """Return what ``edge_scores`` returns, by gathering both ends of each edge."""
    return (receivers[edges.rows] * senders[edges.indices]).sum(dim=1)


def edge_softmax(edges: Edges, scores: Tensor) -> Tensor:
    """Return each edge's share among the edges of its row.

    Shapes:
        scores: (E,). returns: (E,), summing to 1 over every row that has edges.
    """
    empty = scores.new_full((edges.shape[0],), -torch.inf)
    highest = empty.scatter_reduce(0, edges.rows, scores.detach(), "amax")
    weights = (scores - highest[edges.rows]).exp()
    totals = weights.new_zeros(edges.shape[0]).index_add(0, edges.rows, weights)
    return weights / totals[edges.rows]


def product(matrix: Tensor, x: Tensor) -> Tensor:
    """Return A @ x for a CSR tensor A, without a gradient.

    Shapes:
        matrix: (R, C). x: (C, D). returns: (R, D).
    """
    if kernels.fits(matrix.values(), x):
        return kernels.product(matrix.crow_indices(), matrix.col_indices(), matrix.values(), x)
    return matrix @ x.contiguous()


def _multiply(edges: Edges, values: Tensor, x: Tensor) -> Tensor:
    if kernels.fits(values, x):
        return kernels.product(edges.indptr, edges.indices, values, x)
    if gpu := kernels_for(values, x):
        return cast(Tensor, gpu.product(edges.indptr, edges.indices, values, x))
    return edges.matrix(values) @ x.contiguous()


def _sample(edges: Edges, receivers: Tensor, senders: Tensor) -> Tensor:
    if kernels.fits(receivers, senders):
        return kernels.dots(edges.indptr, edges.indices, receivers, senders)
    if gpu := kernels_for(receivers, senders):
        return cast(Tensor, gpu.dots(edges.indptr, edges.indices, receivers, senders))
    pattern = edges.matrix(receivers.new_zeros(edges.count))
    left, right = receivers.contiguous(), senders.contiguous().T
    sampled: Tensor = torch.sparse.sampled_addmm(pattern, left, right, beta=0.0)
    return sampled.values()


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, values: Tensor, x: Tensor) -> Tensor:  # noqa: ANN401
        """Return A @ x for the edges' values: (R, D)."""
        ctx.edges = edges
        ctx.save_for_backward(values, x)
        return _multiply(edges, values, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor | None]:  # noqa: ANN401
        """Return the gradients of values (E,) and x (C, D)."""
        edges: Edges = ctx.edges
        values, x = ctx.saved_tensors
        _, wants_values, wants_x = ctx.needs_input_grad
        return (
            None,
            _sample(edges, grads[0], x) if wants_values else None,
            _multiply(edges.transpose, values[edges.permutation], grads[0]) if wants_x else None,
        )


class _EdgeScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, receivers: Tensor, senders: Tensor) -> Tensor:  # noqa: ANN401
        """Return each edge's inner product of its ends: (E,)."""
        ctx.edges = edges
        ctx.save_for_backward(receivers, senders)
        return _sample(edges, receivers, senders)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor | None]:  # noqa: ANN401
        """Return the gradients of receivers (R, D) and senders (C, D)."""
        edges: Edges = ctx.edges
        receivers, senders = ctx.saved_tensors
        _, wants_receivers, wants_senders = ctx.needs_input_grad
        back = grads[0][edges.permutation]
        return (
            None,
            _multiply(edges, grads[0], senders) if wants_receivers else None,
            _multiply(edges.transpose, back, receivers) if wants_senders else None,
        )
