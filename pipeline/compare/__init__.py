"""Reports beside each other: what ``plotpointe compare`` reads, pairs and refuses.

sources.py      a name on the command line to the per-user values of a model
cards.py        may these numbers be compared? their protocol cards beside each other
contenders.py   sources that are seeds of one contender, and all of them paired by user
"""
