"""Asked together is answered as asked one by one; nobody waits for nobody, nobody fails another."""

import asyncio
import threading

import pytest

from serving.batcher import Batcher
from serving.messages import Recommendations
from serving.questions import Question, answer_all, new_batcher
from serving.requests import RecommendRequest


def run(work):
    return asyncio.run(asyncio.wait_for(work, 20))


class Slow:
    """Answers twice the question, once it is let; remembers what it was asked together."""

    def __init__(self):
        self.calls, self.open = [], threading.Event()

    def __call__(self, questions):
        self.calls.append([*questions])
        assert self.open.wait(10)
        if "bad" in questions:
            raise ValueError("bad")
        return [question * 2 for question in questions]


def test_what_arrives_while_a_call_runs_is_asked_together():
    slow = Slow()

    async def work():
        batcher = Batcher(slow, most=8)
        asked = [asyncio.ensure_future(batcher.ask(n)) for n in range(20)]
        await asyncio.sleep(0.05)
        assert slow.calls == [[0]]
        slow.open.set()
        answers = await asyncio.gather(*asked)
        batcher.close()
        return answers

    assert run(work()) == [2 * n for n in range(20)]
    assert slow.calls == [[0], [*range(1, 9)], [*range(9, 17)], [17, 18, 19]]


def test_one_that_fails_fails_nobody_else():
    slow = Slow()
    slow.open.set()

    async def work():
        batcher = Batcher(slow)
        asked = [batcher.ask(q) for q in ("a", "b", "bad", "c")]
        return await asyncio.gather(*asked, return_exceptions=True)

    *good, last = run(work())
    assert good[:2] == ["aa", "bb"] and last == "cc"
    assert isinstance(good[2], ValueError)


def test_who_has_left_is_not_answered():
    slow = Slow()

    async def work():
        batcher = Batcher(slow)
        first = asyncio.ensure_future(batcher.ask(1))
        await asyncio.sleep(0.02)
        left, stayed = (asyncio.ensure_future(batcher.ask(n)) for n in (2, 3))
        await asyncio.sleep(0.02)
        left.cancel()
        await asyncio.sleep(0)
        slow.open.set()
        return await first, await stayed

    assert run(work()) == (2, 6)
    assert slow.calls == [[1], [3]]


def test_a_failure_reaches_who_asked():
    def broken(_):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        run(Batcher(broken).ask(1))


def test_the_worker_is_prepared():
    names = []
    batcher = Batcher(lambda qs: qs, prepare=lambda: names.append(threading.current_thread().name))
    run(batcher.ask(1))
    assert len(names) == 1 and names[0].startswith("answers")


REQUESTS = [
    RecommendRequest(user=f"u{n}", k=1 + n % 12, offset=n % 3, explain=[True, False, "full"][n % 3])
    for n in range(60)
] + [
    RecommendRequest(history=["i3", "i8"], positives=["i1"], filter={"must": [price]})
    for price in (
        {"key": "price", "range": {"lt": 30}}, {"key": "price", "range": {"gte": 60}},
    )
] + [RecommendRequest(k=5, context={"page": "home"})]  # fmt: skip


def test_the_service_answers_together_as_one_by_one(recommender):
    async def together():
        batcher = new_batcher()
        answers = await asyncio.gather(
            *(batcher.ask(Question(recommender, request)) for request in REQUESTS)
        )
        batcher.close()
        return answers

    for request, answer in zip(REQUESTS, run(together()), strict=True):
        alone = recommender.recommend(request).model_dump(exclude={"recommendation_id"})
        assert answer.plain["recommendation_id"]
        typed = Recommendations.model_validate(answer.plain)
        assert typed.model_dump(exclude={"recommendation_id"}) == alone


def test_bundles_are_asked_each_for_itself(recommender, store):
    from serving.bundle import Bundle
    from serving.recommender import Recommender

    other = Recommender(Bundle.open(store), new_id=lambda: "other")
    asked = [Question([recommender, other][n % 2], REQUESTS[n]) for n in range(6)]
    ids = [answer.plain["recommendation_id"] for answer in answer_all(asked)]
    assert [one == "other" for one in ids] == [False, True] * 3
