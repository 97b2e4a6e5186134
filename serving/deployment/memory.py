"""Memory of bundles that have gone, given back to the system."""

import ctypes
from contextlib import suppress

import pyarrow as pa


def give_back() -> None:
    """Hand back what allocators keep for later: a large bundle leaves a quarter of itself there."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # another C library has another way, or none
        ctypes.CDLL("libc.so.6").malloc_trim(0)
