"""Learned fusion: from the modalities an item has, and perhaps its id, to one input vector."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.models.base import Options, kept

INPUT_WIDTHS = 2
"""A modality enters with at most this many times the model's width."""


class Fusion(nn.Module):
    """Content of an item: its modalities' projections, weighted by gates that sum to 1.

    A modality's gate depends on its own vector and on which other modalities the item has, after
    the gated multimodal unit (Arevalo et al., 2017, arXiv 1702.01992), with a softmax over the
    present ones. The bytes of a vector that is not present never reach the output.

    A modality much wider than the model is first turned to its principal directions, once: every
    step projects every item, and what lies beyond them costs time and carries next to nothing.

    Shapes:
        N items, M modalities, D width.
    """

    def __init__(
        self, vectors: Mapping[str, Tensor], present: Mapping[str, Tensor], options: Options
    ) -> None:
        """Hold the masked vectors; new parameters come from torch's current generator."""
        super().__init__()
        self.names = sorted(vectors)
        self.options = options
        self.present = torch.stack([present[m] for m in self.names], dim=1) if self.names else None
        self.vectors = {}
        for name in self.names:
            masked = torch.where(present[name].unsqueeze(1), vectors[name].float(), 0.0)
            basis = principal_directions(masked, INPUT_WIDTHS * options.width)
            self.register_buffer(f"basis_{name}", basis)
            self.vectors[name] = masked if basis is None else masked @ basis
        widths = {m: self.vectors[m].shape[1] for m in self.names}
        self.projections = nn.ModuleDict({m: _mlp(w, options.width) for m, w in widths.items()})
        self.gates = nn.ModuleDict({m: nn.Linear(w, 1) for m, w in widths.items()})
        self.company = nn.Parameter(torch.zeros(len(widths), len(widths)))

    def has_content(self, items: int) -> Tensor:
        """Return which items have any modality, (N,) bool."""
        if self.present is None:
            return torch.zeros(items, dtype=torch.bool)
        return self.present.any(dim=1)

    def shares(self, shown: Tensor) -> Tensor:
        """Return each modality's gate; rows sum to 1, or to 0 where nothing is shown.

        Shapes:
            shown: (N, M) bool. returns: (N, M).
        """
        logits = torch.cat([self.gates[m](self.vectors[m]) for m in self.names], dim=1)
        logits = logits + shown.float() @ self.company
        share = torch.softmax(logits.masked_fill(~shown, -1e9), dim=1)
        return share * shown

    def forward(self, noise: torch.Generator | None) -> Tensor | None:
        """Return the content (N, D), zero for an item that shows no modality; None without any."""
        if self.present is None:
            return None
        shown = self.present
        if noise is not None and self.options.modality_dropout:
            survives = kept(tuple(shown.shape), self.options.modality_dropout, shown, noise)
            shown = shown & survives
        projected = torch.stack([self.projections[m](self.vectors[m]) for m in self.names], dim=1)
        content = (self.shares(shown).unsqueeze(2) * projected).sum(dim=1)
        if noise is not None and self.options.dropout:
            survives = kept(tuple(content.shape), self.options.dropout, content, noise)
            content = content * survives / (1 - self.options.dropout)
        return content

    @torch.no_grad()
    def mean_shares(self) -> dict[str, float]:
        """Return each modality's mean gate over the items that have it."""
        if self.present is None:
            return {}
        share, counts = self.shares(self.present), self.present.sum(dim=0).clamp(min=1)
        means = (share.sum(dim=0) / counts).tolist()
        return dict(zip(self.names, means, strict=True))


def principal_directions(vectors: Tensor, width: int) -> Tensor | None:
    """Return the ``width`` orthonormal directions with most energy; None where all are kept.

    Not centred, so that a missing vector stays at zero. Signs are fixed, so that equal input gives
    an equal basis.

    Shapes:
        vectors: (N, V). returns: (V, width), or None for V of at most ``width``.
    """
    if vectors.shape[1] <= width:
        return None
    basis = torch.linalg.eigh(vectors.T @ vectors).eigenvectors[:, -width:].flip(1)
    largest = basis.gather(0, basis.abs().argmax(dim=0, keepdim=True))
    signed: Tensor = basis * largest.sign()
    return signed.contiguous()


def _mlp(from_width: int, to_width: int) -> nn.Module:
    """Return the projection of one modality; no last bias, which all items would share."""
    return nn.Sequential(
        nn.Linear(from_width, 2 * to_width),
        nn.GELU(),
        nn.Linear(2 * to_width, to_width, bias=False),
    )
