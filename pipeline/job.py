"""What a stage is given: its configuration, its inputs, a folder to fill, and how to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.artifacts import Artifact
from pipeline.config import DataConfig, RuntimeConfig
from pipeline.measure import Energy, Task
from pipeline.sections import Section

S = TypeVar("S", bound=Section)

Facts = dict[str, Any]
"""What a stage measured about its output: JSON values, kept in the manifest."""


def energy_not_known() -> Energy:
    """Return that nothing is known, for stages that nobody meters."""
    return Energy(None, None, "none")


@dataclass(frozen=True)
class Job(Generic[S]):
    """One run of one stage."""

    config: S
    """The stage's own section."""
    data: DataConfig
    """Where raw files are, for the stages that read any."""
    inputs: Mapping[str, Artifact]
    """Complete artifacts by kind; further models stand as ``model:NAME``."""
    into: Path
    """An empty folder; every file left in it becomes part of the artifact."""
    scratch: Path
    """A folder that survives a kill of this stage, for resuming; removed after publishing."""
    task: Task
    """Measures, and shows progress."""
    seed: int = 0
    """Of everything random."""
    threads: int = 1
    """CPU threads this stage may use."""
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    """Options of speed."""
    energy: Callable[[], Energy] = energy_not_known
    """What the stage has drawn so far."""
