"""The optimizer of a run, and one that updates the rows that a step has touched and no others."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.config import TrainConfig


def optimizer_of(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov and Hutter, ICLR 2019) without decay on id embeddings.

    Their L2 penalty is on the batch's rows, in the objective. Attention gates learn at a fraction
    of the rate: they see every edge in every step, an id embedding only some.

    With ``coupled_decay`` it is Adam (Kingma and Ba, ICLR 2015) with that L2 penalty in the
    gradient of every parameter: the whole table of embeddings in every step, not the batch's rows.
    With ``fan_out`` it updates the rows of id embeddings that a step has touched (``RowAdamW``).
    """
    ids = [p for n, p in model.named_parameters() if n in ("users", "items")]
    gates = [p for n, p in model.named_parameters() if n.startswith(("gates.", "relation_"))]
    for each in gates:
        each.requires_grad_(config.gate_rate > 0)  # constant edges need no gradient: half the time
    known = {id(p) for p in (*ids, *gates)}
    rest = [p for p in model.parameters() if id(p) not in known]
    rate = config.learning_rate
    groups: list[dict[str, Any]] = [
        {"params": ids, "weight_decay": 0.0, "peak": rate},
        {"params": gates, "weight_decay": 0.0, "peak": rate * config.gate_rate},
        {"params": rest, "weight_decay": config.weight_decay, "peak": rate},
    ]
    groups = [g for g in groups if g["params"]]
    if config.fan_out is not None:
        return RowAdamW(groups, rate)
    if config.coupled_decay:
        groups = [{**g, "weight_decay": config.coupled_decay} for g in groups]
        return torch.optim.Adam(groups, lr=rate, fused=True)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


class RowAdamW(torch.optim.Optimizer):
    """AdamW, row by row where the gradient is sparse.

    A row that a step does not touch stays, and its moments with it. Each row counts the steps that
    touched it, and its moments are corrected by that count: a row is treated as if the steps
    without it had not been. (torch's SparseAdam counts all steps, so that the first step of a row
    that is first touched late is up to ten times too long.) Decay is for dense gradients alone:
    it would reach every row.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        """Optimise parameter groups; ``rate`` is for those that name none."""
        super().__init__(groups, {"lr": rate, "betas": betas, "eps": epsilon, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
            each = [len(parameter), 1] if cast(Tensor, parameter.grad).is_sparse else []
            state["count"] = torch.zeros(each, device=parameter.device)
        kept = parameter, state["mean"], state["square"], state["count"]
        gradient = cast(Tensor, parameter.grad)
        if not gradient.is_sparse:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            _adam(kept, gradient, group)
            return
        gradient = gradient.coalesce()
        rows = gradient.indices().squeeze(0)
        some = tuple(tensor[rows] for tensor in kept)
        _adam(some, gradient.values(), group)
        for whole, part in zip(kept, some, strict=True):
            whole.index_copy_(0, rows, part)


def _adam(kept: tuple[Tensor, ...], gradient: Tensor, group: dict[str, Any]) -> None:
    """Take one step of Adam in place, on a parameter, its two moments and their count."""
    parameter, mean, square, count = kept
    (first, second), epsilon = group["betas"], group["eps"]
    count += 1
    mean.lerp_(gradient, 1 - first)
    square.lerp_(gradient.square(), 1 - second)
    root = (square / (1 - second**count)).sqrt_().add_(epsilon)
    parameter.sub_(group["lr"] * (mean / (1 - first**count)) / root)
