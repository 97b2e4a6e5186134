"""Native sparse kernels for processors, where they were compiled: kernels.c through ctypes.

``sparse.py`` asks ``fits`` first and otherwise uses torch's own: on a GPU, in other precisions,
and where installing found no C compiler. Measured against torch on the graph of Amazon
Electronics in docs/log.md.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from pipeline.native import library

_LIBRARY = "pipeline.models._kernels"


@cache
def _library() -> ctypes.CDLL | None:
    native = library(_LIBRARY)
    if native is None:
        return None
    for function in (native.product, native.dots):
        function.argtypes = [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 5 + [ctypes.c_int]
        function.restype = None
    return native


def compiled() -> bool:
    """Return whether the kernels were compiled when the package was installed."""
    return _library() is not None


def fits(*tensors: Tensor) -> bool:
    """Return whether the kernels take these dense tensors: float32, in main memory."""
    right = all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    return right and compiled()


def product(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """Return A @ x for a CSR matrix A.

    Shapes:
        indptr: (R+1,) int64. indices: (E,) int64. values: (E,). x: (C, D). returns: (R, D).
    """
    out = x.new_empty(len(indptr) - 1, x.shape[1])
    _call("product", indptr.long(), indices.long(), values, x, out)
    return out


def dots(indptr: Tensor, indices: Tensor, receivers: Tensor, senders: Tensor) -> Tensor:
    """Return the inner product of both ends of each edge.

    Shapes:
        indptr: (R+1,) int64. indices: (E,) int64. receivers: (R, D). senders: (C, D).
        returns: (E,).
    """
    out = receivers.new_empty(len(indices))
    _call("dots", indptr.long(), indices.long(), receivers, senders, out)
    return out


def _call(name: str, indptr: Tensor, indices: Tensor, left: Tensor, x: Tensor, out: Tensor) -> None:
    """Call a kernel; every tensor is alive here until it returns, copies included."""
    tensors = [t.contiguous() for t in (indptr, indices, left, x)]
    sizes = len(indptr) - 1, len(indices), x.shape[1]
    pointers = [t.data_ptr() for t in (*tensors, out)]
    getattr(_library(), name)(*sizes, *pointers, torch.get_num_threads())
