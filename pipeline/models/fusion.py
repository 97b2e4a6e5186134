"""Learned fusion: from the modalities an item has to one content vector, by a choice of rules."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.models.base import Options, kept
from pipeline.registry import Registry

_BLOCK = 1 << 16
"""Items whose vectors are read at once where they are not kept."""

INPUT_WIDTHS = 2
"""A modality enters with at most this many times the model's width."""

Learned = dict[str, float]
"""Numbers of a model by name."""


class Rule(nn.Module):
    """How the modalities that an item shows become one vector.

    Shapes:
        parts: M of (N, V_m), zero where not present. shown: (N, M) bool. N items, M modalities.
    """

    def forward(self, parts: Sequence[Tensor], shown: Tensor) -> Tensor:
        """Return the content of every item, (N, D), zero for an item that shows nothing."""
        raise NotImplementedError

    def auxiliary(self, parts: Sequence[Tensor], shown: Tensor) -> Tensor | None:
        """Return what the rule adds to the loss of a step, (); None for nothing."""
        return None

    def learned(self, parts: Sequence[Tensor], shown: Tensor) -> Learned:
        """Return the few numbers a reader wants to know."""
        return {}


FUSIONS: Registry[Callable[[Mapping[str, int], Options], Rule]] = Registry("fusion")
"""Rules by name; one is made from each modality's width V_m and the options."""


class Fusion(nn.Module):
    """Content of an item: its modalities, made one by the rule that ``options.fusion`` names.

    The bytes of a vector that is not present never reach the output. A modality much wider than
    the model is first turned to its principal directions, once: every step projects every item,
    and what lies beyond them costs time and carries next to nothing. Encoders point all items one
    way; ``options.centre_content`` takes that away first.

    Shapes:
        N items, M modalities, D width.
    """

    def __init__(
        self,
        vectors: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        options: Options,
        held: bool = True,
    ) -> None:
        """Draw new parameters from torch's current generator.

        What enters the rule is kept for all items, or, not ``held``, read in blocks to learn how a
        vector enters and then forgotten: items are brought by ``entering``.
        """
        super().__init__()
        self.names = sorted(vectors)
        self.options = options
        self.present = torch.stack([present[m] for m in self.names], dim=1) if self.names else None
        self.parts: list[Tensor] = []
        for name in self.names:
            self._learn_to_enter(name, vectors[name], present[name], held)
        if held:
            self.parts = [self._entering(n, vectors[n], present[n]) for n in self.names]
        widths = {m: self._width(m, vectors[m].shape[1]) for m in self.names}
        self.rule = FUSIONS[options.fusion](widths, options) if widths else None

    def _learn_to_enter(self, name: str, vectors: Tensor, present: Tensor, held: bool) -> None:
        """Keep the mean of a modality, where it is taken away, and its principal directions."""
        step = max(1, len(vectors) if held else _BLOCK)
        blocks = [slice(at, at + step) for at in range(0, len(vectors), step)]
        self.register_buffer(f"mean_{name}", None)
        self.register_buffer(f"basis_{name}", None)
        if self.options.centre_content:
            masked = (_masked(vectors[rows], present[rows]) for rows in blocks)
            self.register_buffer(f"mean_{name}", mean_of_present(masked, present))
        width = INPUT_WIDTHS * self.options.width
        if vectors.shape[1] > width:
            whole = (self._entering(name, vectors[rows], present[rows]) for rows in blocks)
            self.register_buffer(f"basis_{name}", principal_directions(whole, width))

    def _width(self, name: str, raw: int) -> int:
        basis = getattr(self, f"basis_{name}")
        return raw if basis is None else int(basis.shape[1])

    def has_content(self, items: int) -> Tensor:
        """Return which items have any modality, (N,) bool."""
        if self.present is None:
            return torch.zeros(items, dtype=torch.bool)
        return self.present.any(dim=1)

    def forward(self, noise: torch.Generator | None) -> Tensor | None:
        """Return the content (N, D), zero for an item that shows no modality; None without any."""
        if self.rule is None or self.present is None:
            return None
        return self.content(self.parts, self.present, noise)

    def content(
        self, parts: Sequence[Tensor], shown: Tensor, noise: torch.Generator | None
    ) -> Tensor | None:
        """Return what the rule makes of parts, (N, D); None without any modality.

        Shapes:
            parts: M of (N, V_m), zero where not present. shown: (N, M) bool.
        """
        if self.rule is None:
            return None
        if noise is not None and self.options.modality_dropout:
            shown = shown & kept(tuple(shown.shape), self.options.modality_dropout, shown, noise)
        content: Tensor = self.rule(parts, shown).float()
        if noise is not None and self.options.dropout:
            survives = kept(tuple(content.shape), self.options.dropout, content, noise)
            content = content * survives / (1 - self.options.dropout)
        return content

    def of_new(self, vectors: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor | None:
        """Return the content of items that were no input of training; None without a modality.

        Shapes:
            vectors: (M, width of the modality) each. present: (M,) bool each. returns: (M, D).
        """
        if self.rule is None:
            return None
        parts, shown = self.entering(vectors, present, len(next(iter(present.values()))))
        return self.content(parts, shown, None)

    def entering(
        self, vectors: Mapping[str, Tensor], present: Mapping[str, Tensor], items: int
    ) -> tuple[list[Tensor], Tensor]:
        """Return what enters the rule for raw vectors of some items: parts, and which are shown.

        Shapes:
            vectors: (N, width of the modality) each. present: (N,) bool each.
            returns: M of (N, V_m), and (N, M) bool.
        """
        parts = [self._entering(name, vectors[name], present[name]) for name in self.names]
        if not self.names:
            device = next(iter(self.parameters()), torch.zeros(())).device
            return [], torch.zeros(items, 0, dtype=torch.bool, device=device)
        return parts, torch.stack([present[m] for m in self.names], dim=1)

    def _entering(self, name: str, vectors: Tensor, present: Tensor) -> Tensor:
        """Return what enters the rule for a modality's raw vectors."""
        mean, basis = getattr(self, f"mean_{name}"), getattr(self, f"basis_{name}")
        part = _masked(vectors, present)
        part = part if mean is None else centred(part, present, mean)
        return part if basis is None else part @ basis

    def alone(self, rows: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return by modality the content of some items that show no other, and which have it.

        Shapes:
            rows: (B,). returns: (B, D), zero for an item without the modality, and (B,) bool each.
        """
        if self.rule is None or self.present is None:
            return {}
        rule, present = self.rule, self.present[rows]
        parts = [part[rows] for part in self.parts]
        only = torch.eye(len(self.names), dtype=torch.bool, device=present.device)
        shown = {name: present & column for name, column in zip(self.names, only, strict=True)}
        return {name: (rule(parts, own), own.any(dim=1)) for name, own in shown.items()}

    def auxiliary(self) -> Tensor | None:
        """Return what fusing adds to the loss of a step, (), with every modality shown."""
        if self.present is None:
            return None
        return self.extra(self.parts, self.present)

    def extra(self, parts: Sequence[Tensor], shown: Tensor) -> Tensor | None:
        """Return what fusing some items adds to the loss of a step, ()."""
        return None if self.rule is None else self.rule.auxiliary(parts, shown)

    @torch.no_grad()
    def learned(self) -> Learned:
        """Return the few numbers a reader wants to know about the rule."""
        return {} if self.present is None else self.told(self.parts, self.present)

    def told(self, parts: Sequence[Tensor], shown: Tensor) -> Learned:
        """Return the few numbers about the rule that some items tell."""
        return {} if self.rule is None else self.rule.learned(parts, shown)


@FUSIONS.register("gated")
class Gated(Rule):
    """Projections weighted by gates that sum to 1.

    A modality's gate depends on its own vector and on which other modalities the item has, after
    the gated multimodal unit (Arevalo et al., 2017, arXiv 1702.01992), with a softmax over the
    present ones.
    """

    def __init__(self, widths: Mapping[str, int], options: Options) -> None:
        """Draw parameters from torch's current generator."""
        super().__init__()
        self.projections = nn.ModuleDict(
            {m: projection(w, options.width) for m, w in widths.items()}
        )
        self.gates = nn.ModuleDict({m: nn.Linear(w, 1) for m, w in widths.items()})
        self.company = nn.Parameter(torch.zeros(len(widths), len(widths)))

    def shares(self, parts: Sequence[Tensor], shown: Tensor) -> Tensor:
        """Return each modality's gate (N, M); rows sum to 1, or to 0 where nothing is shown."""
        pairs = zip(self.gates.values(), parts, strict=True)
        logits = torch.cat([gate(part) for gate, part in pairs], dim=1)
        logits = logits + shown.float() @ self.company
        share = torch.softmax(logits.masked_fill(~shown, -1e9), dim=1)
        return share * shown

    def forward(self, parts: Sequence[Tensor], shown: Tensor) -> Tensor:
        """Return the gates' mean of the projections, (N, D)."""
        return _weighted(self.projections, parts, self.shares(parts, shown))

    def learned(self, parts: Sequence[Tensor], shown: Tensor) -> Learned:
        """Return each modality's mean gate over the items that have it."""
        share, counts = self.shares(parts, shown), shown.sum(dim=0).clamp(min=1)
        means = (share.sum(dim=0) / counts).tolist()
        return {f"modality/{n}": mean for n, mean in zip(self.gates, means, strict=True)}


@FUSIONS.register("mean")
class Mean(Rule):
    """The plain mean of linear projections of the shown modalities: few parameters, a baseline."""

    def __init__(self, widths: Mapping[str, int], options: Options) -> None:
        """Draw parameters from torch's current generator."""
        super().__init__()
        self.projections = nn.ModuleDict(
            {m: nn.Linear(w, options.width, bias=False) for m, w in widths.items()}
        )

    def forward(self, parts: Sequence[Tensor], shown: Tensor) -> Tensor:
        """Return the mean of the projections of what is shown, (N, D)."""
        share = shown / shown.sum(dim=1, keepdim=True).clamp(min=1)
        return _weighted(self.projections, parts, share)


@FUSIONS.register("concat")
class Concat(Rule):
    """One network over all modalities side by side, which can combine what they say."""

    def __init__(self, widths: Mapping[str, int], options: Options) -> None:
        """Draw parameters from torch's current generator."""
        super().__init__()
        self.network = projection(sum(widths.values()) + len(widths), options.width)

    def forward(self, parts: Sequence[Tensor], shown: Tensor) -> Tensor:
        """Return the network's output, (N, D)."""
        content: Tensor = self.network(side_by_side(parts, shown))
        return content * shown.any(dim=1, keepdim=True)


def side_by_side(parts: Sequence[Tensor], shown: Tensor) -> Tensor:
    """Return what is shown, zero elsewhere, and the flags of it: (N, sum of V_m + M)."""
    masked = [part * flags.unsqueeze(1) for part, flags in zip(parts, shown.T, strict=True)]
    return torch.cat([*masked, shown.float()], dim=1)


def projection(from_width: int, to_width: int) -> nn.Module:
    """Return a network with one hidden layer; no last bias, which all items would share."""
    return nn.Sequential(
        nn.Linear(from_width, 2 * to_width),
        nn.GELU(),
        nn.Linear(2 * to_width, to_width, bias=False),
    )


def _weighted(projections: nn.ModuleDict, parts: Sequence[Tensor], share: Tensor) -> Tensor:
    """Return the sum of the modalities' projections, each times its share of the item, (N, D)."""
    projected = [to(part) for to, part in zip(projections.values(), parts, strict=True)]
    return (share.unsqueeze(2) * torch.stack(projected, dim=1)).sum(dim=1)


def _masked(vectors: Tensor, present: Tensor) -> Tensor:
    return torch.where(present.unsqueeze(1), vectors.float(), 0.0)


def mean_of_present(blocks: Iterable[Tensor], present: Tensor) -> Tensor:
    """Return the mean of the present vectors, (V,), of blocks (n, V) that are zero elsewhere."""
    return sum((b.sum(dim=0) for b in blocks), torch.zeros(())) / present.sum().clamp(min=1)


def centred(vectors: Tensor, present: Tensor, mean: Tensor) -> Tensor:
    """Return the present vectors less ``mean``, of unit length; zero where not present.

    Shapes:
        vectors: (N, V), zero where not present. present: (N,) bool. mean: (V,). returns: (N, V).
    """
    away: Tensor = torch.nn.functional.normalize(vectors - mean)
    return away * present.unsqueeze(1)


def principal_directions(blocks: Iterable[Tensor], width: int) -> Tensor:
    """Return the ``width`` orthonormal directions with most energy.

    Not centred, so that a missing vector stays at zero. Signs are fixed, so that equal input gives
    an equal basis.

    Shapes:
        blocks: of (n, V), together (N, V). returns: (V, width), or (V, V) for V below ``width``.
    """
    energy = sum((block.T @ block for block in blocks), torch.zeros(()))
    basis = torch.linalg.eigh(energy).eigenvectors[:, -width:].flip(1)
    largest = basis.gather(0, basis.abs().argmax(dim=0, keepdim=True))
    signed: Tensor = basis * largest.sign()
    return signed.contiguous()
