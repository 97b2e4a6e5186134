"""How a run is metered, decided once and handed to every process that works for it."""

import os
from dataclasses import dataclass, field
from typing import Literal

from pipeline.measure.cost import NO_SOURCE, Energy, Meter, NoMeter
from pipeline.measure.energy.cloud import find_cloud
from pipeline.measure.energy.grid import WORLD, Grid, grid_of
from pipeline.measure.energy.load import MachineLoad, OwnLoad
from pipeline.measure.energy.meter import CodeCarbonMeter, PartsMeter, Told
from pipeline.measure.energy.nvml import boards
from pipeline.measure.energy.parts import (
    Gpus,
    MachineProcessors,
    Memory,
    OwnProcessors,
    Packages,
    Part,
)
from pipeline.measure.energy.power import Processor, this_processor
from pipeline.measure.energy.rapl import counters
from pipeline.measure.errors import MeasureError

How = Literal["auto", "estimate", "machine", "codecarbon", "off"]
PLACE = "PLOTPOINTE_PLACE"
"""An environment variable that names the place of this machine."""

_GIBIBYTE = 1024**3


@dataclass(frozen=True)
class Metering:
    """What a meter is made of; a child process gets it from its parent."""

    how: How = "auto"
    processor: Processor = field(default_factory=this_processor)
    grid: Grid = WORLD
    given_watts: float | None = None
    """What the user says of the processors; None where nobody did."""

    def meter(self, told: Told | None = None) -> Meter:
        """Return a new meter; ``told`` hears of every second, where the meter counts them."""
        if self.how == "off":
            return NoMeter()
        if self.how == "codecarbon":
            return CodeCarbonMeter(grid=self.grid, watts=self.given_watts)
        return PartsMeter(self.parts, self.grid, told=told)

    def parts(self) -> list[Part]:
        """Return the parts of this machine that are metered, begun now."""
        if self.how == "machine":
            return self._machine_parts()
        own = OwnLoad()
        counted = counters() if self.how == "auto" else []
        gpus = boards() if self.how == "auto" else []
        parts: list[Part] = (
            [Packages(counted, own, MachineLoad())]
            if counted
            else [OwnProcessors(self.processor, own)]
        )
        parts.append(Memory(None, own))
        return parts + ([Gpus(gpus, own)] if gpus else [])

    def _machine_parts(self) -> list[Part]:
        counted, gpus = counters(), boards()
        pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        parts: list[Part] = [Packages(counted)] if counted else [MachineProcessors(self.processor)]
        parts.append(Memory(pages / _GIBIBYTE))
        return parts + ([Gpus(gpus)] if gpus else [])


OFF = Metering("off", Processor("", 1, 0.0, known=False), WORLD)
"""Nothing is metered."""


def so_far(meter: Meter) -> Energy:
    """Return what a running meter has counted, nothing known where it tells only at its end."""
    return meter.read() if isinstance(meter, PartsMeter) else Energy(None, None, NO_SOURCE)


def metering(
    how: How = "auto", place: str | float | None = None, watts: float | None = None
) -> Metering:
    """Return how this machine is metered.

    ``place`` None takes the environment's, else the cloud's region, else the world's average.

    Raises:
        MeasureError: nobody knows the place, or CodeCarbon is asked for and not installed.
    """
    if how == "off":
        return OFF
    if how == "codecarbon":
        _must_be_installed()
    return Metering(how, this_processor(watts), place_of(place), watts)


def place_of(place: str | float | None) -> Grid:
    """Return the electricity of a place; None looks for out where this is.

    Raises:
        MeasureError: a place was named and nobody knows it.
    """
    named = place if place is not None else os.environ.get(PLACE)
    if named is not None and named != "":
        return grid_of(_number(named))
    cloud = find_cloud()
    if cloud is not None and cloud.place is not None:
        try:
            return grid_of(cloud.place)
        except MeasureError:  # a region newer than the table
            pass
    return Grid(
        WORLD.place, WORLD.name, WORLD.grams_per_kwh, WORLD.source, WORLD.date, assumed=True
    )


def _number(place: str | float) -> str | float:
    try:
        return float(place)
    except ValueError:
        return place


def _must_be_installed() -> None:
    import importlib.util

    if importlib.util.find_spec("codecarbon") is None:
        raise MeasureError(
            "energy: codecarbon needs the package: pip install 'plotpointe[measure]'; or "
            "choose energy: auto, which needs none"
        )
