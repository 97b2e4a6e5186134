"""The bundles in service: follows the store and the plan, swaps one reference, refuses by name."""

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.artifacts import CURRENT
from pipeline.errors import ArtifactError
from serving.deployment.arms import CHALLENGER, CONTROL, SHADOW, Arm, Lineup
from serving.deployment.memory import give_back
from serving.deployment.opening import Opener, RefusedError
from serving.deployment.plan import Plan, read_plan, write_plan
from serving.messages_operations import Reason, Role
from serving.service import Desk, Service

_REMEMBERED = 20
"""Refusals that are told."""


@dataclass(frozen=True)
class Refusal:
    """A bundle that was not taken into service."""

    fingerprint: str
    role: Role
    reason: Reason
    detail: str
    at: str


class Deployment:
    """Holds what answers; ``service`` is the one reference that a swap replaces.

    A request takes ``service`` once and keeps it: it ends on the bundles it began with, which are
    let go when the last such request is done.
    """

    plan_path: Path | None = None
    """The file of the plan; None follows none."""
    pinned: bool = False
    """Whether the bundle stays, whatever is promoted."""
    keep_previous: bool = True
    """Whether the bundle before this one stays open, so that going back to it takes no time."""

    def __init__(self, opener: Opener, desk: Desk, control: Arm) -> None:
        """Serve ``control``."""
        self.opener, self.desk = opener, desk
        self.refusals: deque[Refusal] = deque(maxlen=_REMEMBERED)
        self.plan = Plan()
        self._previous: Arm | None = None
        self._refused: dict[tuple[Role, str], int] = {}
        self._unreadable = 0
        self._stopped: str | None = None
        self._lock = threading.RLock()
        self.service = Service(Lineup(control), desk)
        self._announce(control)

    @property
    def lineup(self) -> Lineup:
        """Return the arms of this moment."""
        return self.service.lineup

    def refresh(self) -> None:
        """Take in what was promoted or planned since the last look, and look at the guardrail."""
        with self._lock:
            if not self.pinned:
                self._follow_promotion()
            self._follow_plan()
            self._guard()

    def roll_back(self) -> str:
        """Return the fingerprint that was promoted before, which is promoted and served again.

        Raises:
            ArtifactError: there is no earlier one, it is refused, or the bundle is pinned.
        """
        if self.pinned:
            raise ArtifactError(
                "the settings name the bundle that is served; take it out of them to roll back"
            )
        with self._lock:
            fingerprint = self.opener.store.roll_back("bundle")
            self.refresh()
            if self.lineup.control.fingerprint != fingerprint:
                raise ArtifactError(f"rolled back to {fingerprint}, which is refused; see refused")
        return fingerprint

    def follow(self, plan: Plan) -> None:
        """Write a plan and follow it at once.

        Raises:
            ArtifactError: a bundle of it is refused; the others of it are in service all the same.
        """
        assert self.plan_path is not None
        with self._lock:
            write_plan(self.plan_path, plan)
            self._refused.clear()
            self._stopped = None
            before = len(self.refusals) and self.refusals[-1]
            self._follow_plan()
            if self.refusals and self.refusals[-1] is not before:
                raise ArtifactError(self.refusals[-1].detail)

    def recheck(self) -> None:
        """Ask every index for its canaries' lists again."""
        for arm in self.lineup.arms:
            checked = arm.checked()
            with self._lock:
                self._replace_arm(arm, checked)
            self.desk.metrics.measured(checked.role, checked.bundle, checked.check)
            if checked.check.ready != arm.check.ready:
                self.desk.log.warning(
                    "index", bundle=arm.fingerprint, arm=arm.role, reason=checked.check.reason
                )

    def _replace_arm(self, old: Arm, new: Arm) -> None:
        lineup = self.lineup
        arms = {arm.role: new if arm is old else arm for arm in lineup.arms}
        self._serve(
            replace(
                lineup,
                control=arms[CONTROL],
                challenger=arms.get(CHALLENGER),
                shadow=arms.get(SHADOW),
            )
        )

    def _follow_promotion(self) -> None:
        store = self.opener.store
        wanted, control = store.current("bundle"), self.lineup.control
        if wanted is None or wanted == control.fingerprint:
            return
        stood_by = [self._previous, self.lineup.challenger]
        ready = next((a.as_role(CONTROL) for a in stood_by if a and a.fingerprint == wanted), None)
        arm = ready or self._open(wanted, CONTROL, store.root / "bundle" / CURRENT)
        if arm is None:
            return
        self._previous = control if self.keep_previous else None
        self._serve(replace(self.lineup, control=arm))
        self._announce(arm)

    def _follow_plan(self) -> None:
        if self.plan_path is None:
            return
        plan = self.plan = self._planned(self.plan_path)
        challenger = self._stood(CHALLENGER, plan.challenger)
        shadow = self._stood(SHADOW, plan.shadow)
        lineup = Lineup(
            self.lineup.control, challenger, plan.weight if challenger else 0.0,
            shadow, plan.shadow_share if shadow else 0.0,
        )  # fmt: skip
        if lineup == self.lineup:
            return
        if challenger is not self.lineup.challenger:
            self.desk.trial.clear()
        self.desk.metrics.weight.set(lineup.weight)
        self._serve(lineup)

    def _planned(self, path: Path) -> Plan:
        """Return the plan of the file; what cannot be read changes nothing, and is said once."""
        try:
            return read_plan(path)
        except (ArtifactError, OSError) as error:
            written_at = _written_at(path)
            if written_at != self._unreadable:
                self._unreadable = written_at
                self.desk.log.error("plan not read", reason=str(error))
            return self.plan

    def _stood(self, role: Role, wanted: str | None) -> Arm | None:
        """Return the arm that should stand beside the control; the control needs no company."""
        arm: Arm | None = getattr(self.lineup, role)
        if wanted in (None, self._stopped, self.lineup.control.fingerprint):
            wanted = None
        if wanted is not None and (arm is None or arm.fingerprint != wanted):
            assert self.plan_path is not None
            arm = self._open(wanted, role, self.plan_path)
            if arm is not None:
                self._announce(arm)
        if arm is None or wanted is None:
            self.desk.metrics.gone(role)
            return None
        return arm

    def _open(self, fingerprint: str, role: Role, asked_by: Path) -> Arm | None:
        """Return a bundle in a role; one that was refused is tried again when asked for again."""
        asked_at = _written_at(asked_by)
        if self._refused.get((role, fingerprint)) == asked_at:
            return None
        try:
            return self.opener.open(fingerprint, role)
        except RefusedError as error:
            self._refused[role, fingerprint] = asked_at
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self.refusals.append(Refusal(fingerprint, role, error.reason, str(error), now))
            self.desk.metrics.refused.labels(error.reason).inc()
            self.desk.log.error(
                "bundle refused", bundle=fingerprint, arm=role, reason=error.reason,
                detail=str(error), serving=self.lineup.control.fingerprint,
            )  # fmt: skip
            return None

    def _guard(self) -> None:
        """Stop a challenger that does worse than the margins allow."""
        challenger = self.lineup.challenger
        verdict = self.desk.trial.verdict(CONTROL, CHALLENGER) if challenger else None
        if challenger is None or verdict is None:
            return
        reason, told = verdict
        self._stopped = challenger.fingerprint
        self.desk.metrics.stops.labels(reason).inc()
        self.desk.log.error(
            "challenger stopped", bundle=challenger.fingerprint, reason=reason, detail=told
        )
        stopped = f"{challenger.fingerprint}: {told}"
        plan = self.plan.model_copy(update={"challenger": None, "stopped": stopped})
        try:
            if self.plan_path is not None:
                write_plan(self.plan_path, plan)
        except OSError as error:
            self.desk.log.error("plan not written", reason=str(error))
        self._follow_plan()

    def _announce(self, arm: Arm) -> None:
        """Tell that an arm is in service."""
        metrics = self.desk.metrics
        metrics.swaps.labels(arm.role).inc()
        metrics.measured(arm.role, arm.bundle, arm.check)
        if arm.role == CONTROL:
            metrics.describe(arm.bundle)
        self.desk.log.info(
            "serving", bundle=arm.fingerprint, arm=arm.role, ready=arm.check.ready,
            recall=arm.check.recall,
        )  # fmt: skip

    def _serve(self, lineup: Lineup) -> None:
        self.service = Service(lineup, self.desk)


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Watcher:
    """A thread that keeps a deployment up with the store, its plan and its own index."""

    def __init__(self, deployment: Deployment, every: float, recheck_every: float) -> None:
        """Look every so many seconds, once started."""
        self._deployment, self._every, self._recheck_every = deployment, every, recheck_every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; a bundle that is being opened is waited for."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        due, known = time.monotonic() + self._recheck_every, None
        while not self._end.wait(self._every):
            try:
                fingerprints = [arm.fingerprint for arm in self._deployment.lineup.arms]
                if fingerprints != known:
                    # Changed before the last wait: the requests of the old ones have ended.
                    known = fingerprints
                    give_back()
                self._deployment.refresh()
                if time.monotonic() >= due:
                    due = time.monotonic() + self._recheck_every
                    self._deployment.recheck()
            except Exception:
                self._deployment.desk.log.exception("watching failed")
