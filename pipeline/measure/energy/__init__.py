"""Energy and carbon of a piece of work, offline, with how each number is known.

meter = energy.metering(place="DEU").meter()
with measure.task("train", meter=meter) as task:
    ...
task.cost.energy_joules, task.cost.grams_co2e, task.cost.energy_source

    power.py parts.py load.py rapl.py nvml.py   what draws how much, counted or estimated
    meter.py choice.py                          what adds it up
    grid.py cloud.py                            where it is drawn, and how dirty that is
    account.py pareto.py                        sums, prices, scope 2, accuracy against energy
"""

from pipeline.measure.energy.choice import OFF, Metering, metering, place_of, so_far
from pipeline.measure.energy.grid import Grid, grid_of, known_grids
from pipeline.measure.energy.meter import CodeCarbonMeter, PartsMeter

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
