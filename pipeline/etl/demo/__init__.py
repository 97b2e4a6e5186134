"""The demo shop: planted tastes, drawn pictures, written texts; reader of format ``demo``."""

from pipeline.etl.demo.catalogue import materialise
from pipeline.etl.demo.reader import read_catalogue, read_log
from pipeline.etl.demo.world import plan

__all__ = ["materialise", "plan", "read_catalogue", "read_log"]
