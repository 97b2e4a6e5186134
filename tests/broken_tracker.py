"""A tracker whose module cannot be imported."""

raise ImportError("its native library is missing")
