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
# # 6. Pictures beside recommendations
#
# What a user has, what is recommended, and why.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

from pipeline import gallery
from pipeline.artifacts import Store
from serving.bundle import Bundle
from serving.messages import RecommendRequest
from serving.recommender import Recommender

plt.style.use("plotpointe.mplstyle")
store = Store(os.environ.get("PLOTPOINTE_STORE", "../artifacts"))
bundle = Bundle.open(store)
recommender = Recommender(bundle)
pictures = gallery.Pictures.of(store, bundle.artifact)

# %% [markdown]
# ## Three users

# %%
sizes = np.diff(bundle.seen.indptr)
for user in np.argsort(np.abs(sizes - np.median(sizes)), kind="stable")[:3]:
    key = str(bundle.users.keys[user])
    answer = recommender.recommend(RecommendRequest(user=key, k=6))
    rows = [recommender.row(item.id) for item in answer.items]
    gallery.strip(pictures, bundle.seen_by(user)[:6], f"user {key} has")
    plt.show()
    because = [item.reasons[0].text if item.reasons else "" for item in answer.items]
    gallery.strip(pictures, rows, f"recommended to user {key}", because)
    plt.show()
    assert not set(rows) & set(bundle.seen_by(user)), "nobody is shown what he has"

# %% [markdown]
# ## Somebody new, with a history of three items
# No retraining: what the items would send along their edges is the new user's vector.

# %%
history = [str(k) for k in bundle.catalogue.ids.keys[bundle.popular[[0, 5, 9]]]]
answer = recommender.recommend(RecommendRequest(history=history, k=6))
print(answer.strategy, answer.user_tier)
gallery.strip(pictures, [recommender.row(key) for key in history], "the history")
plt.show()
gallery.strip(pictures, [recommender.row(i.id) for i in answer.items], "recommended")
plt.show()

# %% [markdown]
# New items need no training either: [how they are added](../docs/how-to/live-items.md) while the
# service runs. How good all of this is: [the comparison](04_comparison.py).
