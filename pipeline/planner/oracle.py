"""Foretells a run: the formula, put right by past runs, on what is there to work on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline import execute, flow
from pipeline.artifacts import Store
from pipeline.config import Config, TrainConfig
from pipeline.flow import Step
from pipeline.measure.rates import Rates
from pipeline.planner import scene as scenes
from pipeline.planner.advice import advice
from pipeline.planner.costs import cost_of, work_of
from pipeline.planner.counts import Counts, of_tables
from pipeline.planner.forecast import Forecast, Range, StepForecast
from pipeline.planner.history import History
from pipeline.planner.machine import Machine, this_machine
from pipeline.planner.probe import rates_of
from pipeline.planner.raw import of_raw, raw_text_bytes
from pipeline.planner.scene import Scene
from pipeline.planner.work_train import EPOCHS_UNKNOWN, learns
from pipeline.sections import Section

SPREAD_TIME, SPREAD_MEMORY = 1.8, 1.3
"""Factors by which the formula may be wrong."""
SPREAD_TIME_RUN, SPREAD_MEMORY_RUN = 1.4, 1.15
"""The same where past runs of this store have put it right."""
PARENT = 120e6
"""Bytes of the process that starts the steps."""
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Oracle:
    """What a step's forecast is made from."""

    config: Config
    store: Store
    machine: Machine
    rates: Rates
    counts: Counts
    history: History
    threads: Mapping[str, int]

    def forecast(self, step: Step) -> StepForecast:
        """Return what a step will take."""
        scene, expected = self.scene(step), self._as_expected(step.config)
        cost, ratios = cost_of(expected, scene, self.rates), self.history.ratios(expected, scene)
        longest = cost_of(step.config, scene, self.rates).seconds * ratios.seconds
        in_time = SPREAD_TIME_RUN if ratios.runs else SPREAD_TIME
        in_memory = SPREAD_MEMORY_RUN if ratios.runs else SPREAD_MEMORY
        seconds = Range.around(cost.seconds * ratios.seconds, in_time * self.counts.spread)
        work = work_of(step.config, scene)
        return StepForecast(
            step=step,
            seconds=replace(seconds, high=max(seconds.high, longest)),
            memory=Range.around(cost.memory * ratios.memory, in_memory * self.counts.spread**0.5),
            disk=work.disk,
            mode=work.mode,
            runs=ratios.runs,
            epochs=_epochs_of(expected),
            past=self.history.alone(expected, scene),
        )

    def scene(self, step: Step) -> Scene:
        """Return what a step works on, here."""
        seen = scenes.planned(step, self.counts, self.config.data, self.store)
        limit = size_of(self.config.runtime.memory_limit)
        asked = self.config.embed.precision
        bfloat16 = asked == "bfloat16" or (asked == "auto" and self.machine.bfloat16)
        return scenes.on(seen, self.threads[step.name], limit, bfloat16=bfloat16)

    def _as_expected(self, section: Section) -> Section:
        """Return the settings with the epochs expected before early stopping ends the training."""
        if _epochs_of(section) is None or not isinstance(section, TrainConfig):
            return section
        share = self.history.epochs_share(section)
        if share is None:
            stops = section.patience * section.evaluate_every < section.epochs
            share = EPOCHS_UNKNOWN if stops else 1.0
        epochs = max(1, round(section.epochs * min(1.0, share)))
        return section.model_copy(update={"epochs": epochs})


def _epochs_of(section: Section) -> int | None:
    """Return the epochs of a model that trains in any."""
    if isinstance(section, TrainConfig) and learns(section) and section.epochs:
        return section.epochs
    return None


def forecast(
    steps: Sequence[Step],
    config: Config,
    store: Store,
    *,
    force: bool = False,
    machine: Machine | None = None,
) -> Forecast:
    """Return what the steps that are not complete will take, or all of them with ``force``.

    Raises:
        DataError: a raw file is missing, or not of its format.
    """
    oracle = oracle_of(steps, config, store, machine or this_machine(store.root))
    found = flow.found([*steps], store)
    missing = [step for step, artifact in found if force or artifact is None]
    told = together([oracle.forecast(step) for step in missing], steps, oracle)
    return told if told.fits else replace(told, cures=advice(told, oracle.forecast))


def oracle_of(steps: Sequence[Step], config: Config, store: Store, machine: Machine) -> Oracle:
    """Return what forecasts of these steps are made from."""
    rates = rates_of(machine, store.root)
    return Oracle(
        config=config,
        store=store,
        machine=machine,
        rates=rates,
        counts=counts_of(steps, config, store),
        history=History(store, machine, rates),
        threads=execute.threads_of([*steps], config),
    )


def counts_of(steps: Sequence[Step], config: Config, store: Store) -> Counts:
    """Return the counts of the tables where they are complete, else those the raw files suggest."""
    for step in steps:
        etl = step if step.stage.name == "etl" else step.needs.get("tables")
        made = store.find(etl.kind, etl.fingerprint) if etl else None
        if made is not None:
            return replace(of_tables(made), raw_bytes=raw_text_bytes(config.data))
    return of_raw(config)


def together(told: Sequence[StepForecast], steps: Sequence[Step], oracle: Oracle) -> Forecast:
    """Return the forecast of the whole from those of its steps."""
    moments = [*schedule(told, oracle.config.runtime.side_by_side)]
    worst = max(moments, key=lambda m: sum(s.memory.value for s in m[1]), default=(0.0, []))[1]
    ends = sum(lasts for lasts, _ in moments)
    share = ends / max(1e-9, sum(each.seconds.value for each in told))
    made = {each.step.name for each in told}
    return Forecast(
        steps=told,
        complete=[step for step in steps if step.name not in made],
        counts=oracle.counts,
        machine=oracle.machine,
        seconds=Range(ends, *(share * sum(b) for b in _bounds(told))),
        memory=Range(*(PARENT + sum(b) for b in _memories(worst))),
        together=[each.step.name for each in worst],
        disk=sum(each.disk for each in told),
    )


def _bounds(told: Sequence[StepForecast]) -> tuple[list[float], list[float]]:
    return [each.seconds.low for each in told], [each.seconds.high for each in told]


def _memories(told: Sequence[StepForecast]) -> Iterator[list[float]]:
    yield [each.memory.value for each in told]
    yield [each.memory.low for each in told]
    yield [each.memory.high for each in told]


def schedule(
    told: Sequence[StepForecast], side_by_side: int
) -> Iterator[tuple[float, list[StepForecast]]]:
    """Yield how long each set of steps runs together, begun in the order in which ``run`` would."""
    waiting, running = [*told], list[tuple[float, StepForecast]]()
    pending = {each.step.name for each in told}
    while waiting or running:
        for each in [w for w in waiting if not _waits(w.step, pending)]:
            if len(running) < side_by_side:
                waiting.remove(each)
                running.append((max(1e-6, each.seconds.value), each))
        lasts = min(left for left, _ in running)
        yield lasts, [each for _, each in running]
        ended = [each for left, each in running if left <= lasts]
        running = [(left - lasts, each) for left, each in running if left > lasts]
        pending -= {each.step.name for each in ended}


def _waits(step: Step, pending: set[str]) -> bool:
    return any(needed.name in pending for needed in step.needs.values())


def size_of(text: str) -> int:
    """Return the bytes of a size such as ``4GB`` or ``800 MiB``; 0 where it is none."""
    number = text.strip().upper().rstrip("BIKMGT ")
    unit = text.strip().upper()[len(number) :].strip()
    try:
        return int(float(number) * {**_UNITS, **_BINARY}.get(unit, 1))
    except ValueError:
        return 0
