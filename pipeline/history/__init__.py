"""All runs of a store in one local database: DuckDB over ``<store>/history/*.parquet``.

A row is one number that one run measured. Each run adds a file of its own when it ends; all of
them can be made again from the records of runs and the manifests (``rebuild``).
"""

from pipeline.history.database import append, rebuild, series
from pipeline.history.rows import Row, rows_of
from pipeline.history.series import Series

__all__ = ["Row", "Series", "append", "rebuild", "rows_of", "series"]
