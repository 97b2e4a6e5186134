"""Names for the array types that cross module borders, and rows made equally long."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
"""Any floating width; float32 unless said."""

Rows = npt.NDArray[np.integer]
"""Dense indices 0..n-1 of users or items."""

Flags = npt.NDArray[np.bool_]
"""One truth value per row."""

Keys = npt.NDArray[np.str_]
"""The catalogue's own ids."""


def unit_rows(block: Floats) -> tuple[Floats, Flags, Flags]:
    """Return unit rows (zero where impossible), which were not finite, and which were zero.

    Shapes:
        block: (B, D). returns: (B, D), (B,), (B,).
    """
    wide = np.asarray(block, dtype=np.float64)
    not_finite = np.logical_not(np.isfinite(wide).all(axis=1))
    wide = np.where(not_finite[:, None], 0.0, wide)
    # Dividing by the largest entry first keeps squares within range.
    largest = np.abs(wide).max(axis=1, initial=0.0, keepdims=True)
    zero = (largest[:, 0] == 0) & ~not_finite
    scaled = wide / np.where(largest > 0, largest, 1.0)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(norms > 0, norms, 1.0), not_finite, zero
