"""Items that come, change and go, and searching by content."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, File, Form, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from serving.live.search import modalities_of, most_alike
from serving.live.state import Put
from serving.live.view import LiveBundle
from serving.messages_items import (
    ContentQuery,
    Deleted,
    FoundItems,
    ItemPatch,
    LiveItem,
    NewItem,
)
from serving.routes import Ask, KeyPath, personal, problems
from serving.service import Service
from serving.wire import MAX_K

items = APIRouter(
    prefix="/v1", tags=["items"], dependencies=[Depends(personal)],
    responses=problems(409, 413, 422, 503, 507),
)  # fmt: skip
searching = APIRouter(
    prefix="/v1",
    tags=["items"],
    dependencies=[Depends(personal)],
    responses=problems(409, 413, 422),
)

_CREATED = {201: {"model": LiveItem, "description": "The id was new."}, **problems(400)}


@items.post("/items", responses=_CREATED)
def put_item(ask: Ask, response: Response, body: NewItem) -> LiveItem:
    """Add an item, or put it in the place of the one with its id; it can be found at once.

    Its text and picture are encoded as those of the catalogue were, unless ``vectors`` brings them
    ready-made; what cannot be encoded here is left out where some vector came. Everything that is
    told of an item is told anew: what is left out is unknown from now on. Sending the same again
    changes nothing.
    """
    return _put(ask, response, body, None)


@items.post("/items:upload", responses=_CREATED)
def upload_item(
    ask: Ask,
    response: Response,
    item: Annotated[str, Form(description="The item as JSON, as for `POST /v1/items`.")],
    image: Annotated[bytes | None, File(description="Its picture, as a file.")] = None,
) -> LiveItem:
    """Add an item as ``POST /v1/items`` does, with its picture as a file of a form."""
    return _put(ask, response, _parsed(item, "item"), image)


@items.patch("/items/{key:path}", responses=problems(400, 404))
def patch_item(ask: Ask, key: KeyPath, body: ItemPatch) -> LiveItem:
    """Change what is told about an item; it stays where it is in every list."""
    fields = {name: getattr(body, name) for name in body.model_fields_set - {"attributes"}}
    fields |= ask.live.attributes(body.attributes)
    changed = ask.live.patch(key, fields) if fields else False
    return _shown(ask, key, Put(created=False, changed=changed))


@items.delete("/items/{key:path}", responses=problems(404))
def delete_item(ask: Ask, key: KeyPath) -> Deleted:
    """Take an item away: from the next request on it is in no list."""
    ask.live.delete(key)
    return Deleted(id=key)


@searching.post("/search", responses=problems(400))
def search(ask: Ask, body: ContentQuery) -> FoundItems:
    """Return the items whose content is most like a text, a picture or a vector."""
    return _found(ask, body, None)


@searching.post("/search:upload", responses=problems(400))
def search_by_upload(
    ask: Ask,
    image: Annotated[bytes, File(description="A picture.")],
    k: Annotated[int, Form(ge=1, le=MAX_K, description="How many items to show.")] = 10,
    by: Annotated[str | None, Form(description="The modality that is searched.")] = None,
) -> FoundItems:
    """Return the items whose content is most like a picture that comes as a file of a form."""
    return _found(ask, ContentQuery(k=k, by=by), image)


def _parsed(text: str, where: str) -> NewItem:
    try:
        return NewItem.model_validate_json(text)
    except ValidationError as error:
        faults = [{**e, "loc": ("body", where, *e["loc"])} for e in error.errors()]
        for fault in faults:
            # Not ``json_invalid``: the body itself is sound.
            fault["type"] = "value_error"
        raise RequestValidationError(faults) from error


def _put(ask: Service, response: Response, item: NewItem, image: bytes | None) -> LiveItem:
    put = ask.door.put(item, image)
    response.status_code = 201 if put.created else 200
    return _shown(ask, item.id, put)


def _shown(ask: Service, key: str, put: Put) -> LiveItem:
    recommender = ask.recommender
    row = recommender.row(key)
    bundle, attaching = recommender.bundle, ask.live.attaching
    assert isinstance(bundle, LiveBundle)
    known = modalities_of(attaching, bundle.overlay, row)
    return LiveItem(
        **dict(recommender.summaries(np.array([row]))[0]),
        created=put.created,
        changed=put.changed,
        modalities=known,
        attached_by=attaching.by if row >= bundle.overlay.first else None,
    )


def _found(ask: Service, query: ContentQuery, image: bytes | None) -> FoundItems:
    modality, vector = ask.door.query(query, image)
    recommender = ask.recommender
    bundle = recommender.bundle
    assert isinstance(bundle, LiveBundle)
    rows, scores = most_alike(ask.live.attaching, bundle.overlay, modality, vector, query.k)
    few = None if len(rows) == query.k else f"{len(rows)} items have {modality}"
    shown = recommender.answers.alike(modality, (rows, scores), 0)
    return FoundItems.model_validate({"by": modality, "items": shown, "shortfall_reason": few})
