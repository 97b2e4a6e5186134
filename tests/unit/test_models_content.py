"""Content baselines against the obvious computation, and whom they can reach."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models import MODELS, Inputs, Options
from pipeline.models.content import content_vectors
from pipeline.models.content_knn import BLOCK
from pipeline.train.active import edges_of
from pipeline.train.loop import matrix_of, scorer_of
from tests import worlds
from tests.train_worlds import inputs_of

WORLD = worlds.planted()


def naive_content(world) -> np.ndarray:
    """Return (N, V): each present modality less the hot mean, unit, then all side by side, unit."""
    hot = set(world.matrix().indices.tolist())
    rows = []
    for item in range(world.n_items):
        parts = []
        for modality in sorted(world.vectors):
            vectors, present = world.vectors[modality], world.present[modality]
            known = [i for i in range(world.n_items) if i in hot and present[i]]
            away = vectors[item] - np.mean(vectors[known], axis=0)
            unit = away / np.linalg.norm(away)
            parts.append(unit if present[item] else np.zeros_like(unit))
        whole = np.concatenate(parts)
        rows.append(whole / max(1e-12, np.linalg.norm(whole)))
    return np.array(rows)


def naive_knn_scores(world, k: int) -> np.ndarray:
    """Return (U, N): the cosines of the candidate's k nearest hot items that the user has."""
    content, train = naive_content(world), world.matrix().toarray()
    hot = np.flatnonzero(train.any(axis=0))
    scores = np.zeros(train.shape)
    for item in range(world.n_items):
        others = [other for other in hot if other != item]
        cosines = {other: float(content[item] @ content[other]) for other in others}
        for other in sorted(others, key=lambda o: -cosines[o])[:k]:
            scores[:, item] += train[:, other] * max(0.0, cosines[other])
    return scores


def scores_of(name: str, inputs: Inputs, **options) -> np.ndarray:
    outputs = MODELS[name](inputs, Options(**options), 0).outputs()
    return scorer_of(outputs, WORLD.matrix()).scores(np.arange(inputs.users))


def test_content_is_what_it_says():
    found = content_vectors(inputs_of(WORLD)).numpy()
    np.testing.assert_allclose(found, naive_content(WORLD), atol=1e-6)
    assert not found[WORLD.no_content].any()
    lengths = np.delete(np.linalg.norm(found, axis=1), WORLD.no_content)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_items_that_share_one_modality_are_less_alike_than_their_cosine():
    both, text_alone = content_vectors(inputs_of(WORLD))[[0, WORLD.no_picture]]
    width = WORLD.vectors["text"].shape[1]
    parts = both[-width:] / both[-width:].norm(), text_alone[-width:]
    assert float(both @ text_alone) == pytest.approx(float(parts[0] @ parts[1]) / 2**0.5, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.1, 50))
def test_the_length_of_ready_made_vectors_does_not_matter(factor):
    inputs = inputs_of(WORLD)
    longer = {**inputs.vectors, "text": inputs.vectors["text"] * factor}
    torch.testing.assert_close(
        content_vectors(dataclasses.replace(inputs, vectors=longer)), content_vectors(inputs)
    )


@pytest.mark.parametrize("k", [1, 3, 1000])
def test_content_knn_sums_over_the_candidates_nearest(k):
    found = scores_of("content_knn", inputs_of(WORLD), neighbors=k)
    np.testing.assert_allclose(found, naive_knn_scores(WORLD, k), atol=1e-5)


def test_content_knn_reaches_every_item_with_content():
    model = MODELS["content_knn"](inputs_of(WORLD), Options(neighbors=2), 0)
    weights = matrix_of(model.outputs()).tocsc()
    reached = np.diff(weights.indptr)
    assert (np.delete(reached, WORLD.no_content) == 2).all() and reached[WORLD.no_content] == 0
    assert not np.intersect1d(weights.indices, WORLD.warm_items).size
    assert not weights.diagonal().any()


def test_content_knn_does_not_depend_on_its_blocks():
    world = worlds.planted(n_items=BLOCK + 40, n_users=60)
    model = MODELS["content_knn"](inputs_of(world), Options(neighbors=5), 0)
    found = (world.matrix() @ matrix_of(model.outputs())).toarray()
    np.testing.assert_allclose(found, naive_knn_scores(world, 5), atol=1e-5)


def test_content_mean_ranks_by_the_mean_of_the_history():
    found = scores_of("content_mean", inputs_of(WORLD))
    content, train = naive_content(WORLD), WORLD.matrix().toarray()
    lengths = train.sum(axis=1, keepdims=True)
    mean = train @ content / np.maximum(1, lengths)
    np.testing.assert_allclose(found, np.sqrt(lengths) * (mean @ content.T), atol=1e-5)


def test_a_history_in_the_request_is_a_user_of_content_mean():
    outputs = MODELS["content_mean"](inputs_of(WORLD), Options(), 0).outputs().vectors
    history = WORLD.matrix()[7].indices
    folded = outputs["fold_in"][history].sum(dim=0) / len(history) ** 0.5
    torch.testing.assert_close(folded, outputs["user_vectors"][7])


@pytest.mark.parametrize("name", ["content_knn", "content_mean"])
def test_without_content_or_interactions_nothing_is_scored(name):
    bare = Inputs(inputs_of(WORLD).user_item)
    assert not scores_of(name, bare).any()
    nothing = WORLD.matrix() * 0
    nothing.eliminate_zeros()
    inputs = dataclasses.replace(inputs_of(WORLD), user_item=edges_of(nothing))
    outputs = MODELS[name](inputs, Options(), 0).outputs()
    assert not scorer_of(outputs, nothing).scores(np.arange(WORLD.n_users)).any()


@pytest.mark.parametrize("name", ["content_knn", "content_mean"])
def test_bytes_of_what_is_missing_never_matter(name):
    inputs = inputs_of(WORLD)
    loud = {m: v.clone() for m, v in inputs.vectors.items()}
    for modality, vectors in loud.items():
        vectors[~inputs.present[modality]] = torch.nan
    other = dataclasses.replace(inputs, vectors=loud)
    assert np.array_equal(scores_of(name, inputs), scores_of(name, other))
