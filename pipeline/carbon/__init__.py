"""What the runs of a store drew, emitted and cost.

ledger.py    the store's runs and manifests as entries
report.py    sums, the fields of a sustainability report, accuracy against energy
page.py      the report as one HTML file; plots.py draws
regions.py   what it would have been elsewhere
prices.py    what machines cost
allowance.py budgets: warns, then stops
"""
