"""Requests for one list each, gathered from all connections and answered together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from serving.batcher import Batcher
from serving.requests import RecommendRequest
from serving.summaries import Plain


class Asked(Protocol):
    """What answers several requests at once: a recommender, or an arm of the service."""

    def plain(self, requests: Sequence[RecommendRequest]) -> list[Plain]:
        """Return the list for each request."""


@dataclass(frozen=True)
class Question:
    """A request, and whom it is put to."""

    recommender: Asked
    request: RecommendRequest


@dataclass(frozen=True)
class Answer:
    """An answer, and how it is sent."""

    plain: Plain
    body: bytes


def answer_all(questions: Sequence[Question]) -> list[Answer]:
    """Return the answer to each question; each recommender is asked once."""
    asked: dict[int, list[int]] = {}
    for place, question in enumerate(questions):
        asked.setdefault(id(question.recommender), []).append(place)
    found: dict[int, Answer] = {}
    for places in asked.values():
        recommender = questions[places[0]].recommender
        plain = recommender.plain([questions[place].request for place in places])
        found.update(
            (place, Answer(each, orjson.dumps(each)))
            for place, each in zip(places, plain, strict=True)
        )
    return [found[place] for place in range(len(questions))]


def one_thread() -> None:
    """Let FAISS use one thread for the searches of this thread: others have work as well."""
    import faiss

    faiss.omp_set_num_threads(1)


def new_batcher() -> Batcher[Question, Answer]:
    """Return a batcher of questions."""
    return Batcher(answer_all, prepare=one_thread)
