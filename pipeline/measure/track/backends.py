"""The backends by name: where each is, the package it needs, and the settings it takes."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.measure.errors import MeasureError
from pipeline.measure.track.protocol import Tracker

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Backend:
    """How to open a tracker: ``maker(settings, folder of the run)``."""

    door: str
    """``module:class``, imported when it is opened."""
    package: str | None = None
    settings: tuple[str, ...] | None = None
    """The names it takes; None takes any."""

    def open(self, settings: Settings, folder: Path) -> Tracker:
        """Return the tracker; its package is imported here."""
        module, _, name = self.door.partition(":")
        maker: Callable[[Settings, Path], Tracker] = getattr(importlib.import_module(module), name)
        return maker(settings, folder)


_HERE = "pipeline.measure.track"
BACKENDS: dict[str, Backend] = {
    "tensorboard": Backend(f"{_HERE}.tensorboard:TensorBoard", "tensorboard", ("folder",)),
    "wandb": Backend(f"{_HERE}.wandb:Wandb", "wandb", ("project", "entity", "mode", "folder")),
    "mlflow": Backend(f"{_HERE}.mlflow:MLflow", "mlflow", ("uri", "experiment")),
}


def backend_of(name: str, settings: Mapping[str, Any] | None = None) -> Backend:
    """Return a backend by its name, or one's own by its door, ``module:class``.

    Raises:
        MeasureError: there is none, or it takes no such setting.
    """
    found = Backend(name) if ":" in name else BACKENDS.get(name)
    if found is None:
        raise MeasureError(
            f"unknown tracker {name!r}; known: {[*BACKENDS]}, or one's own as module:class"
        )
    known = found.settings
    wrong = [] if known is None else sorted({*(settings or {})} - {*known})
    if wrong:
        raise MeasureError(f"tracker {name} takes no {wrong[0]!r}; it takes {known}")
    return found


def lacking(name: str) -> str | None:
    """Return the package that a backend needs and this installation lacks."""
    package = backend_of(name).package
    return package if package and find_spec(package) is None else None
