"""Routes that recommend: JSON in, JSON out, as little as possible between.

Answers are made in one worker thread for all connections (``batcher``) and sent as they are: the
document says what they hold, and tests hold them to it.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from serving.messages import BatchAnswer, Recommendations
from serving.questions import Answer, Question
from serving.requests import BatchRequest, RankRequest, RecommendRequest
from serving.routes import Ask, K, KeyPath, Offset, problems, service_of
from serving.service import Service
from serving.wire import MAX_BATCH_ITEMS

_PERSONAL = {"cache-control": "private, no-store"}
"""An answer about a person stays out of every cache."""


class Direct(APIRoute):
    """Reads a body by pydantic alone; FastAPI is asked where anything is wrong with it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        careful = super().get_route_handler()
        body: type[BaseModel] | None = self.endpoint.__annotations__.get("body")
        if body is None:
            return careful
        endpoint: Callable[..., Awaitable[Response]] = self.endpoint

        async def handler(request: Request) -> Response:
            """Answer one request."""
            try:
                asked = body.model_validate_json(await request.body())
            except ValidationError:
                return await careful(request)
            return await endpoint(service_of(request), asked)

        return handler


def _sent(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers=_PERSONAL)


recommending = APIRouter(
    prefix="/v1", tags=["recommend"], route_class=Direct, responses=problems(422)
)


async def recommend(ask: Ask, body: RecommendRequest) -> Response:
    """Return a ranked list for a user, a history, examples, or all of them.

    A user who is not known and brings no history gets popular items, labelled as such.
    """
    arm = ask.lineup.arm_of(body)
    kept = ask.kept(arm, body)
    if kept is not None:
        answer = Answer(kept, orjson.dumps(kept))
    else:
        since = arm.stamp
        answer = await ask.desk.batcher.ask(Question(ask.seats[arm.role], body))
        ask.keep(arm, body, answer.plain, since)
    ask.tell([body], [answer.plain])
    return _sent(answer.body)


recommending.post("/recommend", response_model=Recommendations, responses=problems(400, 413))(
    recommend
)
alias = APIRouter(route_class=Direct)
alias.post("/recommend", include_in_schema=False)(recommend)


@recommending.post("/recommend:batch", response_model=BatchAnswer, responses=problems(400, 413))
async def recommend_batch(ask: Ask, body: BatchRequest) -> Response:
    """Return one ranked list per request, in order."""
    items = sum(request.k for request in body.requests)
    if items > MAX_BATCH_ITEMS:
        raise HTTPException(
            422, f"the batch asks for {items:,} items, at most {MAX_BATCH_ITEMS:,} are allowed"
        )
    return _sent(await run_in_threadpool(_answered, ask, body))


def _answered(ask: Service, body: BatchRequest) -> bytes:
    ready = ask.at_hand(body.requests)
    lacking = [each for each, done in zip(body.requests, ready, strict=True) if done is None]
    searched = map(orjson.dumps, ask.recommend_many(lacking) if lacking else ())
    bodies = [next(searched) if done is None else done for done in ready]
    return b'{"answers":[%b]}' % b",".join(bodies)


@recommending.post("/rank", response_model=Recommendations, responses=problems(400, 413))
async def rank(ask: Ask, body: RankRequest) -> Response:
    """Return the given items in order for a user, a history or examples.

    Nothing is left out but what the catalogue does not hold, which ``unknown_items`` names.
    """
    answer = await run_in_threadpool(ask.recommender.rank, body)
    ask.metrics.count([answer])
    return _sent(orjson.dumps(answer))


@recommending.get(
    "/users/{key:path}/recommendations", response_model=Recommendations, responses=problems(404)
)
async def recommend_to_user(
    ask: Ask,
    key: KeyPath,
    k: K = 10,
    offset: Offset = 0,
    exclude_seen: Annotated[bool, Query(description="Leave out what the user has.")] = True,
) -> Response:
    """Return a ranked list for a user; one who is not known gets popular items."""
    request = RecommendRequest(user=key, k=k, offset=offset, exclude_seen=exclude_seen)
    ready = ask.at_hand([request])[0]
    return await recommend(ask, request) if ready is None else _sent(ready)
