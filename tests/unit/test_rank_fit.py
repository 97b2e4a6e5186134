"""The fit finds what is planted, and what it reports of users is not what it learned from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.rank.fit import Examples, Recipe, fit, folds_of

NAMES = ["one", "two", "idle"]
RECIPE = Recipe(hidden=4, epochs=15, learning_rate=0.02, decay=0.01, folds=3, seed=0, batch=32)


def examples(seed=0, users=150, wide=12, rule=lambda x: 3 * x[..., 0] - 2 * x[..., 1]):
    """Return users who took the two real candidates that a rule scores highest."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(users, wide, 3)).astype(np.float32)
    real = np.arange(wide) < rng.integers(4, wide + 1, size=users)[:, None]
    scores = np.where(real, rule(features), -np.inf)
    relevant = scores >= np.sort(scores, axis=1)[:, [-2]]
    return Examples(features, real, relevant & real)


def hit_rate(scores, these):
    """Return how often the best candidate was taken."""
    best = np.where(these.real, scores, -np.inf).argmax(axis=1)
    return these.relevant[np.arange(len(best)), best].mean()


@pytest.mark.parametrize("hidden", [0, 4])
def test_a_planted_rule_is_found_for_users_never_seen(hidden):
    these = examples()
    fitted = fit(NAMES, these, replace(RECIPE, hidden=hidden))
    assert hit_rate(fitted.held_out, these) > 0.95
    new = examples(seed=1)
    assert hit_rate(fitted.network.scores(new.features), new) > 0.95


def test_a_rule_that_no_line_follows_takes_hidden_units():
    these = examples(users=400, rule=lambda x: -np.abs(x[..., 0]))
    recipe = replace(RECIPE, hidden=8, epochs=40)
    curved, straight = (fit(NAMES, these, replace(recipe, hidden=h)) for h in (8, 0))
    assert hit_rate(curved.held_out, these) > hit_rate(straight.held_out, these) + 0.3


def test_labels_by_chance_give_no_gain_on_users_never_seen():
    """Many features and few users: the networks learn by heart whom they see."""
    rng = np.random.default_rng(5)
    users, wide = 120, 10
    features = rng.normal(size=(users, wide, 30)).astype(np.float32)
    relevant = np.arange(wide) == rng.integers(wide, size=users)[:, None]
    these = Examples(features, np.ones_like(relevant), relevant)
    recipe = replace(RECIPE, hidden=16, epochs=60, decay=0.0)
    fitted = fit([f"f{at}" for at in range(30)], these, recipe)
    spread = 3 * np.sqrt(0.1 * 0.9 / users)
    assert hit_rate(fitted.network.scores(features), these) > 0.5
    assert abs(hit_rate(fitted.held_out, these) - 0.1) < spread


@pytest.mark.parametrize("fold", range(RECIPE.folds))
def test_what_is_said_of_a_fold_does_not_depend_on_what_its_users_took(fold):
    these = examples(users=60)
    own = folds_of(60, RECIPE) == fold
    changed = np.where(
        own[:, None], np.roll(these.relevant, 1, axis=1) & these.real, these.relevant
    )
    recipe = replace(RECIPE, epochs=3)
    before = fit(NAMES, these, recipe)
    after = fit(NAMES, replace(these, relevant=changed), recipe)
    assert np.array_equal(before.held_out[own], after.held_out[own])
    assert not np.array_equal(before.held_out[~own], after.held_out[~own])


def test_every_fold_has_users_and_depends_on_the_seed():
    fold = folds_of(300, RECIPE)
    assert np.bincount(fold).min() > 60 and len(np.bincount(fold)) == RECIPE.folds
    assert not np.array_equal(fold, folds_of(300, replace(RECIPE, seed=1)))


def test_the_same_seed_fits_the_same_network_whatever_was_drawn_before():
    these, recipe = examples(users=40), replace(RECIPE, epochs=2)
    torch.manual_seed(1)
    first = fit(NAMES, these, recipe)
    torch.manual_seed(2)
    drawn = torch.random.get_rng_state()
    second = fit(NAMES, these, recipe)
    for name, array in first.network.arrays().items():
        assert np.array_equal(array, second.network.arrays()[name]), name
    assert np.array_equal(first.held_out, second.held_out)
    assert torch.equal(drawn, torch.random.get_rng_state())
    other = fit(NAMES, these, replace(recipe, seed=1))
    assert not np.array_equal(first.network.hidden, other.network.hidden)


def alike(one, other):
    """Return whether two fits say the same, up to rounding, of candidates that neither saw."""
    new = examples(seed=9).features
    return np.allclose(one.network.scores(new), other.network.scores(new), atol=1e-4)


def test_candidates_that_are_none_teach_nothing():
    """Whatever stands in their features."""
    these, recipe = examples(users=40), replace(RECIPE, epochs=2, hidden=0)
    spoiled = np.where(these.real[..., None], these.features, 1e6).astype(np.float32)
    fitted = fit(NAMES, these, recipe)
    assert alike(fitted, fit(NAMES, replace(these, features=spoiled), recipe))
    moved = replace(these, features=these.features[..., [1, 0, 2]])
    assert not alike(fitted, fit(NAMES, moved, recipe))


def test_users_whose_candidates_none_took_teach_nothing():
    these, recipe = examples(users=40), replace(RECIPE, epochs=2, hidden=0)
    idle = (np.arange(40) % 4 == 0)[:, None]
    unwanted = replace(these, relevant=these.relevant & ~idle)
    backwards = replace(
        unwanted,
        features=np.where(idle[..., None], these.features[:, ::-1], these.features),
        real=np.where(idle, these.real[:, ::-1], these.real),
    )
    fitted = fit(NAMES, unwanted, recipe)
    assert alike(fitted, fit(NAMES, backwards, recipe))
    assert not alike(fitted, fit(NAMES, these, recipe))


@pytest.mark.parametrize("users", [1, 2])
def test_fewer_users_than_folds_still_give_finite_networks(users):
    fitted = fit(NAMES, examples(users=users), RECIPE)
    assert all(np.isfinite(array).all() for array in fitted.network.arrays().values())
    assert np.isfinite(fitted.held_out).all()


def constant(value, users):
    these = examples(users=users)
    these.features[..., 2] = value
    return fit(NAMES, these, replace(RECIPE, epochs=1)).network


@pytest.mark.parametrize("users", [30, 3000])
def test_a_feature_that_never_varies_has_a_deviation_of_one(users):
    """Otherwise a value that differs by rounding would stand at the limit."""
    network = constant(0.7, users)
    assert network.deviation[2] == 1.0
    assert network.mean[2] == pytest.approx(0.7, abs=1e-6)


def test_a_feature_that_is_always_nothing_has_a_deviation_of_one():
    network = constant(0.0, 30)
    assert network.deviation[2] == 1.0 and network.mean[2] == 0.0
