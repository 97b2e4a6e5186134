"""What a number means: the users, candidates and masks of one split, and the card that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Rows
from pipeline.artifacts import Artifact
from pipeline.errors import DataError, suggest
from pipeline.interactions import evaluable, user_item
from pipeline.schema import SPLITS, TRAIN, VALIDATION
from pipeline.scoring import Ranking

MASKS = {"train": (TRAIN,), "train+validation": (TRAIN, VALIDATION)}
IDEAL = "min(K, relevant)"
TIES = "seeded permutation of the items, turned for each user"


@dataclass(frozen=True)
class Rules:
    """How a split is ranked: what is masked, who is a candidate, and the seed of ties."""

    mask: str = "train+validation"
    """A key of ``MASKS``; validation is always ranked with training masked alone."""
    candidates: str = "all"
    """``all`` items, or those with an interaction in ``train``."""
    seed: int = 0


@dataclass(frozen=True)
class Subject:
    """One split to evaluate.

    Shapes:
        users: (B,). train, relevant, masked: CSR (U, N). candidates: (N,).
    """

    split: str
    mask: str
    rules: Rules
    users: Rows
    train: sp.csr_matrix
    relevant: sp.csr_matrix
    masked: sp.csr_matrix
    candidates: Flags

    def ranking(self, k: int) -> Ranking:
        """Return how lists of length ``k`` are made."""
        limited = None if self.candidates.all() else self.candidates
        return Ranking(self.masked, k, limited, self.rules.seed)

    def card(self, tables: Artifact) -> dict[str, Any]:
        """Return the part of the protocol card that is the same for every model and metric."""
        held_out = np.diff(self.relevant.indptr) > 0
        return {
            "split": self.split,
            "split_rule": _split_rule(tables),
            "tables": tables.fingerprint,
            "ranking": "full",
            "candidates": self.rules.candidates,
            "n_candidates": int(self.candidates.sum()),
            "held_out_beyond_candidates": "count as misses",
            "mask": self.mask,
            "ideal": IDEAL,
            "ties": TIES,
            "seed": self.rules.seed,
            "users": "with a training and a held-out interaction",
            "n_users": len(self.users),
            "left_out": {
                "users without training interactions": int(held_out.sum()) - len(self.users)
            },
        }


def subject(tables: Artifact, split: str, rules: Rules) -> Subject:
    """Return what is to be evaluated in a split; its users may be none.

    Raises:
        DataError: there is no such split or mask.
    """
    for what, name, known in ("split", split, [*SPLITS][1:]), ("mask", rules.mask, [*MASKS]):
        if name not in known:
            raise DataError(f"unknown {what} {name!r}{suggest(name, known)}; one of {known}")
    mask = rules.mask if split == "test" else "train"
    train, relevant = user_item(tables), user_item(tables, (SPLITS[split],))
    masked = train if mask == "train" else user_item(tables, MASKS[mask])
    candidates = np.ones(train.shape[1], dtype=np.bool_)
    if rules.candidates == "train":
        candidates = interacted(train)
    users = evaluable(train, relevant)
    return Subject(split, mask, rules, users, train, relevant, masked, candidates)


def interacted(matrix: sp.csr_matrix) -> Flags:
    """Return which columns have an entry.

    Shapes:
        matrix: CSR (U, N). returns: (N,).
    """
    return np.asarray(np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0)


def _split_rule(tables: Artifact) -> Mapping[str, Any]:
    rule: Mapping[str, Any] = tables.manifest["config"].get("split", {"rule": "unknown"})
    return rule
