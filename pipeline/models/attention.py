"""Attention as bounded gates on the edges of a normalised graph: one number per edge and head.

Softmax attention with weights and nonlinearities stays below matrix factorisation on interaction
graphs, because it forgets how popular both ends of an edge are. Here the symmetric normalisation
stays, and attention may raise or lower an edge by less than its own weight:
``a_ij = s_ij (1 + mean_h g_h tanh(q_hi . k_hj / sqrt(d)))`` with ``|g_h| < 1``, and ``g_h = 0`` in
a new model, which therefore starts as linear propagation. After Song et al., NGAT4Rec, 2020 (arXiv
2010.12256), who drop weights and nonlinearity inside graph attention; the bounded gate is ours.
"""

import torch
from torch import Tensor, nn

from pipeline.models.gated import Gate, edge_factors
from pipeline.models.sparse import Edges


class EdgeGates(nn.Module):
    """The gates of one relation.

    Shapes:
        D width, H heads; a head's queries and keys have ``max(1, D // H)`` numbers.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Draw queries and keys from torch's current generator; strengths start at 0."""
        super().__init__()
        self.heads, self.per_head = heads, max(1, width // heads)
        size = (width, heads * self.per_head)
        self.query = nn.Parameter(torch.randn(size) / width**0.5)
        self.key = nn.Parameter(torch.randn(size) / width**0.5)
        self.strength = nn.Parameter(torch.zeros(heads))

    def forward(self, edges: Edges, receivers: Tensor, senders: Tensor) -> Tensor:
        """Return each edge's factor, strictly between 0 and 2.

        Shapes:
            receivers: (R, D). senders: (C, D). returns: (E,).
        """
        return edge_factors(edges, self.of(receivers, senders))

    def of(self, receivers: Tensor, senders: Tensor) -> Gate:
        """Return what both sides bring to their gates.

        Shapes:
            receivers: (R, D). senders: (C, D).
        """
        shape = -1, self.heads, self.per_head
        queries, keys = (receivers @ self.query).float(), (senders @ self.key).float()
        bound = self.bounded_strength() / self.heads
        return Gate(queries.view(shape), keys.view(shape), bound)

    def bounded_strength(self) -> Tensor:
        """Return g, (H,), each strictly between -1 and 1."""
        return torch.tanh(self.strength)


def direction(x: Tensor) -> Tensor:
    """Return rows of root mean square 1 (zero rows stay), cut off from the gradient.

    Attention reads where an embedding points; it must neither depend on how large embeddings have
    grown nor push them around.
    """
    x = x.detach()
    size = x.square().mean(dim=1, keepdim=True).sqrt()
    return torch.where(size > 0, x / size.clamp(min=1e-20), 0.0)
