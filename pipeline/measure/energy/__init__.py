"""Energy and carbon of a piece of work, offline, with how each number is known.

meter = energy.metering(place="DEU").meter()
with measure.task("train", meter=meter) as task:
    ...
task.cost.energy_joules, task.cost.grams_co2e, task.cost.energy_source

    power.py parts.py load.py rapl.py nvml.py   what draws how much, counted or estimated
    meter.py metering.py                        what adds it up
    grid.py cloud.py                            where it is drawn, and how dirty that is
    account.py budget.py money.py               sums, limits, prices
"""

from pipeline.measure.energy.grid import Grid, grid_of, known_grids
from pipeline.measure.energy.meter import CodeCarbonMeter, PartsMeter
from pipeline.measure.energy.metering import OFF, Metering, metering, place_of, so_far

__all__ = [
    "OFF",
    "CodeCarbonMeter",
    "Grid",
    "Metering",
    "PartsMeter",
    "grid_of",
    "known_grids",
    "metering",
    "place_of",
    "so_far",
]
