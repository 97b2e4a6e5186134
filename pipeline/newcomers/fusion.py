"""Fusion in numpy: from the modalities of an item to its content, as pipeline/models/fusion.py."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from pipeline.arrays import Flags, Floats

_TINY = np.float32(1e-12)
_NEVER = np.float32(-1e9)

Tensors = Mapping[str, Floats]


@dataclass(frozen=True)
class Fusion:
    """A trained rule with its parameters, and what is done to a modality before it enters."""

    kind: str
    modalities: tuple[str, ...]
    """In the order in which the rule takes them."""
    tensors: Tensors
    """As torch names them: ``mean_<m>``, ``basis_<m>`` and ``rule.…``."""
    width: int
    experts: int
    experts_used: int
    """Experts that serve an item (mixture)."""

    def content(self, vectors: Mapping[str, Floats], present: Mapping[str, Flags]) -> Floats:
        """Return the content of items, zero for one that shows nothing.

        Shapes:
            vectors: (M, width of the modality) each. present: (M,) each. returns: (M, D).
        """
        shown = np.stack([present[m] for m in self.modalities], axis=1)
        parts = [self._entering(m, vectors[m], present[m]) for m in self.modalities]
        return RULES[self.kind](self, parts, shown).astype(np.float32)

    def shares(self, vectors: Mapping[str, Floats], present: Mapping[str, Flags]) -> Floats | None:
        """Return how much of items' content is each modality's, None where the rule mixes them.

        Shapes:
            vectors: (M, width of the modality) each. present: (M,) each. returns: (M, modalities),
            rows add up to 1, or to 0 for an item that shows nothing.
        """
        share = SHARES.get(self.kind)
        if share is None:
            return None
        shown = np.stack([present[m] for m in self.modalities], axis=1)
        parts = [self._entering(m, vectors[m], present[m]) for m in self.modalities]
        return share(self, parts, shown)

    def _entering(self, name: str, vectors: Floats, present: Flags) -> Floats:
        part = np.where(present[:, None], vectors.astype(np.float32), np.float32(0))
        mean, basis = self.tensors.get(f"mean_{name}"), self.tensors.get(f"basis_{name}")
        if mean is not None:
            away = part - mean
            lengths = np.linalg.norm(away, axis=1, keepdims=True)
            part = away / np.maximum(lengths, _TINY) * present[:, None]
        return part if basis is None else part @ basis

    def linear(self, name: str, x: Floats) -> Floats:
        """Return a linear layer's output."""
        out: Floats = x @ self.tensors[f"rule.{name}.weight"].T
        bias = self.tensors.get(f"rule.{name}.bias")
        return out if bias is None else out + bias

    def projection(self, name: str, x: Floats) -> Floats:
        """Return the output of a network with one hidden layer."""
        return self.linear(f"{name}.2", _gelu(self.linear(f"{name}.0", x)))


Rule = Callable[[Fusion, Sequence[Floats], Flags], Floats]


def _gated(fusion: Fusion, parts: Sequence[Floats], shown: Flags) -> Floats:
    return _weighted(fusion, parts, _gates(fusion, parts, shown))


def _gates(fusion: Fusion, parts: Sequence[Floats], shown: Flags) -> Floats:
    pairs = zip(fusion.modalities, parts, strict=True)
    logits = np.concatenate([fusion.linear(f"gates.{m}", part) for m, part in pairs], axis=1)
    logits = logits + shown.astype(np.float32) @ fusion.tensors["rule.company"]
    share: Floats = _softmax(np.where(shown, logits, _NEVER)) * shown
    return share


def _equal(fusion: Fusion, parts: Sequence[Floats], shown: Flags) -> Floats:
    share: Floats = shown / np.maximum(1, shown.sum(axis=1, keepdims=True))
    return share


def _mean(fusion: Fusion, parts: Sequence[Floats], shown: Flags) -> Floats:
    projected = [
        fusion.linear(f"projections.{m}", part)
        for m, part in zip(fusion.modalities, parts, strict=True)
    ]
    return _total(projected, _equal(fusion, parts, shown))


def _concat(fusion: Fusion, parts: Sequence[Floats], shown: Flags) -> Floats:
    return fusion.projection("network", _side_by_side(parts, shown)) * _any(shown)


def _mixture(fusion: Fusion, parts: Sequence[Floats], shown: Flags) -> Floats:
    inputs = _side_by_side(parts, shown)
    logits, used = fusion.linear("router", inputs), fusion.experts_used
    best = np.argsort(-logits, axis=1, kind="stable")[:, :used]
    kept = np.zeros_like(logits)
    np.put_along_axis(kept, best, 1, axis=1)
    shares = _softmax(logits) * kept
    if used > 1:
        shares = shares / shares.sum(axis=1, keepdims=True)
    found = [fusion.projection(f"experts.{e}", inputs) for e in range(fusion.experts)]
    return _total(found, shares * _any(shown))


RULES: Mapping[str, Rule] = {
    "gated": _gated, "mean": _mean, "concat": _concat, "mixture": _mixture,
}  # fmt: skip
"""By the name that ``train.fusion`` has for it."""
SHARES: Mapping[str, Rule] = {"gated": _gates, "mean": _equal}
"""Of the rules that add up what each modality brings by itself."""


def _weighted(fusion: Fusion, parts: Sequence[Floats], share: Floats) -> Floats:
    pairs = zip(fusion.modalities, parts, strict=True)
    return _total([fusion.projection(f"projections.{m}", part) for m, part in pairs], share)


def _total(outputs: Sequence[Floats], share: Floats) -> Floats:
    """Return the sum of outputs (M, D), each times its column of ``share`` (M, K)."""
    total: Floats = np.einsum("kmd,mk->md", np.stack(outputs), share)
    return total


def _side_by_side(parts: Sequence[Floats], shown: Flags) -> Floats:
    masked = [part * flags[:, None] for part, flags in zip(parts, shown.T, strict=True)]
    return np.concatenate([*masked, shown.astype(np.float32)], axis=1)


def _any(shown: Flags) -> Flags:
    found: Flags = np.asarray(shown.any(axis=1))[:, None]
    return found


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _gelu(x: Floats) -> Floats:
    smooth: Floats = np.float32(0.5) * x * (1 + erf(x * np.float32(0.5**0.5)))
    return smooth
