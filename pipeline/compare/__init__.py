"""Reports and data beside each other: what ``plotpointe compare`` and ``drift`` read and pair.

sources.py      a name on the command line to the per-user values of a model
cards.py        may these numbers be compared? their protocol cards beside each other
contenders.py   sources that are seeds of one contender, and all of them paired by user
inputs.py       features of two versions of data, or of training data and served traffic
"""
