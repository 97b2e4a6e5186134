"""What users did: taken once, kept on disk, and known by the next request."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header

from serving.live.records import digest_of
from serving.live.state import events_of
from serving.messages_feedback import Feedback, FeedbackTaken
from serving.routes import Ask, personal, problems
from serving.wire import MAX_KEY

feedback = APIRouter(
    prefix="/v1", tags=["feedback"], dependencies=[Depends(personal)],
    responses=problems(400, 413, 422, 503, 507),
)  # fmt: skip

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=MAX_KEY,
        description="Names the batch: sent again under the same key, it is not taken again.",
    ),
]


@feedback.post("/feedback")
def take_feedback(
    ask: Ask, body: Feedback, idempotency_key: IdempotencyKey = None
) -> FeedbackTaken:
    """Take events; they are on disk when this answers, and count from the next request on."""
    digest = digest_of(body.model_dump(mode="json"))
    taken = ask.live.take(events_of(body.events), idempotency_key, digest)
    ask.desk.trial.clicks.took([(each.user, each.type, each.value) for each in body.events])
    return FeedbackTaken(
        accepted=taken.accepted,
        duplicates=taken.duplicates,
        unknown_items=taken.unknown_items,
        repeated=taken.repeated,
    )
