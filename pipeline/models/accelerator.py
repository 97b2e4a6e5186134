"""Whether kernels for GPUs can be used here: Triton is installed, and there is CUDA to run on."""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor


@cache
def _kernels() -> ModuleType | None:
    wanted = torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"
    if not wanted or find_spec("triton") is None:
        return None
    return import_module("pipeline.models.triton_kernels")


def kernels_for(*tensors: Tensor) -> ModuleType | None:
    """Return ``triton_kernels`` where they take these dense tensors; None where torch must do."""
    kernels = _kernels()
    return kernels if kernels is not None and kernels.fits(*tensors) else None
