"""The one place that makes ``import torchvision`` work beside a CPU build of torch.

The torchvision of the package index is compiled for CUDA: beside a CPU torch its binary part does
not load, its operators stay undeclared, and ``import torchvision`` ends in "operator
torchvision::nms does not exist", which takes transformers and open_clip with it. We use none of
those operators (they are for object detection), only Python transforms, so declaring the two
schemas that torchvision's import looks up is enough. Where torchvision imports by itself nothing
is declared.
"""

import importlib
import sys
from typing import Any

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[Any] = []
"""Libraries undeclare their schemas when they are collected; ours must live as long as torch."""


def guard() -> bool:
    """Return whether the schemas had to be declared for torchvision to import.

    Call before importing torchvision, transformers' vision classes, timm or open_clip.

    Raises:
        RuntimeError: torchvision fails for another reason.
    """
    if _declared:
        return True
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return False
    _forget_half_imported()
    _declare()
    importlib.import_module("torchvision")
    return True


def _declare() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)


def _forget_half_imported() -> None:
    """Drop what the failed import left behind, so that the next one starts afresh."""
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
