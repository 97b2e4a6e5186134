"""Raw files of known shapes and any size, to try readers and machines on."""

from pipeline.etl.generate.files import make_amazon, make_electronics
from pipeline.etl.generate.spec import EDITIONS, AmazonSpec

__all__ = ["EDITIONS", "AmazonSpec", "make_amazon", "make_electronics"]
