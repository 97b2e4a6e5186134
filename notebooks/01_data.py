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
# # 1. Data: what was kept, what was not, and who may see what
#
# Make a store first with `make demo` (or `plotpointe run configs/movielens.yaml`). This notebook
# opens the tables that everything else stands on.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pipeline import gallery
from pipeline.artifacts import Store
from pipeline.leaks import examine, find_run
from pipeline.schema import SPLITS

plt.style.use("plotpointe.mplstyle")
store = Store(os.environ.get("PLOTPOINTE_STORE", "../artifacts"))
bundle = store.open("bundle")
tables = store.open("tables", bundle.manifest["inputs"]["tables"])
quality = tables.json("quality.json")
interactions = tables.table("interactions.parquet").to_pandas()
items = tables.table("items.parquet").to_pandas()
rejects = tables.table("rejects.parquet").to_pandas()
pd.Series(quality["counts"], name="rows").to_frame()

# %% [markdown]
# ## Nothing vanishes
# A record is kept, or it stands among the rejects with a reason and its own text.

# %%
records = quality["records"]
assert records["read"] == records["kept"] + records["rejected"]
assert len(rejects) == records["rejected"]
print(f"{records['read']:,} records read, {records['rejected']:,} rejected")
rejects.groupby("reason").head(1).sort_values("reason")

# %%
reasons = rejects["reason"].value_counts().sort_values()
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4))
left.barh(reasons.index, reasons, color="C1")
left.set(title="why records were rejected", xlabel="records")
left.grid(visible=False, axis="y")
known = pd.Series(quality["coverage"]).sort_values()
right.barh(known.index, 100 * known)
right.set(title="what is known of the items", xlabel="% of the items", xlim=(0, 100))
right.grid(visible=False, axis="y")
plt.show()

# %% [markdown]
# A few items, as a shop would show them:

# %%
pictures = gallery.Pictures.of(store, bundle)
pictured = np.flatnonzero(items["title"].notna() & items["image"].notna())
gallery.strip(pictures, np.random.default_rng(5).choice(pictured, 6, replace=False), "the items")
plt.show()

# %% [markdown]
# ## A long tail
# Few items have most of the interactions. The straight line would be equal shares for all.

# %%
popularity = np.bincount(interactions["item"], minlength=len(items))
falling = np.sort(popularity)[::-1]
shares = np.cumsum(falling) / falling.sum()
place = np.arange(1, len(items) + 1) / len(items)
fifth = shares[len(items) // 5 - 1]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4))
left.loglog(np.arange(1, len(items) + 1), np.maximum(falling, 0.5))
left.set(title="interactions of an item", xlabel="item, by popularity", ylabel="interactions")
right.plot(100 * place, 100 * shares)
right.plot([0, 100], [0, 100], color="C6", linestyle=":")
right.axvline(20, color="C1", linewidth=1)
right.set(title=f"a fifth of the items has {fifth:.0%}", xlabel="% of the items",
          ylabel="% of the interactions")  # fmt: skip
plt.show()
assert fifth > 0.2

# %% [markdown]
# ## The split
# Models learn from `train`, choose by `validation`, and are measured on `test`. Where the split is
# by time, nobody trains on what happened after a moment that is tested.

# %%
names = {number: name for name, number in SPLITS.items()}
interactions["part"] = interactions["split"].map(names)
when = pd.to_datetime(interactions["timestamp"], unit="s")
figure, axis = plt.subplots()
shown = [name for name in SPLITS if (interactions["part"] == name).any()]
by_part = [when[interactions["part"] == name] for name in shown]
axis.hist(by_part, bins=40, stacked=True, label=shown)
axis.set(title=f"split by {quality['split']['rule']}", xlabel="time", ylabel="interactions")
axis.legend(loc="upper left")
plt.show()
summary = interactions.groupby("part").agg(
    interactions=("item", "size"), users=("user", "nunique"), items=("item", "nunique"),
    first=("timestamp", "min"), last=("timestamp", "max"),
)  # fmt: skip
if quality["split"]["rule"] == "global-time":
    assert summary["last"]["train"] <= summary["first"]["validation"]
    assert summary["last"]["validation"] <= summary["first"]["test"]
assert not interactions.duplicated(["user", "item"]).any(), "a pair is in one part alone"
summary.assign(
    first=pd.to_datetime(summary["first"], unit="s").dt.date,
    last=pd.to_datetime(summary["last"], unit="s").dt.date,
)

# %% [markdown]
# ## Slices
# A mean over all hides who is served badly. Each report says the same numbers for parts of the
# held-out items and of the users; here the main model on each, with 95 % intervals.

# %%
model = bundle.manifest["inputs"]["model"]
report = next(r for r in store.all("report") if r.manifest["inputs"]["model"] == model)
main = report.facts["main"]
parts = pd.DataFrame(report.json("slices.json")).set_index("slice")
numbers = pd.DataFrame([number for each in parts["numbers"] for number in each])
wanted = {"model": main, "metric": "recall@20", "split": "test"}
slices = numbers[(numbers[[*wanted]] == pd.Series(wanted)).all(axis=1)].dropna(subset=["value"])
figure, axis = plt.subplots(figsize=(6, 0.28 * len(slices) + 0.9))
spread = [slices["value"] - slices["low"], slices["high"] - slices["value"]]
axis.errorbar(slices["value"], slices["slice"], xerr=spread, fmt="o", elinewidth=1)
axis.set(title=f"recall@20 of {main} by slice", xlabel="recall@20", xlim=(0, None))
axis.invert_yaxis()
plt.show()
assert slices["value"].between(slices["low"], slices["high"]).all()
parts.loc[slices["slice"], ["means", "n_users", "held_out_share"]]

# %% [markdown]
# ## Leaks
# `plotpointe doctor leaks` looks into every artifact of a run for held-out interactions where none
# may be: in edges, weights, chosen epochs, lists. The same from Python:

# %%
found = [*examine(find_run(store, None))]
answers = pd.DataFrame(
    {"check": e.check, "looked at": e.looked_at, "found": len(e.findings),
     "worst": min((f.severity for f in e.findings), key=["leak", "suspicious", "note"].index,
                  default="")}
    for e in found
)  # fmt: skip
assert "leak" not in set(answers["worst"]), "held-out interactions reached what they measure"
answers.set_index("check")

# %% [markdown]
# Next: [the graphs](02_graph.py) that are made of this.
