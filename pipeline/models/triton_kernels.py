"""Sparse kernels for GPUs in Triton, used where it and CUDA are there: kernels.py for processors.

One program takes one row and goes over its edges a few at a time; columns go over the transposed
pattern, so nothing is added atomically and the same input gives the same sums. ``gated_product``
is the whole gated attention of one relation: each edge's gate is computed from both ends and used
at once, in one pass over the rows of ``x`` and of the keys; neither gates nor messages are kept.
Sums run in float32, or in float64 for such input, whatever precision rows come in.

On a processor they run through Triton's interpreter (TRITON_INTERPRET=1), which is for tests.
"""

import os
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

EDGES = 16
"""Edges whose rows a program holds at once."""

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def fits(*tensors: Tensor) -> bool:
    """Return whether the kernels take these dense tensors: on a GPU, or interpreted anywhere."""
    return INTERPRETED or all(t.device.type == "cuda" for t in tensors)


@triton.jit
def _product(indptr, indices, values, x, out, width, E: tl.constexpr, D: tl.constexpr) -> None:
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, D)
    begin, end = tl.load(indptr + row), tl.load(indptr + row + 1)
    total = tl.zeros((D,), dtype=out.dtype.element_ty)
    for first in range(begin, end, E):
        edge = first + tl.arange(0, E)
        live = edge < end
        sender = tl.load(indices + edge, mask=live, other=0)
        value = tl.load(values + edge, mask=live, other=0.0)
        both = live[:, None] & (at < width)[None, :]
        rows = tl.load(x + sender[:, None] * width + at[None, :], mask=both, other=0.0)
        total += tl.sum(value[:, None] * rows, axis=0).to(total.dtype)
    tl.store(out + row * width + at, total, mask=at < width)


@triton.jit
def _dots(indptr, indices, left, right, out, width, E: tl.constexpr, D: tl.constexpr) -> None:
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, D)
    begin, end = tl.load(indptr + row), tl.load(indptr + row + 1)
    own = tl.load(left + row * width + at, mask=at < width, other=0.0)
    for first in range(begin, end, E):
        edge = first + tl.arange(0, E)
        live = edge < end
        sender = tl.load(indices + edge, mask=live, other=0)
        both = live[:, None] & (at < width)[None, :]
        rows = tl.load(right + sender[:, None] * width + at[None, :], mask=both, other=0.0)
        tl.store(out + edge, tl.sum(own[None, :] * rows, axis=1), mask=live)


@triton.jit
def _tanh(x):
    small = tl.exp(-2 * tl.abs(x))  # never overflows
    size = (1 - small) / (1 + small)
    return tl.where(x < 0, -size, size)


@triton.jit
def _gated_forward(
    indptr, indices, values, queries, keys, bound, x, out, width, heads, per_head, root,
    E: tl.constexpr, D: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
) -> None:  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at, head, part = tl.arange(0, D), tl.arange(0, H), tl.arange(0, P)
    place = head[:, None] * per_head + part[None, :]
    inside = (head < heads)[:, None] & (part < per_head)[None, :]
    query = tl.load(queries + row * heads * per_head + place, mask=inside, other=0.0)
    strength = tl.load(bound + head, mask=head < heads, other=0.0)
    begin, end = tl.load(indptr + row), tl.load(indptr + row + 1)
    total = tl.zeros((D,), dtype=out.dtype.element_ty)
    for first in range(begin, end, E):
        edge = first + tl.arange(0, E)
        live = edge < end
        sender = tl.load(indices + edge, mask=live, other=0)
        value = tl.load(values + edge, mask=live, other=0.0)
        key = tl.load(
            keys + sender[:, None, None] * heads * per_head + place[None, :, :],
            mask=live[:, None, None] & inside[None, :, :], other=0.0,
        )  # fmt: skip
        agree = _tanh(tl.sum(query[None, :, :] * key, axis=2) / root)
        factor = 1 + tl.sum(strength[None, :] * agree, axis=1)
        both = live[:, None] & (at < width)[None, :]
        rows = tl.load(x + sender[:, None] * width + at[None, :], mask=both, other=0.0)
        total += tl.sum((value * factor)[:, None] * rows, axis=0).to(total.dtype)
    tl.store(out + row * width + at, total, mask=at < width)


@triton.jit
def _gated_rows(
    indptr, indices, values, queries, keys, bound, x, grad,
    weights, to_values, to_agree, to_queries, to_bound, width, heads, per_head, root,
    E: tl.constexpr, D: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
) -> None:  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at, head, part = tl.arange(0, D), tl.arange(0, H), tl.arange(0, P)
    place = head[:, None] * per_head + part[None, :]
    inside = (head < heads)[:, None] & (part < per_head)[None, :]
    query = tl.load(queries + row * heads * per_head + place, mask=inside, other=0.0)
    strength = tl.load(bound + head, mask=head < heads, other=0.0)
    arrived = tl.load(grad + row * width + at, mask=at < width, other=0.0)
    begin, end = tl.load(indptr + row), tl.load(indptr + row + 1)
    query_sum = tl.zeros((H, P), dtype=to_queries.dtype.element_ty)
    bound_sum = tl.zeros((H,), dtype=to_bound.dtype.element_ty)
    for first in range(begin, end, E):
        edge = first + tl.arange(0, E)
        live = edge < end
        sender = tl.load(indices + edge, mask=live, other=0)
        value = tl.load(values + edge, mask=live, other=0.0)
        key = tl.load(
            keys + sender[:, None, None] * heads * per_head + place[None, :, :],
            mask=live[:, None, None] & inside[None, :, :], other=0.0,
        )  # fmt: skip
        agree = _tanh(tl.sum(query[None, :, :] * key, axis=2) / root)
        factor = 1 + tl.sum(strength[None, :] * agree, axis=1)
        both = live[:, None] & (at < width)[None, :]
        rows = tl.load(x + sender[:, None] * width + at[None, :], mask=both, other=0.0)
        through = tl.sum(arrived[None, :] * rows, axis=1)
        tl.store(weights + edge, value * factor, mask=live)
        tl.store(to_values + edge, through * factor, mask=live)
        wanted = (value * through)[:, None]
        slope = wanted * strength[None, :] * (1 - agree * agree) / root
        shown = live[:, None] & (head < heads)[None, :]
        tl.store(to_agree + edge[:, None] * heads + head[None, :], slope, mask=shown)
        query_sum += tl.sum(slope[:, :, None] * key, axis=0).to(query_sum.dtype)
        bound_sum += tl.sum(wanted * agree, axis=0).to(bound_sum.dtype)
    tl.store(to_queries + row * heads * per_head + place, query_sum, mask=inside)
    tl.store(to_bound + row * heads + head, bound_sum, mask=head < heads)


@triton.jit
def _gated_columns(
    indptr, indices, permutation, weights, to_agree, queries, grad, to_keys, to_x,
    width, heads, per_head,
    E: tl.constexpr, D: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
) -> None:  # fmt: skip
    column = tl.program_id(0).to(tl.int64)
    at, head, part = tl.arange(0, D), tl.arange(0, H), tl.arange(0, P)
    place = head[:, None] * per_head + part[None, :]
    inside = (head < heads)[:, None] & (part < per_head)[None, :]
    begin, end = tl.load(indptr + column), tl.load(indptr + column + 1)
    x_sum = tl.zeros((D,), dtype=to_x.dtype.element_ty)
    key_sum = tl.zeros((H, P), dtype=to_keys.dtype.element_ty)
    for first in range(begin, end, E):
        edge = first + tl.arange(0, E)
        live = edge < end
        receiver = tl.load(indices + edge, mask=live, other=0)
        here = tl.load(permutation + edge, mask=live, other=0)
        weight = tl.load(weights + here, mask=live, other=0.0)
        both = live[:, None] & (at < width)[None, :]
        rows = tl.load(grad + receiver[:, None] * width + at[None, :], mask=both, other=0.0)
        x_sum += tl.sum(weight[:, None] * rows, axis=0).to(x_sum.dtype)
        shown = live[:, None] & (head < heads)[None, :]
        slope = tl.load(to_agree + here[:, None] * heads + head[None, :], mask=shown, other=0.0)
        query = tl.load(
            queries + receiver[:, None, None] * heads * per_head + place[None, :, :],
            mask=live[:, None, None] & inside[None, :, :], other=0.0,
        )  # fmt: skip
        key_sum += tl.sum(slope[:, :, None] * query, axis=0).to(key_sum.dtype)
    tl.store(to_x + column * width + at, x_sum, mask=at < width)
    tl.store(to_keys + column * heads * per_head + place, key_sum, mask=inside)


def product(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """Return A @ x for a CSR matrix A; shapes as ``kernels.product``."""
    out = x.new_empty(len(indptr) - 1, x.shape[1], dtype=_sums(x))
    _on_rows(_product, (indptr, indices, values, x, out), x.shape[1])
    return out


def dots(indptr: Tensor, indices: Tensor, receivers: Tensor, senders: Tensor) -> Tensor:
    """Return the inner product of both ends of each edge; shapes as ``kernels.dots``."""
    out = receivers.new_empty(len(indices), dtype=_sums(receivers))
    _on_rows(_dots, (indptr, indices, receivers, senders, out), receivers.shape[1])
    return out


def _on_rows(kernel: Any, tensors: tuple[Tensor, ...], width: int) -> None:
    rows = len(tensors[0]) - 1
    if rows:
        given = [t.contiguous() for t in tensors[:-1]]
        kernel[(rows,)](*given, tensors[-1], width, E=EDGES, D=triton.next_power_of_2(width))


def gated_forward(pattern: tuple[Tensor, ...], ends: tuple[Tensor, ...]) -> Tensor:
    """Return the gated product, (R, D).

    Shapes:
        pattern: indptr (R+1,), indices (E,). ends: values (E,), queries (R, H, P), keys (C, H, P),
        bound (H,), x (C, D).
    """
    values, queries, keys, bound, x = (t.contiguous() for t in ends)
    rows, width = len(queries), x.shape[1]
    out = x.new_empty(rows, width, dtype=_sums(x))
    if rows:
        sizes, blocks = _sizes(queries, width)
        where = (t.contiguous() for t in pattern)
        tensors = *where, values, queries, keys, bound, x, out
        _gated_forward[(rows,)](*tensors, *sizes, queries.shape[2] ** 0.5, **blocks)
    return out


def gated_backward(
    pattern: tuple[Tensor, ...], ends: tuple[Tensor, ...], grad: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradients of values, queries, keys, bound and x.

    Shapes:
        pattern: indptr and indices, those of the transpose, and the permutation of ``Edges``.
        ends: as ``gated_forward``. grad: (R, D).
    """
    values, queries, keys, bound, x = (t.contiguous() for t in ends)
    indptr, indices, transposed_indptr, transposed_indices, permutation = (
        t.contiguous() for t in pattern
    )
    grad, heads, kind = grad.contiguous(), queries.shape[1], _sums(x)
    weights = x.new_empty(len(indices), dtype=kind)
    to_values, to_agree = torch.empty_like(weights), weights.new_empty(len(indices), heads)
    to_queries, to_keys = (torch.zeros_like(t, dtype=kind) for t in (queries, keys))
    to_bound, to_x = weights.new_zeros(len(queries), heads), torch.zeros_like(x, dtype=kind)
    sizes, blocks = _sizes(queries, x.shape[1])
    if len(queries):
        _gated_rows[(len(queries),)](
            indptr, indices, values, queries, keys, bound, x, grad, weights, to_values, to_agree,
            to_queries, to_bound, *sizes, queries.shape[2] ** 0.5, **blocks,
        )  # fmt: skip
    if len(keys):
        _gated_columns[(len(keys),)](
            transposed_indptr, transposed_indices, permutation, weights, to_agree, queries, grad,
            to_keys, to_x, *sizes, **blocks,
        )  # fmt: skip
    return to_values, to_queries, to_keys, to_bound.sum(dim=0), to_x


def _sums(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _sizes(queries: Tensor, width: int) -> tuple[tuple[int, int, int], dict[str, int]]:
    heads, per_head = queries.shape[1:]
    powers = [triton.next_power_of_2(n) for n in (width, heads, per_head)]
    return (width, heads, per_head), {"E": EDGES, **dict(zip("DHP", powers, strict=True))}
