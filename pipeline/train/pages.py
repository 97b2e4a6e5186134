"""Memory that a step gives back stays with the process for the next step."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM, _MAPPED = -1, -3
"""glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
_KEPT = {_TRIM: (1 << 31) - 1, _MAPPED: 1 << 30}
_USUAL = {_TRIM: 128 << 10, _MAPPED: 32 << 20}


@contextmanager
def kept_pages() -> Iterator[None]:
    """Let tables up to a gigabyte come from pages that were used before; give all back afterwards.

    glibc maps anything above 32 MB afresh each time, and the kernel clears every page of it: a
    seventh of a step at the size of Electronics. Nothing is changed where there is no glibc.
    """
    library: Any = ctypes.CDLL(None)
    known = hasattr(library, "mallopt") and hasattr(library, "malloc_trim")
    for option, value in _KEPT.items() if known else ():
        library.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in _USUAL.items() if known else ():
            library.mallopt(option, value)
        if known:
            library.malloc_trim(0)
