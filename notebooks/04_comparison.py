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
# # 4. Is it better? The statistics of a comparison
#
# `plotpointe compare report:popularity report` answers in a table. This notebook takes the answer
# apart: what an interval, a p-value, a gate and "could have been found" mean, on this store's
# report. All of it is in `pipeline.measure.stats`, which needs nothing else of ours.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pipeline.artifacts import Store
from pipeline.measure.stats.bootstrap import resampled_means
from pipeline.measure.stats.contrast import Sides
from pipeline.measure.stats.corrections import holm
from pipeline.measure.stats.draws import ALPHA, Draws
from pipeline.measure.stats.gate import Gate
from pipeline.measure.stats.permutation import sign_flip_p
from pipeline.measure.stats.power import least_effect, power_of, users_for
from pipeline.measure.stats.verdict import judge

plt.style.use("plotpointe.mplstyle")
store = Store(os.environ.get("PLOTPOINTE_STORE", "../artifacts"))
model = store.open("bundle").manifest["inputs"]["model"]
report = next(r for r in store.all("report") if r.manifest["inputs"]["model"] == model)
main, metric = report.facts["main"], "ndcg@20"
kept = [("split", "=", "test"), ("slice", "=", "all")]
values = pd.read_parquet(report.file("per_user.parquet"), filters=kept)
by_user = values[values["metric"] == metric].pivot(index="user", columns="model", values="value")
by_user = by_user.astype(float)
others = [name for name in by_user if name != main]
assert not by_user.isna().any(axis=None), "everybody was measured with every model"

# %% [markdown]
# ## Each model by itself
# Test split, 95 % intervals over users. Overlapping intervals do **not** mean "no difference": the
# same users stand behind both, and a user who is hard for one is hard for the other.

# %%
numbers = pd.DataFrame(report.json("metrics.json"))
test = numbers[(numbers["split"] == "test") & (numbers["metric"] == metric)].set_index("model")
test = test.loc[[main, *others]]
figure, axis = plt.subplots(figsize=(6, 0.3 * len(test) + 0.9))
spread = [test["value"] - test["low"], test["high"] - test["value"]]
axis.errorbar(test["value"], test.index, xerr=spread, fmt="o", capsize=3)
axis.set(xlabel=metric, title=f"{metric} of each model")
axis.invert_yaxis()
plt.show()
assert np.allclose(test["value"], by_user.mean()[test.index], atol=1e-5)

# %% [markdown]
# ## User by user
# The question is what changes for the same person. With most people nothing does: neither list has
# what they took next.

# %%
rival = by_user[others].mean().idxmax()
apart = (by_user[main] - by_user[rival]).to_numpy()
figure, axis = plt.subplots()
axis.hist(apart, bins=41)
axis.axvline(apart.mean(), color="C1")
axis.set(title=f"{main} minus {rival}, user by user", xlabel=f"difference in {metric}",
         ylabel="users")  # fmt: skip
axis.annotate(f"mean {apart.mean():+.4f}", (apart.mean(), axis.get_ylim()[1]), xytext=(4, -12),
              textcoords="offset points", color="C1")  # fmt: skip
plt.show()
print(f"better for {(apart > 0).mean():.0%}, worse for {(apart < 0).mean():.0%}, of {len(apart):,}")

# %% [markdown]
# ## All of them, judged together
# Intervals by bootstrap (BCa), p by sign flips, corrected by Holm: each question more makes all
# the others harder. One seed each, so this tells how *these two* models differ, not how training
# varies.

# %%
asked = [
    Sides(main, name, metric, "all", by_user[[main]].to_numpy().T, by_user[[name]].to_numpy().T)
    for name in others
]
findings = judge(asked, Draws(5_000))
for finding in findings:
    print("-", finding.verdict)
pd.DataFrame(
    {"baseline": f.sides.baseline, "difference": f.contrast.difference.value, "p": f.contrast.p,
     "p (Holm)": f.p_holm, "Cohen's d": f.contrast.d, "could be found": f.mde}
    for f in findings
).set_index("baseline").round(4)  # fmt: skip

# %%
figure, axis = plt.subplots(figsize=(6, 0.35 * len(findings) + 0.9))
for finding in findings:
    d, sure = finding.contrast.difference, finding.result != "no difference shown"
    axis.errorbar(d.value, finding.sides.baseline, xerr=[[d.value - d.low], [d.high - d.value]],
                  fmt="o", capsize=3, color="C0" if sure else "C6")  # fmt: skip
    axis.plot([-finding.mde, finding.mde], [finding.sides.baseline] * 2, "|", color="C1")
axis.axvline(0, color="C6", linestyle=":")
axis.set(xlabel=f"difference in {metric}; |: what would be found 4 times in 5",
         title=f"{main} against each other model")  # fmt: skip
axis.margins(y=0.3)
axis.invert_yaxis()
plt.show()
for finding in findings:
    assert finding.p_holm >= finding.contrast.p
    assert finding.contrast.difference.low <= finding.contrast.difference.value
    assert finding.contrast.difference.value <= finding.contrast.difference.high

# %% [markdown]
# ## Where the interval and p come from
# Left: if other users of the same kind had come, the mean might have been any of these. Right: if
# the models were the same, a user's two values could change places; these means would come of it.
# p is the share of them that is as far from 0 as what was seen.

# %%
draws = Draws(4_999)
means = resampled_means(apart[:, None], draws)[:, 0]
coins = draws.rng().choice([-1.0, 1.0], size=(draws.resamples, len(apart)))
null = coins @ apart / len(apart)
contrast = next(f.contrast for f in findings if f.sides.baseline == rival)
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4))
left.hist(means, bins=40)
left.axvspan(contrast.difference.low, contrast.difference.high, color="C1", alpha=0.15)
left.axvline(0, color="C6", linestyle=":")
left.set(title="bootstrap, and its 95 % interval", xlabel="mean difference")
right.hist(null, bins=40, color="C6")
for edge in (-apart.mean(), apart.mean()):
    right.axvline(edge, color="C1")
right.set(title=f"no difference at all; p {contrast.p:.2g}", xlabel="mean difference")
plt.show()
by_hand = (1 + (np.abs(null) >= abs(apart.mean()) - 1e-12).sum()) / (1 + len(null))
assert abs(by_hand - contrast.p) < 0.03, "our test is the picture on the right"
inside = (means >= contrast.difference.low) & (means <= contrast.difference.high)
assert abs(inside.mean() - 0.95) < 0.03

# %% [markdown]
# ## What could have been found
# "No difference shown" of ten users says nothing; of a million it says a lot. Power is the chance
# to find a change of a size that was named before; the dotted line is how many users there are.

# %%
deviation, base = apart.std(ddof=1), by_user[rival].mean()
users = np.unique(np.geomspace(20, 2e5, 60).astype(int))
figure, axis = plt.subplots()
for share in (0.02, 0.05, 0.1, 0.2):
    power = [power_of(share * base, deviation / np.sqrt(n), n - 1, ALPHA) for n in users]
    axis.semilogx(users, power, label=f"a change of {share:.0%}")
axis.axvline(len(apart), color="C6", linestyle=":")
axis.axhline(0.8, color="C6", linewidth=0.8)
axis.set(title="the chance to find it", xlabel="users", ylabel="power", ylim=(0, 1.02))
axis.legend()
plt.show()
least = least_effect(deviation / np.sqrt(len(apart)), len(apart) - 1, ALPHA)
assert abs(power_of(least, deviation / np.sqrt(len(apart)), len(apart) - 1, ALPHA) - 0.8) < 1e-6
print(f"{len(apart):,} users find {least / base:.1%} four times in five; "
      f"5 % would take {users_for(0.05 * base, deviation, ALPHA):,}")  # fmt: skip

# %% [markdown]
# ## What a gate means
# `--gate "ndcg@20 >= -5%"` passes only where the whole interval of the change is at or above the
# bound: worse models pass once in forty. So it also fails where too few users were measured to
# tell, and says which of the two it is.

# %%
bounds = (-0.5, -5, -50)
passages = [Gate.parse(f"{metric} >= {bound}%") for bound in bounds]
usable = [f for f in findings if f.contrast.relative is not None]
figure, axis = plt.subplots(figsize=(6, 0.35 * len(usable) + 1))
for finding in usable:
    r = finding.contrast.relative
    axis.plot([100 * r.low, 100 * r.high], [finding.sides.baseline] * 2, color="C0", linewidth=3)
    axis.plot(100 * r.value, finding.sides.baseline, "o", color="C0")
for bound in bounds:
    axis.axvline(bound, color="C1", linestyle=":")
axis.set(title="change, and where three gates stand", xlabel=f"change in {metric}, %")
axis.margins(y=0.4)
axis.invert_yaxis()
plt.show()
for finding in usable:
    for gate, bound in zip(passages, bounds, strict=True):
        passage = gate.judged(finding)
        assert passage.passed == (100 * finding.contrast.relative.low >= bound)
        print(passage.sentence)

# %% [markdown]
# ## A/A: how often does it cry wolf?
# Here nothing can be different: for each user a coin says which model's numbers are called ours.
# All metrics of a user change places together, as they belong together. Then every "difference" is
# a false alarm. Uncorrected, each question has a 5 % chance, and a family of them far more; after
# Holm the whole family has 5 % at most.

# %%
named = ["recall@5", "recall@10", "recall@20", "ndcg@5", "ndcg@10", "ndcg@20"]
wide = values[values["metric"].isin(named)].pivot(
    index="user", columns=["model", "metric"], values="value"
)
differences = np.hstack(
    [(wide[main][named] - wide[name][named]).to_numpy(dtype=float) for name in others]
)
rng, families, questions = np.random.default_rng(0), 400, differences.shape[1]
shuffled = [
    differences * rng.choice([-1.0, 1.0], size=(len(differences), 1)) for _ in range(families)
]
p = sign_flip_p(np.hstack(shuffled), Draws(999, seed=1)).reshape(families, questions)
after = np.stack([holm(row) for row in p])
alone = (p < ALPHA).mean()
any_alone, any_after = ((found < ALPHA).any(axis=1).mean() for found in (p, after))
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4))
left.hist(p.ravel(), bins=20, range=(0, 1))
left.axvspan(0, ALPHA, color="C1", alpha=0.2)
left.set(title="p where nothing differs", xlabel="p", ylabel="questions")
labels = ["one question", f"any of {questions}", f"any of {questions},\nafter Holm"]
right.bar(labels, [100 * alone, 100 * any_alone, 100 * any_after], color=["C0", "C4", "C0"])
right.axhline(100 * ALPHA, color="C1", linestyle=":")
right.set(title="false alarms, %")
plt.show()
chance = np.sqrt(ALPHA * (1 - ALPHA) / families)
assert any_after <= ALPHA + 4 * chance, "Holm keeps the family at 5 %"
assert alone <= ALPHA + 4 * chance
assert any_after <= any_alone
print(f"one {alone:.1%}, any {any_alone:.1%}, any after Holm {any_after:.1%}, {families} families")

# %% [markdown]
# The [same in large](../docs/concepts/statistics.md), with coverage of intervals and power, is
# committed and runs again in the tests.
#
# Next: [what it took](05_carbon_and_cost.py).
