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
# # 3. A training run: what was asked, what happened, what it took
#
# Every run leaves a record: `plotpointe runs` lists them, `plotpointe show last --plot` draws one.
# Here the same from Python.

# %%
import os
from datetime import datetime

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pipeline import history
from pipeline.artifacts import Store
from pipeline.measure.alarms import find_change_points, regression_alarm
from pipeline.runs import all_runs, curves_of

plt.style.use("plotpointe.mplstyle")
store = Store(os.environ.get("PLOTPOINTE_STORE", "../artifacts"))
run = next(run for run in reversed(all_runs(store)) if "train" in run["steps"])
model = store.open("model", run["steps"]["train"]["fingerprint"])
print(run["command"])

# %% [markdown]
# ## The record
# Settings, code and machine are kept whole; artifacts by reference.

# %%
assert run["status"] == "done"
for name, step in run["steps"].items():
    assert store.find(step["kind"], step["fingerprint"]) is not None, name
git = run["git"] or {"commit": "no checkout", "dirty": ""}
pd.Series(
    {
        "run": run["run_id"],
        "started": run["started_at"][:19],
        "ended": run["ended_at"][:19],
        "code": f"{git['commit'][:10]}{' with changes' if git['dirty'] else ''}",
        "machine": f"{run['environment']['cpu_model']}, {run['environment']['cores']} cores",
        "environment": run["environment"]["environment_id"],
        "what is served, ndcg@20": round(run["metrics"]["ndcg@20"], 4),
    },
    name="",
).to_frame()

# %% [markdown]
# ## Curves
# Loss says what the optimiser sees, validation what counts. The dotted line is the epoch that was
# kept: the best on validation, not the last. A step is one line, the main model's first.

# %%
curves = curves_of(run, store).by_metric
shown = [name for name in ("loss", model.facts["select_metric"], "ndcg@20") if name in curves]
figure, axes = plt.subplots(1, len(shown), figsize=(2.9 * len(shown), 2.5), squeeze=False)
for axis, metric in zip(axes[0], shown, strict=True):
    for step, points in curves[metric].items():
        axis.plot(*zip(*points, strict=True), label=step, marker="." if len(points) < 9 else "")
    axis.axvline(model.facts["best_epoch"], color="C6", linestyle=":")
    axis.set(title=metric, xlabel="epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)
axes[0][0].legend()
plt.show()
chosen = dict(curves[model.facts["select_metric"]]["train"])
assert chosen[model.facts["best_epoch"]] == max(chosen.values())

# %% [markdown]
# ## When
# Steps run as soon as what they need is there, side by side where the machine allows it.

# %%
made = {name: step for name, step in run["steps"].items() if step["made"]}
ends = {name: datetime.fromisoformat(step["ended_at"]).timestamp() for name, step in made.items()}
takes = {name: step["cost"]["wall_seconds"] for name, step in made.items()}
begins = {name: ends[name] - takes[name] for name in made}
zero = min(begins.values())
figure, axis = plt.subplots(figsize=(6.5, 0.26 * len(made) + 0.9))
for name in sorted(made, key=begins.__getitem__):
    colour = "C0" if ":" not in name else "C2"
    axis.barh(name, takes[name], left=begins[name] - zero, color=colour, height=0.6)
    axis.text(ends[name] - zero, name, f" {takes[name]:.1f} s", va="center", fontsize=7)
axis.set(title="the steps of the run", xlabel="seconds")
axis.margins(x=0.1)
axis.invert_yaxis()
plt.show()
for name, step in made.items():
    needs = store.open(step["kind"], step["fingerprint"]).manifest["inputs"].values()
    for other, before in made.items():
        if before["fingerprint"] in needs:
            assert ends[other] <= begins[name] + 1, f"{name} began before {other} was there"

# %% [markdown]
# ## What it cost, by task
# A step is made of tasks, each with its own clock. `other` is what no task names: reading, checks,
# the start of the process. Unknown is null, never 0: a machine without a GPU has no GPU memory.

# %%
rows = []
for name, step in made.items():
    cost = step["cost"]
    tasks = {task["name"]: task["wall_seconds"] for task in cost["tasks"]}
    assert sum(tasks.values()) <= cost["wall_seconds"] * 1.01, f"the tasks of {name} overlap"
    rows += [(name, task, seconds) for task, seconds in tasks.items()]
    rows.append((name, "other", cost["wall_seconds"] - sum(tasks.values())))
    assert cost["gpu_peak_bytes"] is None or run["environment"]["gpus"]
tasks = pd.DataFrame(rows, columns=["step", "task", "seconds"])
tasks[tasks["task"] != "other"].nlargest(8, "seconds").set_index(["step", "task"]).round(3)

# %%
costs = pd.DataFrame({name: step["cost"] for name, step in made.items()}).T
figure, axes = plt.subplots(1, 3, figsize=(8, 0.24 * len(costs) + 0.9), sharey=True)
drawn = (
    ("wall_seconds", 1, "seconds (light: busy)"),
    ("peak_rss_bytes", 2**20, "peak MiB (light: mean)"),
    ("energy_joules", 1, "joules"),
)
for axis, (name, unit, title) in zip(axes, drawn, strict=True):
    axis.barh(costs.index, costs[name].astype(float) / unit, height=0.6)
    axis.set(title=title)
axes[0].barh(costs.index, costs["cpu_seconds"].astype(float), height=0.25, color="#9fd3cd")
axes[1].barh(costs.index, costs["mean_rss_bytes"].astype(float) / 2**20, height=0.25,
             color="#9fd3cd")  # fmt: skip
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# ## Energy of an epoch
# What was drawn after the epoch that was kept is the price of patience: without it nobody would
# know that the best epoch was the best.

# %%
joules = np.array(model.facts["joules_by_epoch"], dtype=float)
best = model.facts["best_epoch"]
figure, axis = plt.subplots(figsize=(6, 2.2))
epochs = np.arange(1, len(joules) + 1)
axis.bar(epochs, joules, color=np.where(epochs <= best, "#0f766e", "#c9c4b8"))
axis.set(title="energy of each epoch; grey: after the best", xlabel="epoch", ylabel="J")
axis.xaxis.get_major_locator().set_params(integer=True)
plt.show()
whole = model.manifest["cost"]["energy_joules"]
assert joules.sum() <= whole
print(f"epochs {joules.sum():.1f} J of {whole:.1f} J; after the best {joules[best:].sum():.1f} J")
print(model.manifest["cost"]["energy_source"])

# %% [markdown]
# ## History
# All runs are in one database, DuckDB over Parquet. Runs compare where machine, data, settings and
# step are the same.

# %%
series = history.series(store, "wall_seconds")
assert {each.step for each in series} >= set(made)
pd.DataFrame(
    {"step": each.step, "runs": len(each.values), "median s": np.median(each.values)}
    for each in series
).set_index("step").round(2)

# %% [markdown]
# One run is no trend. To see what `plotpointe history` would make of sixty, invented times follow:
# this step's own, with 6 % of noise, one run on a busy machine, and from the 40th run on code that
# is 15 % slower.

# %%
rng = np.random.default_rng(7)
times = takes["train"] * np.exp(rng.normal(0, 0.06, 60))
times[20] *= 2.5
times[40:] *= 1.15
changes = find_change_points(times)
calm = regression_alarm(times[:35], times[35:40])
alarm = regression_alarm(times[:40], times[40:45])
figure, axis = plt.subplots()
axis.plot(times, ".", color="C6", label="train/wall_seconds, invented")
edges = [0, *(change.at for change in changes), len(times)]
for left, right in zip(edges, edges[1:], strict=False):
    axis.hlines(np.median(times[left:right]), left, right - 1, color="C1")
axis.set(title="where the level changed", xlabel="run", ylabel="seconds", ylim=(0, None))
axis.legend(loc="lower left")
plt.show()
assert len(changes) == 1
assert abs(changes[0].at - 40) <= 2, "one slow run is no change of level; slower code is"
assert alarm.raised
assert not calm.raised
print(calm.sentence)
print(alarm.sentence)

# %% [markdown]
# Next: [is it better?](04_comparison.py)
