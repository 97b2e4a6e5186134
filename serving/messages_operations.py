"""What goes over the wire between the service and who runs it."""

from typing import Literal

from pydantic import Field

from serving.messages import BundleDetails, BundleName, Recommendations
from serving.wire import Message

Role = Literal["control", "challenger", "shadow"]
Reason = Literal["missing", "version", "altered", "mixed", "broken", "index"]
"""Why a bundle is refused.

``missing``: none of that name. ``version``: of another kind version. ``altered``: a file's bytes
are not those of the manifest. ``mixed``: files that do not belong together, or not to a bundle.
``broken``: its parts do not open. ``index``: the index does not find the canaries' lists.
"""


class ArmDetails(BundleName):
    """One bundle in service."""

    role: Role
    """``control`` answers; ``challenger`` answers some users; ``shadow`` is only compared."""
    share: float
    """Of users for a challenger, of requests for a shadow."""
    recall: float
    """Share of the canaries' lists that its index found when last asked."""
    floor: float
    """Least recall that is ready."""


class RefusedBundle(Message):
    """A bundle that was not taken into service; the one before it serves on."""

    fingerprint: str
    """Of the bundle."""
    role: Role
    """What it was meant for."""
    reason: Reason
    """``missing``, ``version``, ``altered``, ``mixed``, ``broken`` or ``index``."""
    detail: str
    """What was found, what is wanted, and what to do."""
    at: str
    """When."""


class ServedBundle(BundleDetails):
    """What the service serves, and what it refused to."""

    arms: list[ArmDetails]
    """The bundles in service."""
    refused: list[RefusedBundle]
    """The latest refusals, newest first."""


class PlanRequest(Message):
    """Which bundles should stand beside the promoted one."""

    challenger: str | None = None
    """Fingerprint of the bundle that some users meet; a unique prefix is enough."""
    weight: float = Field(0.1, ge=0, le=1)
    """Share of users who meet the challenger."""
    shadow: str | None = None
    """Fingerprint of the bundle that is asked too, and whose lists nobody sees."""
    shadow_share: float = Field(0.1, ge=0, le=1)
    """Share of requests that are asked of the shadow too."""


class ClickRates(Message):
    """Share of users who take something up, challenger less control; each user counts once.

    What an arm's users did within half an hour of the first list it showed them, as the worker
    that answers saw it. The interval and p hold at all times together: look as often as you like.
    """

    control_users: int
    """Whose half hour is over."""
    control_clicked: int
    """Of them, those who took something up."""
    challenger_users: int
    """Whose half hour is over."""
    challenger_clicked: int
    """Of them, those who took something up."""
    difference: float
    """Of the shares."""
    low: float
    """Of the always-valid 95 % interval."""
    high: float
    """Of the always-valid 95 % interval."""
    p: float
    """Always-valid, of the hypothesis that the shares are equal."""
    decided: bool
    """Whether the interval leaves 0 out."""


class DeploymentDetails(Message):
    """The bundles in service."""

    arms: list[ArmDetails]
    """Each bundle in its role."""
    refused: list[RefusedBundle]
    """The latest refusals, newest first."""
    stopped: str | None
    """Why the last challenger was stopped; null where none was."""
    pinned: bool
    """Whether the settings name the bundle: promotions are then not followed."""
    clicks: ClickRates | None = None
    """How control and challenger are taken up; null without a challenger."""


class SlowRequest(Message):
    """A request that took long."""

    at: str
    """When it was answered."""
    request_id: str
    """Its name in the log."""
    method: str
    """HTTP method."""
    route: str
    """Template of its path."""
    status: int
    """HTTP status."""
    seconds: float
    """From request to answer."""
    trace_id: str | None
    """Its trace, where it was traced."""


class SlowRequests(Message):
    """The latest requests that took longer than the settings call slow."""

    threshold_seconds: float
    """What the settings call slow."""
    requests: list[SlowRequest]
    """Newest first, of the worker that answers."""


class ArmAnswer(Message):
    """The list of one bundle."""

    role: Role
    """What the bundle is in service as."""
    answer: Recommendations
    """As the arm answers, whoever the user would meet."""


class Comparison(Message):
    """One request, answered by every bundle in service."""

    answers: list[ArmAnswer]
    """The control's first."""
