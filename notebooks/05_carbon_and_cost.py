# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. Carbon and cost
#
# Every step's manifest says what it drew, what that emitted, and how the numbers are known.
# `plotpointe carbon report` adds them up; this notebook does, and checks the sums.

# %%
import math
import os
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pipeline import measure
from pipeline.artifacts import Store
from pipeline.carbon.ledger import entries_of
from pipeline.carbon.prices import load_prices
from pipeline.carbon.regions import cheapest, elsewhere
from pipeline.carbon.report import GROUPINGS, points_of
from pipeline.measure import energy
from pipeline.measure.energy.account import priced, total, totals
from pipeline.measure.energy.pareto import front

plt.style.use("plotpointe.mplstyle")
store = Store(os.environ.get("PLOTPOINTE_STORE", "../artifacts"))
prices = load_prices(Path("../configs/prices.yaml"))
entries = priced(entries_of(store), prices.of())
whole = total("all", entries)
print(f"{whole.entries} steps, {1000 * whole.kwh:.3g} Wh, {whole.grams:.3g} g CO2e, "
      f"{whole.money:.2g} {prices.currency} of electricity")  # fmt: skip

# %% [markdown]
# ## Where it went
# By any grouping the parts are the whole: checked here. What nobody measured is counted as such,
# never as nought.

# %%
for by in GROUPINGS.values():
    parts = totals(entries, by)
    for name in ("kwh", "grams", "money", "machine_seconds"):
        assert math.isclose(sum(getattr(p, name) for p in parts), getattr(whole, name))
steps = totals(entries, GROUPINGS["step"])
table = pd.DataFrame(
    {"step": s.name, "seconds of the machine": s.machine_seconds, "Wh": 1000 * s.kwh,
     "g CO2e": s.grams, "not measured": s.unmeasured}
    for s in steps
).set_index("step")  # fmt: skip
figure, axis = plt.subplots(figsize=(6, 0.26 * len(table) + 0.9))
drawn = table["Wh"].sort_values()
axis.barh(drawn.index, 1000 * drawn, height=0.6)
axis.set(title="energy of each step", xlabel="mWh")
plt.show()
table.round(5)

# %% [markdown]
# ## How a number is known
# The label says it: `rapl` and `nvml` are counters of the machine; an `estimate` is design power
# times the share that this work kept busy. Grams are energy times what the place's grid emits,
# with source and date.

# %%
for entry in entries:
    if entry.grams is not None and entry.factor is not None:
        kwh = entry.joules / energy.grid.JOULES_PER_KWH
        assert math.isclose(entry.grams, kwh * entry.factor[0])
known = {(e.source, e.place, *(e.factor or ("", "", ""))) for e in entries}
pd.DataFrame(sorted(known, key=str), columns=["energy by", "place", "g/kWh", "source", "date"]).T

# %% [markdown]
# ## Metering a piece of your own code
# The same meter, around anything. Where nothing counts, memory is charged by CodeCarbon's rule: at
# least 10 W for any process. So an idle one is not free, and short work on little data is mostly
# memory.

# %%
meters = energy.metering()


def products(seconds: float) -> None:
    """Multiply matrices for a while."""
    matrix, end = np.ones((256, 256)), time.perf_counter() + seconds
    while time.perf_counter() < end:
        matrix @ matrix


drew = {}
for name, work in (("waiting", time.sleep), ("multiplying", products)):
    with measure.task(name, meter=meters.meter()) as task:
        work(0.7)
    drew[name] = task.cost.energy_joules
    print(f"{name}: {task.cost.energy_joules:.2f} J in {task.cost.wall_seconds:.2f} s, "
          f"{1000 * task.cost.grams_co2e:.3f} mg CO2e by {task.cost.energy_source}")  # fmt: skip
figure, axis = plt.subplots(figsize=(5, 1.3))
axis.barh([*drew], [*drew.values()], color=["C6", "C0"])
axis.set(title="what 0.7 seconds draw", xlabel="J")
plt.show()
assert drew["multiplying"] > drew["waiting"]

# %% [markdown]
# ## Elsewhere
# The same work in every cloud region that is known. The factor between the dirtiest and the
# cleanest is larger than what most programs can be made faster by.

# %%
joules = math.fsum(e.joules or 0.0 for e in entries)
hours = whole.machine_seconds / 3600
places = elsewhere(joules, hours, prices)
grams = np.array([p.grams for p in places])
assert (np.diff(grams) >= 0).all(), "the cleanest first"
marks = [0, len(places) // 4, len(places) // 2, 3 * len(places) // 4, len(places) - 1]
figure, axis = plt.subplots()
axis.plot(np.arange(1, len(places) + 1), grams)
axis.axhline(whole.grams, color="C1", linestyle=":")
axis.text(1, whole.grams, "as it was run", color="C1", va="bottom", fontsize=7)
for at in marks:
    axis.plot(at + 1, grams[at], "o", color="C0")
    last = at > len(places) / 2
    axis.annotate(places[at].grid.place, (at + 1, grams[at]), fontsize=6.5,
                  xytext=(-4 if last else 4, 4 if last else -9), textcoords="offset points",
                  ha="right" if last else "left")  # fmt: skip
axis.set(title="this work in each cloud region", xlabel="region, the cleanest first",
         ylabel="g CO2e", yscale="log")  # fmt: skip
plt.show()
print(f"{places[-1].grid.place} emits {grams[-1] / grams[0]:,.0f} times what "
      f"{places[0].grid.place} does")  # fmt: skip

# %% [markdown]
# Money comes from a table of one's own (`configs/prices.yaml` is a beginning), and is there where
# the table knows a machine in the place.

# %%
rows = [
    {"machine": name, "place": machine.place or "here",
     prices.currency: prices.of(name).of(whole.machine_seconds, joules), "as of": machine.date}
    for name, machine in prices.machines.items()
]  # fmt: skip
best = cheapest(places)
assert best is None or best.money == min(p.money for p in places if p.money is not None)
pd.DataFrame(rows).set_index("machine").sort_values(prices.currency)

# %% [markdown]
# ## Is it worth it?
# Each measured model: how good it is, and the energy of all that it was made from. The line joins
# those that no other beats in both. What is not on it cost more for less.

# %%
points = points_of(store, "ndcg@20")
best = front(points)
for point in points:
    beaten = any(
        (p.joules <= point.joules and p.accuracy > point.accuracy)
        or (p.joules < point.joules and p.accuracy >= point.accuracy)
        for p in points
    )
    assert beaten != (point in best)
figure, axis = plt.subplots(figsize=(6, 3))
axis.plot([p.joules for p in best], [p.accuracy for p in best], "--", color="C6", linewidth=1)
for point in points:
    on = point in best
    axis.semilogx(point.joules, point.accuracy, "o", color="C0" if on else "C6")
    axis.annotate(point.name, (point.joules, point.accuracy), xytext=(5, 3), fontsize=7,
                  textcoords="offset points")  # fmt: skip
axis.margins(x=0.2, y=0.15)
axis.set(title="accuracy against energy", xlabel="energy, J", ylabel="ndcg@20, test")
plt.show()

# %% [markdown]
# The picture has no intervals; whether one model is better at all is for
# [the comparison](04_comparison.py) to say. Next: [what it recommends](06_recommendations.py).
