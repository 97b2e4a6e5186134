"""A typed client of the service: one method a route, the service's own messages in and out.

    with Client("http://localhost:8000", key="...") as client:
        for item in client.recommend(user="1", k=10).items:
            ...

A refusal is raised as ``ServiceError`` with the service's problem in it. A service that says that
it is too busy (429, 503) is asked again after the time that it names.
"""

from collections.abc import Sequence
from uuid import uuid4

from serving.client_calls import BusyError as BusyError
from serving.client_calls import Calls, Field, Value, checked, one_of, part
from serving.client_calls import ClientError as ClientError
from serving.client_calls import InvalidError as InvalidError
from serving.client_calls import NotAllowedError as NotAllowedError
from serving.client_calls import NotFoundError as NotFoundError
from serving.client_calls import Retry as Retry
from serving.client_calls import ServiceError as ServiceError
from serving.messages import (
    BatchAnswer,
    ItemDetails,
    ItemPage,
    Liveness,
    Readiness,
    Recommendations,
    SimilarItems,
    UserDetails,
    UserPage,
)
from serving.messages_feedback import Event, Feedback, FeedbackTaken
from serving.messages_items import (
    ContentQuery,
    Deleted,
    FoundItems,
    ItemPatch,
    LiveItem,
    NewItem,
)
from serving.messages_operations import (
    Comparison,
    DeploymentDetails,
    PlanRequest,
    ServedBundle,
    SlowRequests,
)
from serving.requests import BatchRequest, RankRequest, RecommendRequest


class Client(Calls):
    """The service's routes as methods; each takes a message, or the fields of one."""

    def recommend(
        self, request: RecommendRequest | None = None, **fields: Field
    ) -> Recommendations:
        """Return a ranked list for a request, or for the fields of one: ``user="1", k=10``."""
        return self._post(
            "/v1/recommend", one_of(RecommendRequest, request, fields), Recommendations
        )

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations]:
        """Return one ranked list per request, in order."""
        body = checked(BatchRequest, {"requests": [*requests]})
        return self._post("/v1/recommend:batch", body, BatchAnswer).answers

    def recommend_to(
        self, user: str, k: int = 10, offset: int = 0, *, exclude_seen: bool = True
    ) -> Recommendations:
        """Return a ranked list for a user, by an address alone."""
        path = f"/v1/users/{part(user)}/recommendations"
        return self._get(path, Recommendations, k=k, offset=offset, exclude_seen=exclude_seen)

    def rank(self, request: RankRequest | None = None, **fields: Field) -> Recommendations:
        """Return the given items in order for somebody: ``items=["1", "2"], user="1"``."""
        return self._post("/v1/rank", one_of(RankRequest, request, fields), Recommendations)

    def similar(
        self, item: str, k: int = 10, by: str = "model", offset: int = 0, **chosen: Value
    ) -> SimilarItems:
        """Return the items most like one; ``category``, ``brand``, ``price_min``, ``price_max``."""
        path = f"/v1/items/{part(item)}/similar"
        return self._get(path, SimilarItems, k=k, by=by, offset=offset, **chosen)

    def item(self, item: str) -> ItemDetails:
        """Return everything known about an item."""
        return self._get(f"/v1/items/{part(item)}", ItemDetails)

    def items(self, query: str = "", limit: int = 20, offset: int = 0) -> ItemPage:
        """Return items whose title holds the query or whose id begins with it."""
        return self._get("/v1/items", ItemPage, query=query, limit=limit, offset=offset)

    def picture(self, item: str) -> bytes:
        """Return an item's picture as its file holds it."""
        return self._ask("GET", f"/v1/items/{part(item)}/image").content

    def user(self, user: str, limit: int = 50) -> UserDetails:
        """Return what is known of a user."""
        return self._get(f"/v1/users/{part(user)}", UserDetails, limit=limit)

    def users(self, query: str = "", limit: int = 20, offset: int = 0) -> UserPage:
        """Return users whose id begins with the query."""
        return self._get("/v1/users", UserPage, query=query, limit=limit, offset=offset)

    def bundle(self) -> ServedBundle:
        """Return which bundles are served, and which were refused."""
        return self._get("/v1/bundle", ServedBundle)

    def live(self) -> Liveness:
        """Return that the process answers."""
        return self._get("/health/live", Liveness)

    def ready(self) -> Readiness:
        """Return that the index answers as it was audited; ``BusyError`` where it does not."""
        return self._get("/health/ready", Readiness)

    def metrics(self) -> str:
        """Return the metrics in Prometheus's text format."""
        return self._ask("GET", "/metrics").text

    def put_item(self, item: NewItem | None = None, **fields: Field) -> LiveItem:
        """Return an item as the service holds it after it was added or replaced."""
        return self._post("/v1/items", one_of(NewItem, item, fields), LiveItem)

    def upload_item(self, item: NewItem, image: bytes) -> LiveItem:
        """Return an item as the service holds it, added with its picture as a file."""
        form = {"item": item.model_dump_json(exclude_unset=True)}
        return self._send("POST", "/v1/items:upload", LiveItem, data=form, files={"image": image})

    def patch_item(self, key: str, patch: ItemPatch | None = None, **fields: Field) -> LiveItem:
        """Return an item after what is told about it was changed."""
        path = f"/v1/items/{part(key)}"
        return self._send("PATCH", path, LiveItem, one_of(ItemPatch, patch, fields))

    def delete_item(self, key: str) -> Deleted:
        """Return that an item is in no list any more."""
        return self._send("DELETE", f"/v1/items/{part(key)}", Deleted)

    def search(self, query: ContentQuery | None = None, **fields: Field) -> FoundItems:
        """Return the items whose content is most like a text, a picture or a vector."""
        return self._post("/v1/search", one_of(ContentQuery, query, fields), FoundItems)

    def search_by_picture(self, image: bytes, k: int = 10, by: str | None = None) -> FoundItems:
        """Return the items whose content is most like a picture, sent as a file."""
        form = {"k": str(k), **({"by": by} if by else {})}
        return self._send(
            "POST", "/v1/search:upload", FoundItems, data=form, files={"image": image}
        )

    def feedback(
        self, events: Sequence[Event], idempotency_key: str | None = None
    ) -> FeedbackTaken:
        """Return what was taken; every event gets an id, so that none counts twice if repeated."""
        named = [e if e.id else e.model_copy(update={"id": uuid4().hex}) for e in events]
        headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
        body = checked(Feedback, {"events": named})
        return self._send("POST", "/v1/feedback", FeedbackTaken, body, headers=headers)

    def deployment(self) -> DeploymentDetails:
        """Return the bundles in service."""
        return self._get("/v1/admin/deployment", DeploymentDetails)

    def plan(self, plan: PlanRequest | None = None, **fields: Field) -> DeploymentDetails:
        """Return the bundles in service after a challenger or a shadow was asked for or ended."""
        body = one_of(PlanRequest, plan, fields)
        return self._send("PUT", "/v1/admin/deployment", DeploymentDetails, body)

    def reload(self) -> DeploymentDetails:
        """Return the bundles in service after what was promoted was taken in."""
        return self._send("POST", "/v1/admin/reload", DeploymentDetails)

    def roll_back(self) -> DeploymentDetails:
        """Return the bundles in service after the one before was promoted again."""
        return self._send("POST", "/v1/admin/rollback", DeploymentDetails)

    def compare(self, request: RecommendRequest | None = None, **fields: Field) -> Comparison:
        """Return the list of every bundle in service for one request."""
        body = one_of(RecommendRequest, request, fields)
        return self._post("/v1/admin/compare", body, Comparison)

    def slow(self) -> SlowRequests:
        """Return the latest requests that took long."""
        return self._get("/v1/admin/slow", SlowRequests)
