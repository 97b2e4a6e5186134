"""Paths to questions: each route asks the recommender and decides nothing itself."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from serving import browse
from serving.grammar import Condition, Filter, Match, Range
from serving.messages import (
    ItemDetails,
    ItemPage,
    Problem,
    SimilarItems,
    UserDetails,
    UserPage,
)
from serving.pictures import MEDIA_TYPES, is_url
from serving.service import Service
from serving.wire import MAX_K, MAX_KEY, MAX_OFFSET
from serving.wording import MODEL


def service_of(request: Request) -> Service:
    """Return what answers at this moment; a route asks once and keeps to it."""
    service: Service = request.state.deployment.service
    return service


def personal(response: Response) -> None:
    """Keep an answer about a person out of every cache."""
    response.headers["cache-control"] = "private, no-store"


def shared(response: Response) -> None:
    """Let caches keep an answer that is the same for everybody."""
    response.headers["cache-control"] = "public, max-age=60"


Ask = Annotated[Service, Depends(service_of)]
KeyPath = Annotated[str, Path(max_length=MAX_KEY, description="The catalogue's id.")]
K = Annotated[int, Query(ge=1, le=MAX_K, description="How many items to show.")]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET, description="How many of the best to skip.")]
Limit = Annotated[int, Query(ge=1, le=MAX_K, description="Length of the page.")]
Search = Annotated[str, Query(max_length=200, description="What to look for.")]
Skip = Annotated[int, Query(ge=0, description="How many to skip.")]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI tells of the statuses that a route refuses with."""
    what = {
        400: "The body is not JSON.",
        404: "The catalogue holds no such item.",
        413: "The body is too large.",
        422: "A field is missing, unknown or out of range.",
        409: "The bundles in service do not allow it.",
        503: "The service cannot do that now.",
        507: "There is no space to keep it; nothing was changed.",
    }
    return {status: {"model": Problem, "description": what[status]} for status in statuses}


catalogue = APIRouter(
    prefix="/v1", tags=["items"], dependencies=[Depends(shared)], responses=problems(422)
)
users = APIRouter(
    prefix="/v1", tags=["users"], dependencies=[Depends(personal)], responses=problems(422)
)


def simple_filter(
    category: Annotated[
        list[str] | None, Query(max_length=20, description="In any of these, at any level.")
    ] = None,
    brand: Annotated[list[str] | None, Query(max_length=20, description="Of any of these.")] = None,
    price_min: Annotated[float | None, Query(ge=0, description="At least this.")] = None,
    price_max: Annotated[float | None, Query(ge=0, description="At most this.")] = None,
) -> Filter | None:
    """Return the filter that the parameters of an address mean, None for none."""
    must = [
        Condition(key=name, match=Match(any=[*values]))
        for name, values in (("category", category), ("brand", brand))
        if values
    ]
    if price_min is not None or price_max is not None:
        must.append(Condition(key="price", range=Range(gte=price_min, lte=price_max)))
    return Filter(must=[*must]) if must else None


@users.get("/users")
def list_users(ask: Ask, query: Search = "", limit: Limit = 20, offset: Skip = 0) -> UserPage:
    """Return users whose id begins with the query."""
    return browse.list_users(ask.recommender.bundle, query, limit, offset)


@users.get("/users/{key:path}", responses=problems(404))
def describe_user(ask: Ask, key: KeyPath, limit: Limit = 50) -> UserDetails:
    """Return what is known of a user, with some of the items they have."""
    return browse.describe_user(ask.recommender, key, limit)


@catalogue.get("/items")
def list_items(ask: Ask, query: Search = "", limit: Limit = 20, offset: Skip = 0) -> ItemPage:
    """Return items whose title holds the query or whose id begins with it, most taken first."""
    return browse.list_items(ask.recommender, query, limit, offset)


@catalogue.get("/items/{key:path}/similar", responses=problems(404))
def similar_items(
    ask: Ask,
    key: KeyPath,
    k: K = 10,
    by: Annotated[str, Query(description="model, a modality, or bought_together.")] = MODEL,
    offset: Offset = 0,
    chosen: Annotated[Filter | None, Depends(simple_filter)] = None,
) -> SimilarItems:
    """Return the items most like one: to the model, by a modality, or taken together with it."""
    return ask.recommender.similar(key, k, by, offset, chosen)


@catalogue.get(
    "/items/{key:path}/image",
    responses={
        200: {
            "description": "The picture.",
            "content": {name: {} for name in sorted(set(MEDIA_TYPES.values()))},
        },
        307: {"description": "The picture is elsewhere."},
        **problems(404),
    },
    response_class=Response,
)
def item_picture(ask: Ask, key: KeyPath) -> Response:
    """Return an item's picture."""
    recommender = ask.recommender
    item = recommender.bundle.catalogue.item(recommender.row(key))
    if item.image and is_url(item.image):
        return RedirectResponse(item.image)
    path = ask.pictures.file(item)
    if path is None:
        raise HTTPException(404, f"item {key!r} has no picture here")
    cached = {"cache-control": "public, max-age=3600"}
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix.lower()], headers=cached)


@catalogue.get("/items/{key:path}", responses=problems(404))
def describe_item(ask: Ask, key: KeyPath) -> ItemDetails:
    """Return everything known about an item."""
    return browse.describe_item(ask.recommender, key)
