"""What re-ranking costs: each variant beside its base model, paired by user."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config import RerankConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.compare import Comparison, compare
from pipeline.evaluate.exposure import exposure_metrics
from pipeline.evaluate.lists import Shown, Variant
from pipeline.evaluate.results import DISTANCE, Measured
from pipeline.likeness import Likeness
from pipeline.measure.stats.draws import Draws
from pipeline.rerank import Reranking, caps_of, labels_by

PAID = ("ndcg", "recall", DISTANCE)
"""What is compared per user, at every k."""

Entry = dict[str, Any]


def variant_name(model: str, variant: str) -> str:
    """Return what the report calls a re-ranking of a model."""
    return f"{model} + {variant}"


def variants_of(
    asked: Mapping[str, RerankConfig], items: pa.Table, likeness: Likeness | None
) -> dict[str, Variant]:
    """Return the variants of ``evaluate.rerank``, by name.

    Raises:
        ConfigError: MMR is asked for and nothing is known to compare items by.
    """
    return {name: _variant(name, each, items, likeness) for name, each in asked.items()}


def _variant(name: str, asked: RerankConfig, items: pa.Table, likeness: Likeness | None) -> Variant:
    balance = 1.0 if asked.mmr_lambda is None else asked.mmr_lambda
    if balance < 1 and likeness is None:
        raise ConfigError(
            f"evaluate.rerank.{name}.mmr_lambda needs something to compare items by, and there "
            f"are no content vectors, categories, graphs or item vectors; use max_per instead"
        )
    limits = {str(label): limit for label, limit in asked.max_per.items()}
    caps = caps_of(items, limits) if limits else None
    how = Reranking(balance, likeness, caps)
    settings = asked.model_dump(mode="json")
    settings["labelled_share"] = {label: _share_with(items, label) for label in limits}
    return Variant(how, asked.candidates, settings)


def _share_with(items: pa.Table, label: str) -> float:
    return float((np.diff(labels_by(items, label).indptr) > 0).mean())


def costs(
    shown: Mapping[str, Shown],
    measured: Measured,
    asked: Mapping[tuple[str, str], Variant],
    draws: Draws,
) -> list[Entry]:
    """Return one entry for each (variant, base) of ``asked``: its settings and every change.

    Changes of means over users have paired intervals and p-values, Holm's family being all that
    is returned; numbers of all lists together are given side by side.
    """
    compared = compare(measured, [*asked], draws, PAID)
    ks = sorted({int(each.metric.split("@")[1]) for each in compared})
    exposed = {name: exposure_metrics(shown[name], ks) for pair in asked for name in pair}
    return [
        {
            **{"variant": variant, "base": base, "split": measured.split},
            "settings": {**made.settings},
            "n_users": len(measured.users),
            "family": len(compared),
            "changes": [_change(c) for c in compared if (c.main, c.baseline) == (variant, base)],
            "of_all_lists": {
                metric: {"base": exposed[base][metric], "variant": value}
                for metric, value in exposed[variant].items()
            },
            **_shortfall(shown[variant], shown[base], ks, made),
        }
        for (variant, base), made in asked.items()
    ]


def _change(found: Comparison) -> Entry:
    kept = ("metric", "difference", "baseline_value", "p", "p_holm")
    return {name: value for name, value in asdict(found).items() if name in kept}


def _shortfall(shown: Shown, base: Shown, ks: list[int], variant: Variant) -> Entry:
    """Return how many lists end early, by k, and why."""
    short = {str(k): shown.n_shorter(k) for k in ks}
    why = None
    if any(shown.n_shorter(k) > base.n_shorter(k) for k in ks):
        limits = variant.settings["max_per"].items()
        caps = ", ".join(f"{limit} per {name}" for name, limit in limits)
        depth = max(variant.candidates, shown.items.shape[1])
        why = f"the best {depth} candidates of these users hold no further item that {caps} allows"
    return {"short_lists": short, "shortfall_reason": why}


def line_of(entry: Entry, k: int) -> str:
    """Return what a variant changes at list length ``k``, in one line."""
    changes = {c["metric"]: c for c in entry["changes"]}
    parts = []
    for metric in (f"{name}@{k}" for name in PAID):
        if metric in changes:
            base, by = changes[metric]["baseline_value"], changes[metric]["difference"]
            bounds = f"[{by['low']:+.4f}, {by['high']:+.4f}]"
            parts.append(f"{metric} {base:.4f} {by['value']:+.4f} {bounds}")
    coverage = entry["of_all_lists"][f"coverage@{k}"]
    parts.append(f"coverage@{k} {coverage['base']:.4f} to {coverage['variant']:.4f}")
    short = entry["short_lists"][str(k)]
    if entry["shortfall_reason"] and short:
        parts.append(f"{short} of {entry['n_users']} lists end early ({entry['shortfall_reason']})")
    return f"{entry['variant']} against {entry['base']}, {entry['split']}: {'; '.join(parts)}"
