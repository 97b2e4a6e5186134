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
# # 2. Graphs: what is near what, and what the network makes of it
#
# Items are joined where their texts or pictures are alike, and where the same people took both.
# The model sends vectors along these edges, so what is wrong here is wrong everywhere.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse as sp

from pipeline import gallery
from pipeline.artifacts import Store
from serving.attention import Attention
from serving.bundle import Bundle
from serving.reasons import TOGETHER, Edge

plt.style.use("plotpointe.mplstyle")
store = Store(os.environ.get("PLOTPOINTE_STORE", "../artifacts"))
bundle = Bundle.open(store)
artifact = bundle.artifact
graphs = store.open("graphs", artifact.manifest["inputs"]["graphs"])
items = artifact.table("items.parquet").to_pandas()
pictures = gallery.Pictures.of(store, artifact)
modalities = graphs.modalities("_knn.npz")
relations = {m: graphs.matrix(f"{m}_knn.npz") for m in modalities}
if graphs.has("cooccurrence.npz"):
    relations[TOGETHER] = graphs.matrix("cooccurrence.npz")
statistics = graphs.json("statistics.json")

# %% [markdown]
# ## In numbers
# `symmetric`: of the edges, those that go both ways. `other category`: of the edges, those that
# leave the category, which are not wrong by themselves: a rug goes with a lamp. Hubness near 0
# means that all items are somebody's neighbour about equally often.

# %%
pd.DataFrame(
    {
        name: {
            "edges": found["edges"], "out degree": found["out_degree"]["mean"],
            "largest in degree": found["in_degree"]["max"], "symmetric": found["symmetric_share"],
            "other category": found["cross_category_share"],
            "hubness (skewness)": found["hubness"]["skewness"],
            "nobody's neighbour": found["hubness"]["none"],
        }
        for name, found in statistics.items() if name != "user_item"
    }
).T.round(3)  # fmt: skip

# %% [markdown]
# Checked, not believed: no self-loops, no row longer than the configuration says, and the numbers
# above are those of the matrices.

# %%
for name in modalities:
    knn, told = relations[name], statistics[f"{name}_knn"]
    assert knn.diagonal().sum() == 0
    assert np.diff(knn.indptr).max() <= graphs.manifest["config"]["neighbors"]
    assert knn.nnz == told["edges"]
    assert np.bincount(knn.indices).max() == told["in_degree"]["max"]

# %% [markdown]
# ## Degrees
# Who took how much, and how often each item was taken: what a popularity model knows.

# %%
taken = graphs.matrix("user_item.npz")
figure, axes = plt.subplots(1, 2, figsize=(7, 2.3))
for axis, counts, what in (
    (axes[0], np.diff(taken.indptr), "user"),
    (axes[1], np.bincount(taken.indices, minlength=taken.shape[1]), "item"),
):
    axis.hist(counts, bins=np.arange(counts.max() + 2) - 0.5)
    axis.axvline(np.median(counts), color="C1", linewidth=1)
    axis.set(title=f"training interactions per {what}, median {np.median(counts):g}",
             xlabel="interactions", ylabel=f"{what}s")  # fmt: skip
plt.show()
assert taken.nnz == statistics["user_item"]["edges"]

# %% [markdown]
# ## Hubs
# Every item names its nearest, but some are named far more often: in many dimensions some points
# are near everything. Beside the bars, what chance would give: each item names others at random.

# %%
figure, axes = plt.subplots(1, len(modalities), figsize=(3.5 * len(modalities), 2.3), squeeze=False)
rng = np.random.default_rng(0)
for axis, name in zip(axes[0], modalities, strict=True):
    knn = relations[name]
    incoming = np.bincount(knn.indices, minlength=knn.shape[0])
    assert incoming.sum() == knn.nnz
    chance = np.bincount(rng.integers(0, knn.shape[0], knn.nnz), minlength=knn.shape[0])
    bins = np.linspace(-0.5, incoming.max() + 0.5, min(40, incoming.max() + 2))
    axis.hist(incoming, bins=bins)
    axis.hist(chance, bins=bins, histtype="step", color="C1", label="by chance")
    axis.set(title=f"{name}: how often an item is a neighbour", xlabel="in degree", ylabel="items")
    axis.legend()
plt.show()

# %% [markdown]
# The largest hub of each modality, and some of those that name it:

# %%
for name in modalities:
    knn = relations[name].tocsc()
    hub = int(np.argmax(np.diff(knn.indptr)))
    column = knn[:, [hub]]
    naming = column.indices[np.argsort(-column.data, kind="stable")][:5]
    gallery.strip(pictures, [hub, *naming], f"the largest hub by {name}, then who names it")
    plt.show()

# %% [markdown]
# ## Neighbours
# The first picture is asked for; the others are its nearest by text, then by picture. The two
# disagree, which is why both are used.

# %%
pictured = np.flatnonzero(items["title"].notna() & items["image"].notna())
for item in np.random.default_rng(3).choice(pictured, 2, replace=False):
    for name in modalities:
        row = relations[name][item]
        near = row.indices[np.argsort(-row.data, kind="stable")][:5]
        gallery.strip(pictures, [item, *near], f"near by {name}")
        plt.show()

# %% [markdown]
# ## Do the graphs say the same?
# Of the edges of one graph (row), the share that the other (column) has too. By chance it would be
# what the last line says. Modalities that agree entirely would bring nothing new.

# %%
names = [*relations]
edges = {name: graph.astype(bool) for name, graph in relations.items()}
shared = np.array([[edges[a].multiply(edges[b]).nnz / edges[a].nnz for b in names] for a in names])
figure, axis = plt.subplots(figsize=(3.4, 2.8))
axis.imshow(shared, cmap="GnBu", vmin=0, vmax=1)
axis.grid(visible=False)
labels = [name.replace("_", " ") for name in names]
axis.set(xticks=range(len(names)), yticks=range(len(names)), xticklabels=labels,
         yticklabels=labels, title="edges in common")  # fmt: skip
for (row, column), share in np.ndenumerate(shared):
    axis.text(column, row, f"{share:.0%}", ha="center", va="center",
              color="white" if share > 0.6 else "black")  # fmt: skip
plt.show()
chance = max(graph.nnz / graph.shape[0] ** 2 for graph in relations.values())
apart = shared[~np.eye(len(names), dtype=bool)]
assert np.allclose(np.diag(shared), 1)
assert apart.min() > chance, "what looks or reads alike is taken together more than by chance"
print(f"by chance at most {chance:.1%}")

# %% [markdown]
# ## What the gates do
# Edges say who *may* tell whom; attention says how much is heard. Each edge has a gate between 0
# and 2, a function of both ends: 1 leaves the edge as the graph has it. Where all gates stay near
# 1, attention learned little, and the graphs' own weights do the work.

# %%
attention = Attention(bundle)
gates = {}
for name, graph in relations.items():
    both = sp.triu(graph.maximum(graph.T), k=1).tocoo()
    some = np.random.default_rng(1).permutation(both.nnz)[:3000]
    ends = zip(both.row[some].tolist(), both.col[some].tolist(), both.data[some], strict=True)
    asked = [(row, Edge(name, column, float(weight))) for row, column, weight in ends]
    told = attention.of_edges(asked)
    if told:
        gates[name] = pd.DataFrame(
            {"to": to, "from": edge.item, "weight": edge.weight, **found}
            for (to, edge), found in told.items()
        )
for name, found in gates.items():
    assert found["gate"].between(0, 2, inclusive="neither").all()
    reach = np.quantile(np.abs(found["gate"] - 1), 0.95)
    print(f"{name}: 95 % of the gates are within {reach:.4f} of 1")
print("relations that this model propagates over:", [*gates] or "none")

# %%
if gates:
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.3))
    reach = max(0.01, *(np.abs(found["gate"] - 1).max() for found in gates.values()))
    bins = np.linspace(1 - reach, 1 + reach, 41)
    for name, found in gates.items():
        axes[0].hist(found["gate"], bins=bins, histtype="step", label=name.replace("_", " "))
        axes[1].plot(found["weight"], found["attention"], ".", markersize=2, alpha=0.4)
    axes[0].axvline(1, color="C6", linestyle=":")
    axes[0].legend()
    axes[0].set(title="gates of edges", xlabel="gate", ylabel="edges")
    axes[1].set(title="what a layer multiplies by", xlabel="weight in the graph",
                ylabel="attention")  # fmt: skip
    plt.show()

# %% [markdown]
# The edges that the network turned down most, and up most: first who listens, then who speaks.

# %%
for name, found in gates.items():
    shown = pd.concat([found.nsmallest(2, "gate"), found.nlargest(2, "gate")])
    pairs = shown[["to", "from"]].to_numpy().ravel()
    notes = [text for gate in shown["gate"] for text in (f"gate {gate:.4f}", "")]
    gallery.strip(pictures, pairs, f"{name.replace('_', ' ')}: two turned down, two up", notes)
    plt.show()

# %% [markdown]
# ## Text or picture?
# How much of an item's content comes from each modality. The rule is learned, and looks at what an
# item has: one without a picture is all text.

# %%
rows = np.arange(bundle.seen.shape[1])
told = attention.modalities(rows)
shares = pd.DataFrame([{each["modality"]: each["share"] for each in row} for row in told])
if len(shares.columns):
    shares = shares.fillna(0)
    figure, axis = plt.subplots(figsize=(6, 2.3))
    for name in shares:
        axis.hist(shares[name], bins=np.linspace(0, 1, 41), histtype="step", label=name)
    axis.set(title="share of an item's content", xlabel="share", ylabel="items")
    axis.legend()
    plt.show()
    whole = shares.sum(axis=1)
    assert np.allclose(whole[whole > 0], 1, atol=1e-4)
shares.describe().loc[["mean", "min", "max"]] if len(shares.columns) else "mixed, not added up"

# %% [markdown]
# Next: [the run](03_training_run.py) that trained on this.
