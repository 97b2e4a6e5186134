"""Orders: one step with everything that it takes, and carrying it out in this process."""

import importlib
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline import measure
from pipeline.artifacts import Artifact, Store
from pipeline.config import Config, DataConfig, RuntimeConfig
from pipeline.errors import ArtifactError, ConfigError
from pipeline.flow import Step
from pipeline.job import Job
from pipeline.measure import Energy, Task, energy
from pipeline.measure.energy import Metering
from pipeline.measure.errors import MeasureError
from pipeline.measure.processor import machine_name
from pipeline.measure.progress import Listener, Metrics
from pipeline.schema import KINDS

_PACKAGES = ("torch", "transformers", "faiss-cpu", "numpy", "scipy", "pyarrow", "duckdb")


@dataclass(frozen=True)
class Order:
    """A step with everything its process needs to carry it out."""

    step: Step
    store: Store
    data: DataConfig
    runtime: RuntimeConfig
    seed: int
    threads: int
    metering: Metering = energy.OFF

    @classmethod
    def of(
        cls,
        step: Step,
        config: Config,
        store: Store,
        threads: int,
        metering: Metering = energy.OFF,
    ) -> "Order":
        """Return the order for one step of a run."""
        return cls(step, store, config.data, config.runtime, config.seed, threads, metering)


def carry_out(order: Order, listener: Listener) -> Artifact:
    """Run one step in this process and publish its artifact.

    Raises:
        PlotpointeError: an input is missing or the stage refused its input.
    """
    step, store = order.step, order.store
    door = importlib.import_module(step.stage.door)
    scratch = store.scratch(step.stage.name, step.fingerprint)
    meter = _meter(order, listener)
    with store.draft(step.kind, step.fingerprint) as draft:
        with measure.task(step.name, listener, meter, sampled=True) as task:
            job = job_of(order, draft, scratch, task)
            facts = door.run(replace(job, energy=lambda: energy.so_far(meter)))
        assert task.cost is not None
        published = store.publish(draft, _manifest(order, facts, task.cost.as_dict()))
    shutil.rmtree(scratch, ignore_errors=True)
    return published


def _meter(order: Order, listener: Listener) -> measure.Meter:
    """Return a step's meter; where there is a budget, the parent hears of every second."""

    def told(drawn: Energy) -> None:
        """Tell what the step has drawn so far."""
        found = {"energy_joules": drawn.joules, "grams_co2e": drawn.grams_co2e}
        values = {name: value for name, value in found.items() if value is not None}
        listener.hear(Metrics(order.step.name, values))

    return order.metering.meter(told if order.runtime.budget.limits() else None)


def metering_of(config: Config) -> Metering:
    """Return how a run is metered.

    Raises:
        ConfigError: nobody knows the place, or a package is missing.
    """
    runtime = config.runtime
    try:
        return energy.metering(runtime.energy, runtime.place, runtime.processor_watts)
    except MeasureError as error:
        raise ConfigError(f"runtime: {error}") from None


def job_of(order: Order, into: Path, scratch: Path, task: Task) -> Job[Any]:
    """Return what a stage is given to carry out an order.

    Raises:
        ArtifactError: an input is not made yet.
    """
    return Job(
        config=order.step.config,
        data=order.data,
        inputs=_open_inputs(order.step, order.store),
        into=into,
        scratch=scratch,
        task=task,
        seed=order.seed,
        threads=order.threads,
        runtime=order.runtime,
    )


def _open_inputs(step: Step, store: Store) -> dict[str, Artifact]:
    inputs = {}
    for name, needed in step.needs.items():
        artifact = store.find(needed.kind, needed.fingerprint)
        if artifact is None:
            raise ArtifactError(
                f"{step.name} needs {needed.kind} {needed.fingerprint}, which {store.root} does "
                f"not hold. Make it: plotpointe run CONFIG --to {needed.stage.name}"
            )
        inputs[name] = artifact
    return inputs


def _manifest(order: Order, facts: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    step = order.step
    return {
        "kind": step.kind,
        "kind_version": KINDS[step.kind].version,
        "fingerprint": step.fingerprint,
        "step": step.name,
        **step.request,
        "facts": facts,
        "cost": cost,
        "environment": {
            **environment(),
            "threads": order.threads,
            "grid": None if order.metering.how == "off" else order.metering.grid.as_dict(),
        },
    }


def environment() -> dict[str, Any]:
    """Return the versions of Python and of what computes, and the machine as manifests spell it."""
    packages = {}
    for name in (*_PACKAGES, "plotpointe"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "packages": packages,
        "machine": machine_name(),
    }
