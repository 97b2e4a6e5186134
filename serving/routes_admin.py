"""Routes for who runs the service: what is served, probes, metrics, and changes to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from pipeline.errors import ArtifactError
from pipeline.measure.stats.sequential import running
from serving import browse
from serving.deployment.arms import CHALLENGER, CONTROL, Arm, Lineup
from serving.deployment.deployment import Deployment
from serving.deployment.plan import Plan
from serving.messages import Liveness, Readiness, RecommendRequest
from serving.messages_operations import (
    ArmAnswer,
    ArmDetails,
    ClickRates,
    Comparison,
    DeploymentDetails,
    PlanRequest,
    RefusedBundle,
    ServedBundle,
    SlowRequests,
)
from serving.routes import Ask, problems
from serving.telemetry.slow import SlowLog

operations = APIRouter(tags=["operations"])
admin = APIRouter(prefix="/v1/admin", tags=["admin"])


def deployment_of(request: Request) -> Deployment:
    """Return the bundles in service and how they are changed."""
    deployment: Deployment = request.state.deployment
    return deployment


def slow_of(request: Request) -> SlowLog:
    """Return the requests that took long."""
    slow: SlowLog = request.state.slow
    return slow


Bundles = Annotated[Deployment, Depends(deployment_of)]


@operations.get("/v1/bundle")
def describe_bundle(ask: Ask, bundles: Bundles) -> ServedBundle:
    """Return which bundles are served and refused, and how the index was audited."""
    told = dict(browse.describe_bundle(ask.recommender))
    return ServedBundle(**told, arms=_arms(ask.lineup), refused=_refused(bundles))


@operations.get("/health/live")
def live() -> Liveness:
    """Return that the process answers."""
    return Liveness()


@operations.get("/health/ready", responses=problems(503))
def ready(request: Request, ask: Ask) -> Readiness:
    """Return that the index answers as it did when it was audited, and that nothing ends."""
    if request.state.draining.is_set():
        raise HTTPException(503, "the service is about to end; ask another")
    check = ask.check
    if not check.ready:
        raise HTTPException(503, check.reason)
    return Readiness(
        bundle=ask.recommender.name,
        canaries=check.canaries,
        recall=check.recall,
        floor=check.floor,
    )


@operations.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {}}}},
)
def metrics(ask: Ask) -> Response:
    """Return the metrics in Prometheus's text format."""
    return Response(ask.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@admin.get("/deployment")
def describe_deployment(bundles: Bundles) -> DeploymentDetails:
    """Return the bundles in service."""
    return _details(bundles)


@admin.put("/deployment", responses=problems(409, 422))
def plan_deployment(bundles: Bundles, body: PlanRequest) -> DeploymentDetails:
    """Put a challenger and a shadow beside the promoted bundle, or take them away."""
    store = bundles.opener.store
    with _refusals():
        named = {
            role: store.open("bundle", prefix).fingerprint if prefix else None
            for role, prefix in (("challenger", body.challenger), ("shadow", body.shadow))
        }
        bundles.follow(Plan(**{**dict(body), **named}))
    return _details(bundles)


@admin.post("/reload", responses=problems(409))
def reload(bundles: Bundles) -> DeploymentDetails:
    """Take in what was promoted or planned since the last look."""
    with _refusals():
        bundles.refresh()
    return _details(bundles)


@admin.post("/rollback", responses=problems(409))
def roll_back(bundles: Bundles) -> DeploymentDetails:
    """Promote and serve what was promoted before."""
    with _refusals():
        bundles.roll_back()
    return _details(bundles)


@admin.post("/compare", response_model_exclude_unset=True, responses=problems(422))
def compare(ask: Ask, body: RecommendRequest) -> Comparison:
    """Return what every bundle in service answers to one request.

    Whoever the user would meet; nothing of it is counted, kept or shown to the guardrail.
    """
    return Comparison(
        answers=[
            ArmAnswer(role=arm.role, answer=arm.recommender.recommend(body))
            for arm in ask.lineup.arms
        ]
    )


@admin.get("/slow")
def slow_requests(slow: Annotated[SlowLog, Depends(slow_of)]) -> SlowRequests:
    """Return the latest requests that took long."""
    return SlowRequests(threshold_seconds=slow.threshold, requests=slow.latest())


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the store or the plan does not allow into a 409."""
    try:
        yield
    except (ArtifactError, OSError) as error:
        raise HTTPException(409, str(error)) from error


def _details(bundles: Deployment) -> DeploymentDetails:
    return DeploymentDetails(
        arms=_arms(bundles.lineup),
        refused=_refused(bundles),
        stopped=bundles.plan.stopped,
        pinned=bundles.pinned,
        clicks=_clicks(bundles),
    )


def _clicks(bundles: Deployment) -> ClickRates | None:
    if bundles.lineup.challenger is None:
        return None
    clicks = bundles.desk.trial.clicks
    control, challenger = clicks.tally(CONTROL), clicks.tally(CHALLENGER)
    found = running(control, challenger)
    return ClickRates(
        control_users=control.of,
        control_clicked=control.happened,
        challenger_users=challenger.of,
        challenger_clicked=challenger.happened,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=found.p,
        decided=found.decided,
    )


def _arms(lineup: Lineup) -> list[ArmDetails]:
    return [_arm(arm, lineup) for arm in lineup.arms]


def _arm(arm: Arm, lineup: Lineup) -> ArmDetails:
    share = {"control": 1 - lineup.weight, "challenger": lineup.weight}
    return ArmDetails(
        **dict(arm.recommender.name),
        role=arm.role,
        share=share.get(arm.role, lineup.shadow_share),
        recall=arm.check.recall,
        floor=arm.check.floor,
    )


def _refused(bundles: Deployment) -> list[RefusedBundle]:
    return [RefusedBundle(**asdict(one)) for one in reversed(bundles.refusals)]
