"""Native code of this package, where installing found a C compiler."""

import ctypes
from functools import cache
from importlib.util import find_spec


@cache
def library(name: str) -> ctypes.CDLL | None:
    """Return a compiled module by its dotted name; None where it was not compiled."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return ctypes.CDLL(spec.origin)
