"""What a run will take, before it runs: time, memory and disk of every step on this machine.

``flow.plan`` says which steps there are; this package says what they cost:

    counts.py      how much there is: exact of complete tables, else estimated by raw.py
    scene.py       what a step works on: counts, modalities, graphs and models, planned or past
    work.py        how much a step does and holds: the amounts behind time, memory and disk
    work_train.py  the same of training, by model
    coefficients.json, costs.py   what an amount costs: fitted to runs, the one place to refit
    probe.py       how fast this machine is; machine.py: what it has
    history.py     past runs in the store put the formula right
    forecast.py    what is foretold; oracle.py: foretells each step and the whole
    advice.py      refuses what cannot fit, and says what would help
"""

from pipeline.planner.advice import refuse_what_cannot_fit
from pipeline.planner.forecast import Forecast, Range, StepForecast
from pipeline.planner.machine import Machine
from pipeline.planner.oracle import forecast

__all__ = ["Forecast", "Machine", "Range", "StepForecast", "forecast", "refuse_what_cannot_fit"]
