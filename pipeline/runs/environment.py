"""Where a run happened: the machine, what is installed, and the state of the code."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.hashing import fingerprint
from pipeline.orders import environment as installed
from pipeline.planner.machine import this_machine

_GIT_SECONDS = 5
_GPUS = Path("/proc/driver/nvidia/gpus")
_ID_LETTERS = 10


def environment_of(store: Path) -> dict[str, Any]:
    """Return what a run's numbers depend on beside its configuration.

    ``environment_id`` is a hash of what makes timings comparable: the machine. What is installed
    is told apart by nothing but its own names, so that a slower version is seen as slower.
    """
    machine = this_machine(store)
    hardware = {
        "machine": machine.name,
        "cpu_model": machine.processor,
        "cores": machine.cores,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpus(),
    }
    return {**installed(), **hardware, "environment_id": environment_id(hardware)}


def environment_id(hardware: Mapping[str, Any]) -> str:
    """Return a hash of the machine; memory counts in whole gigabytes, as a kernel keeps some."""
    rounded = {**hardware, "memory_bytes": round(hardware["memory_bytes"] / 1e9)}
    return fingerprint(rounded)[:_ID_LETTERS]


def _gpus() -> list[str]:
    """Return the models of the NVIDIA GPUs that the system tells of."""
    found = []
    for about in sorted(_GPUS.glob("*/information")):
        lines = dict(line.partition(":")[::2] for line in about.read_text().splitlines())
        found.append(lines.get("Model", "unknown").strip())
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit, branch and whether anything is changed; None outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "dirty": bool(changed),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
