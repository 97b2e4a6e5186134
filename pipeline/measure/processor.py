"""The processors of this machine, as its kernel describes them."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Described:
    """What is known of the processors, which are of one kind."""

    name: str
    """Of the model; of the architecture where the kernel names none."""
    sockets: int
    features: frozenset[str]
    """Instructions beyond the least, as the kernel spells them; none where it does not say."""


def described(cpuinfo: Path = CPUINFO) -> Described:
    """Return what the file says, and what Python knows where there is none."""
    try:
        lines = [line.partition(":") for line in cpuinfo.read_text(errors="replace").splitlines()]
    except OSError:
        lines = []
    fields = [(name.strip(), value.strip()) for name, _, value in lines]
    first = dict(reversed(fields))
    sockets = {value for name, value in fields if name == "physical id"}
    return Described(
        name=first.get("model name") or platform.processor() or platform.machine(),
        sockets=max(1, len(sockets)),
        features=frozenset((first.get("flags") or first.get("Features", "")).split()),
    )


def machine_name() -> str:
    """Return the machine as manifests and measurements spell it."""
    kind = f"{platform.system()} {platform.machine()}"
    return f"{kind}, {described().name}, {os.cpu_count()} cores"
