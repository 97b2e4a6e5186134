"""Statistics of comparisons: per-user values in, a verdict out. Imports nothing by itself.

draws.py         how many resamples and their seed; Interval
bootstrap.py     BCa and percentile intervals of means      resample.py    many users, fast
permutation.py   sign-flip tests                            effects.py     Cohen's d, Cliff's delta
corrections.py   Holm, Benjamini-Hochberg                   power.py       what could be found
seeds.py         several training seeds as a hierarchy      relative.py    intervals of ratios
contrast.py      all of it for one pair of models, and the line that says it
gate.py          "ndcg@20 >= -0.5%"
sequential.py    tests that may be looked at at any time; needs NumPy alone
"""
