"""Exact neighbours by torch, on a GPU where there is one: candidates in bfloat16, proof in float32.

Half-precision similarities cost a fraction of exact ones and are off by at most what rounding the
two vectors can do to them. So each row's c best by them, k of which are wanted, are scored afresh
in float32, and where the k-th of these beats the last candidate by more than rounding allows, no
other row can be among the k best. Rows without that proof are searched again in float32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.arrays import Floats, Rows
from pipeline.graph.ranked import Edges
from pipeline.nearest import top_k_of_scores

CANDIDATES = 64
"""Candidates of a row in bfloat16, at least three for each neighbour."""
GROUP = 32
"""Columns whose best stands for them while candidates are sought."""
HELD = 1 << 31
"""Bytes of similarities held at once on a GPU."""
HELD_ON_HOST = 1 << 26

_SUMMING = 2.0**-23
"""What a float32 sum of the products of unit vectors may be off by, for each number of them."""


@dataclass(frozen=True)
class Found:
    """Neighbours, and how many rows wanted the second search.

    Shapes:
        rows: (N, k). weights: (N, k), falling; equal weights by row.
    """

    rows: Rows
    weights: Floats
    again: int

    def edges(self) -> Edges:
        """Return the same as sources, targets and weights, (N * k,) each."""
        sources = np.repeat(np.arange(len(self.rows)), self.rows.shape[1])
        return sources, self.rows.ravel(), np.minimum(self.weights.ravel(), 1)


def nearest_on(device: torch.device, unit: Floats, k: int, held: int | None = None) -> Found:
    """Return the exact k best other rows of each row by inner product.

    Shapes:
        unit: (N, D) float32, rows of length 1.
    """
    count = len(unit)
    k = min(k, max(0, count - 1))
    if not k:
        return Found(np.empty((count, 0), np.int64), np.empty((count, 0), np.float32), 0)
    held = held or (HELD if device.type == "cuda" else HELD_ON_HOST)
    search = _Search.over(torch.from_numpy(np.ascontiguousarray(unit)).to(device), k)
    step = max(1, held // (2 * count))
    rows, weights = np.empty((count, k), np.int64), np.empty((count, k), np.float32)
    unproven = []
    for start in range(0, count, step):
        part = torch.arange(start, min(start + step, count), device=device)
        found, scores, proven = search.of(part)
        rows[start : start + step], weights[start : start + step] = found.cpu(), scores.cpu()
        unproven.append(part[~proven].cpu().numpy())
    again = np.concatenate(unproven)
    for start in range(0, len(again), max(1, step // 4)):
        some = again[start : start + max(1, step // 4)]
        rows[some], weights[some] = search.again(some)
    return Found(rows, weights, len(again))


@dataclass(frozen=True)
class _Search:
    """All rows as they are compared.

    Shapes:
        unit: (N, D) float32. half: (M, D) bfloat16, M a multiple of ``GROUP``, zeros after N.
        off: (N,), the length of what rounding took from each row.
    """

    unit: Tensor
    half: Tensor
    off: Tensor
    k: int

    @classmethod
    def over(cls, unit: Tensor, k: int) -> "_Search":
        half = unit.bfloat16()
        off = (unit - half.float()).norm(dim=1)
        padding = -len(unit) % GROUP
        return cls(unit, torch.nn.functional.pad(half, (0, 0, 0, padding)), off, k)

    def of(self, part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the k best of some rows, their scores, and which are proven.

        Shapes:
            part: (B,). returns: (B, k), (B, k), (B,) bool.
        """
        count = len(self.unit)
        wanted = min(max(CANDIDATES, 3 * self.k), count - 1)
        rough = self.half[part] @ self.half.T
        rough[:, count:] = -torch.inf
        rough[torch.arange(len(part), device=part.device), part] = -torch.inf
        columns, last = _best(rough, wanted)
        columns = columns.sort(dim=1).values  # equal scores: the lower row first
        # multiplied and summed, not a matrix product: that may round to TF32
        scores = (self.unit[part].unsqueeze(1) * self.unit[columns]).sum(dim=2)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, : self.k]
        found, best = columns.gather(1, order), scores.gather(1, order)
        summing = _SUMMING * self.unit.shape[1]
        worst = 2.0**-8 * last.abs() + self.off[part] * 1.01 + self.off.max() * 1.01 + summing
        proven = (best[:, -1] > last + worst) | (wanted == count - 1)
        return found, best, proven

    def again(self, rows: Rows) -> tuple[Rows, Floats]:
        """Return the k best of some rows and their scores, all compared in float32."""
        part = torch.from_numpy(rows).to(self.unit.device)
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        scores = self.unit[part] @ self.unit.T
        torch.set_float32_matmul_precision(before)
        scores[torch.arange(len(part), device=part.device), part] = -torch.inf
        return top_k_of_scores(scores.cpu().numpy(), self.k)


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the columns of the ``count`` best of each row, and the lowest of these scores.

    The best lie in the groups with the best maxima, so that only a few groups are ranked whole.

    Shapes:
        scores: (B, M), M a multiple of ``GROUP``. returns: (B, count), (B,) float32.
    """
    grouped = scores.view(len(scores), -1, GROUP)
    groups = min(count, grouped.shape[1])
    chosen = grouped.amax(dim=2).topk(groups, dim=1).indices
    few = grouped.gather(1, chosen.unsqueeze(2).expand(-1, -1, GROUP)).flatten(1)
    values, at = few.topk(count, dim=1)
    columns = chosen.gather(1, at // GROUP) * GROUP + at % GROUP
    return columns, values[:, -1].float()
