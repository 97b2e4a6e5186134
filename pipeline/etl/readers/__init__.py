"""Readers of raw data, one module per format; importing this package registers them all."""

from pipeline.etl.readers import amazon, amazon_ratings, mmrec, movielens, recbole, table

__all__ = ["amazon", "amazon_ratings", "mmrec", "movielens", "recbole", "table"]
