"""Names for the array types that cross module borders."""

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
