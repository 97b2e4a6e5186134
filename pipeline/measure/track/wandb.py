"""Weights & Biases: online with a key, or offline into the run's folder, to be synced later."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb

from pipeline.measure.track.protocol import DONE, Run, Values, full_name, portable

_PATIENCE_SECONDS = 20


class Wandb:
    """A run of the same id there; ``mode`` is ``online``, ``offline`` or what WANDB_MODE says."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        """Talk to nobody yet."""
        self._settings, self._folder = settings, Path(settings.get("folder") or folder)
        self._run: Any = None
        self._counted: set[str] = set()

    def start(self, run: Run) -> None:
        """Begin the run, or go on with the one of its id."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self._settings.get("project", "plotpointe"),
            entity=self._settings.get("entity"),
            mode=self._settings.get("mode") or os.environ.get("WANDB_MODE"),  # type: ignore[arg-type]
            dir=str(self._folder),
            id=run.run_id,
            name=f"{run.name} {run.run_id}",
            resume="allow",
            config={**run.config, "about": dict(run.about)},
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                init_timeout=_PATIENCE_SECONDS,
            ),
        )

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """Log metrics over the count of their own step; those of no count go to the summary."""
        named = {
            portable(full_name(step_name, name)): value
            for name, value in metrics.items()
            if value is not None
        }
        if step is None:
            self._run.summary.update(named)
            return
        counter = portable(full_name(step_name, "step"))
        for name in named:
            if name not in self._counted:
                self._run.define_metric(name, step_metric=counter)
                self._counted.add(name)
        self._run.log(
            {**named, counter: step, "_timestamp": at} if at else {**named, counter: step}
        )

    def artifact(self, name: str, reference: str) -> None:
        """Note the reference in the run's summary."""
        self._run.summary.update({f"artifacts/{portable(name)}": reference})

    def finish(self, status: str) -> None:
        """End the run; all but ``done`` counts as failed there."""
        self._run.summary.update({"status": status})
        self._run.finish(exit_code=0 if status == DONE else 1)
