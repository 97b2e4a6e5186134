"""Refuses what cannot fit into this machine, and says what would help."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline.config import GraphConfig, TrainConfig
from pipeline.errors import DoesNotFitError
from pipeline.flow import Step
from pipeline.planner.forecast import Forecast, StepForecast
from pipeline.sections import Section

Ask = Callable[[Step], StepForecast]
"""Foretells one step."""

_HELPS = 0.95
"""What is advised must need at most this share of what was planned."""


def refuse_what_cannot_fit(told: Forecast) -> None:
    """Do nothing where even the lower end of the forecast fits into memory, and disk suffices.

    Raises:
        DoesNotFitError: with what is needed, what there is, and which settings would help.
    """
    machine = told.machine
    if told.steps and told.memory.low > machine.memory:
        names = " and ".join(told.together)
        raise DoesNotFitError(
            f"{names} would need {gigabytes(told.memory.value)} of memory (at least "
            f"{gigabytes(told.memory.low)}); {gigabytes(machine.memory)} are free. "
            f"{_sentence(told.cures)}"
        )
    if told.disk > machine.disk:
        largest = max(told.steps, key=lambda each: each.disk)
        raise DoesNotFitError(
            f"the run would write {gigabytes(told.disk)}, most of it {largest.step.name} "
            f"({gigabytes(largest.disk)}); {gigabytes(machine.disk)} are free where the store is. "
            f"Free some space (plotpointe gc), choose another --store, or set a smaller train.width"
        )


def _sentence(cures: Sequence[str]) -> str:
    if not cures:
        return "Use a machine with more memory, or less data; --no-plan runs it all the same"
    return f"What would help: {'; '.join(cures)}. --no-plan runs it all the same"


def advice(told: Forecast, ask: Ask) -> list[str]:
    """Return the settings that would lower the peak, each with what the step would then need."""
    cures = []
    if len(told.together) > 1:
        largest = max(each.memory.value for each in told.steps)
        cures.append(f"runtime.side_by_side=1 ({gigabytes(largest)})")
    for each in told.steps:
        if each.step.name in told.together:
            cures += _cures_of(each, ask)
    return cures


def _cures_of(each: StepForecast, ask: Ask) -> Iterator[str]:
    for changes in _alternatives(each.step.config):
        section = each.step.config.model_copy(update=changes)
        other = ask(replace(each.step, config=section))
        if other.memory.value <= _HELPS * each.memory.value:
            said = ", ".join(f"{_path_of(each)}{k}={v}" for k, v in changes.items())
            yield f"{said} ({gigabytes(other.memory.value)})"


def _path_of(each: StepForecast) -> str:
    stage, _, baseline = each.step.name.partition(":")
    return f"baselines.{baseline}.overrides." if baseline and stage == "train" else f"{stage}."


def _alternatives(section: Section) -> Iterator[dict[str, Any]]:
    """Yield changes of a section that may need less memory."""
    if isinstance(section, TrainConfig):
        if section.model == "ease":
            yield {"solver": "local"}
            yield {"neighbors": max(1, section.neighbors // 4)}
        else:
            yield {"width": max(1, section.width // 2)}
            steps = section.steps_per_epoch
            smaller = {"batch_size": max(1, section.batch_size // 4)}
            yield {"steps_per_epoch": 4 * steps} if steps else smaller
    if isinstance(section, GraphConfig):
        yield {"search": "approximate"}
        yield {"neighbors": max(1, section.neighbors // 2)}


def gigabytes(count: float) -> str:
    """Return a number of bytes as ``1.2 GB``, or ``340 MB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
