"""The demo shop's planted truth can be found, and each kind of evidence holds a part of it.

Slow, obvious recommenders on the global-time split: what they reach says what a model could.
"""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import DemoConfig
from pipeline.etl.demo import plan
from pipeline.etl.demo.world import TASTES

K = 20
VISIBLE = {"text": ("kind", "theme", "finish"), "image": ("kind", "palette", "pattern")}


class Split:
    """Train and test of a world, as dense matrices."""

    def __init__(self, world):
        late = world.seconds >= np.quantile(world.seconds, 0.9)
        shape = world.liking.shape
        self.world = world
        self.train, self.test = np.zeros(shape, np.float32), np.zeros(shape, bool)
        self.train[world.user[~late], world.item[~late]] = 1
        self.test[world.user[late], world.item[late]] = True

    def recall(self, scores) -> float:
        users = self.test.any(axis=1) & self.train.any(axis=1)
        open_to = np.where(self.train[users] > 0, -np.inf, scores[users])
        top = np.argpartition(-open_to, K, axis=1)[:, :K]
        hits = np.take_along_axis(self.test[users], top, axis=1).sum(axis=1)
        return float((hits / self.test[users].sum(axis=1)).mean())

    def popularity(self) -> np.ndarray:
        return np.tile(np.log1p(self.train.sum(axis=0)), (len(self.train), 1))

    def item_knn(self) -> np.ndarray:
        norms = np.sqrt(self.train.sum(axis=0)) + 1e-9
        similar = self.train.T @ self.train / norms / norms[:, None]
        np.fill_diagonal(similar, 0)
        return self.train @ similar

    def profiles(self, names) -> np.ndarray:
        """How much more of an item's attribute values a user took than others did."""
        log_odds = np.zeros_like(self.world.liking)
        seen = self.train.sum(axis=1, keepdims=True)
        for name in names:
            value = self.world.attributes[name]
            flags = np.eye(TASTES[name].values, dtype=np.float32)[value]
            share = self.train.sum(axis=0) @ flags / self.train.sum()
            own = (self.train @ flags + 4 * share) / (seen + 4)
            log_odds += np.log(own / share)[:, value]
        return log_odds


@pytest.fixture(scope="module")
def split():
    return Split(plan(DemoConfig()))


def test_taste_beats_popularity_and_the_truth_beats_all(split):
    popularity, neighbours = split.recall(split.popularity()), split.recall(split.item_knn())
    truth = split.recall(split.world.liking)
    assert neighbours > 2 * popularity
    assert truth > 2 * neighbours
    assert truth < 0.9


def test_text_picture_and_company_each_add(split):
    def with_popularity(*names):
        return split.recall(split.profiles(names) + split.popularity())

    text, image = (with_popularity(*VISIBLE[modality]) for modality in ("text", "image"))
    kind = with_popularity("kind")
    both = with_popularity(*{*VISIBLE["text"], *VISIBLE["image"]})
    everything = with_popularity(*TASTES)
    assert min(text, image) > kind + 0.01
    assert both > max(text, image) + 0.02
    assert everything > both + 0.01


def test_content_finds_items_that_nobody_had_taken(split):
    """Among items new at the cut, content ranks what a user takes next well above chance."""
    new = (split.train.sum(axis=0) == 0) & split.test.any(axis=0)
    scores = split.profiles({*VISIBLE["text"], *VISIBLE["image"]})[:, new]
    taken = split.test[:, new]
    better = [
        (scores[user][~taken[user]] < scores[user][item]).mean()
        for user, item in np.argwhere(taken)
    ]
    assert np.mean(better) > 0.65


def test_without_tastes_nothing_can_be_found(monkeypatch):
    """The same shop with indifferent users: no neighbour, no content beats popularity."""
    for name, taste in TASTES.items():
        monkeypatch.setitem(TASTES, name, replace(taste, weight=0.0))
    indifferent = Split(plan(DemoConfig()))
    popularity = indifferent.recall(indifferent.popularity())
    assert indifferent.recall(indifferent.item_knn()) < popularity + 0.01
    assert indifferent.recall(indifferent.profiles(VISIBLE["text"])) < popularity
