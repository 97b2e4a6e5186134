"""A budget, watched while a run goes on: warns once, then ends it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.artifacts import Artifact, Store
from pipeline.carbon.ledger import entries_of
from pipeline.config import BudgetConfig
from pipeline.errors import BudgetExceededError
from pipeline.flow import Step
from pipeline.measure import Listener, Metrics
from pipeline.measure.energy.account import limits_passed
from pipeline.measure.progress import Heard

_JOULES_PER_WH = 3600
_UNITS = {"wh": "Wh", "grams": "g CO2e"}


@dataclass
class Allowance:
    """Hears what steps draw, passes everything else on, and raises when a limit is reached."""

    listener: Listener
    budget: BudgetConfig
    warn: Callable[[str], None]
    before: Mapping[str, float] = field(default_factory=dict)
    """What the month had used before this run: ``wh`` and ``grams``."""
    _drawn: dict[str, Mapping[str, float]] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def hear(self, event: Heard) -> None:
        """Take what a running step has drawn so far, or pass the event on.

        Raises:
            BudgetExceededError: a limit is reached.
        """
        if isinstance(event, Metrics) and "energy_joules" in event.values:
            self._drawn[event.task.partition("/")[0]] = event.values
        else:
            self.listener.hear(event)
        # A meter in this very process tells from its own thread, which nothing could stop.
        if threading.current_thread() is threading.main_thread():
            self.check()

    def made(self, step: Step, artifact: Artifact) -> None:
        """Take what a finished step has drawn in the end.

        Raises:
            BudgetExceededError: a limit is reached.
        """
        cost: Mapping[str, Any] = artifact.manifest["cost"]
        names = ("energy_joules", "grams_co2e")
        self._drawn[step.name] = {name: cost.get(name) or 0.0 for name in names}
        self.check()

    def spent(self) -> dict[str, float]:
        """Return what the run, and the month with it, has used, by the names of the limits."""
        joules = sum(values.get("energy_joules", 0.0) for values in self._drawn.values())
        grams = sum(values.get("grams_co2e", 0.0) for values in self._drawn.values())
        run = {"wh": joules / _JOULES_PER_WH, "grams": grams}
        month = {f"month_{unit}": used + self.before.get(unit, 0.0) for unit, used in run.items()}
        return {f"run_{unit}": used for unit, used in run.items()} | month

    def check(self) -> None:
        """Warn of limits that are near, once each.

        Raises:
            BudgetExceededError: a limit is reached.
        """
        limits, spent = self.budget.limits(), self.spent()
        for name in limits_passed(spent, limits):
            raise BudgetExceededError(
                f"{_told(name, spent, limits)} is used up; what was running is ended, finished "
                f"artifacts stay. Raise runtime.budget.{name} and run again: it resumes"
            )
        for name in limits_passed(spent, limits, self.budget.warn_share):
            if name not in self._warned:
                self._warned.add(name)
                self.warn(f"{_told(name, spent, limits)} is nearly used up")


def _told(name: str, spent: Mapping[str, float], limits: Mapping[str, float]) -> str:
    whose, _, unit = name.partition("_")
    of = f"{spent[name]:.3g} of {limits[name]:g} {_UNITS[unit]}"
    return f"the budget of the {whose} (runtime.budget.{name}: {of})"


def used_this_month(store: Store, now: datetime | None = None) -> dict[str, float]:
    """Return the watt-hours and grams of all that the store's runs made in this month (UTC)."""
    month = f"{now or datetime.now(UTC):%Y-%m}"
    entries = [entry for entry in entries_of(store) if entry.month == month]
    joules = sum(entry.joules or 0.0 for entry in entries)
    return {"wh": joules / _JOULES_PER_WH, "grams": sum(entry.grams or 0.0 for entry in entries)}
