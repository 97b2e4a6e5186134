"""How busy this process with its descendants is, and the whole machine: from Linux's counters."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_GIBIBYTE = 1024**3


@dataclass(frozen=True)
class Tree:
    """What a process and all that it started have used."""

    seconds: float
    """Of processors, since they began; that of waited-for children included."""
    gibibytes: float
    """Resident now."""
    pids: frozenset[int]


def this_tree(proc: Path = PROC) -> Tree:
    """Return what this process and its living descendants have used."""
    own, waited = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = own.ru_utime + own.ru_stime + waited.ru_utime + waited.ru_stime
    pid = os.getpid()
    resident, pids = _resident(proc / "self"), {pid}
    for child in _descendants(proc, pid):
        found = _used(proc / str(child))
        if found is not None:
            seconds, resident = seconds + found[0], resident + found[1]
            pids.add(child)
    return Tree(seconds, resident / _GIBIBYTE, frozenset(pids))


def _descendants(proc: Path, pid: int) -> Iterator[int]:
    for path in (proc / str(pid) / "task").glob("*/children"):
        try:
            children = [int(child) for child in path.read_text().split()]
        except OSError:  # the thread has ended meanwhile
            continue
        for child in children:
            yield child
            yield from _descendants(proc, child)


def _used(folder: Path) -> tuple[float, int] | None:
    """Return a process's seconds, its waited-for children's included, and resident bytes."""
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile, and its parent counts it now
        return None
    return sum(map(int, fields[11:15])) / _TICKS, int(fields[21]) * _PAGE


def _resident(folder: Path) -> int:
    try:
        return int((folder / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True)
class Busy:
    """Seconds of all processors together, busy and in all, since the machine started."""

    busy: float
    total: float


def this_machine(proc: Path = PROC) -> Busy | None:
    """Return how busy the machine was since it started, None where the system does not tell."""
    try:
        line = (proc / "stat").read_text().partition("\n")[0]
    except OSError:
        return None
    ticks = [int(field) for field in line.split()[1:9]]  # guests are counted in user and nice
    return Busy((sum(ticks) - ticks[3] - ticks[4]) / _TICKS, sum(ticks) / _TICKS)


class OwnLoad:
    """The processor seconds that this process and its descendants take, interval by interval."""

    def __init__(self) -> None:
        """Begin now."""
        self.tree = this_tree()

    def seconds(self) -> float:
        """Return the seconds taken since the last call; never less than none."""
        before, self.tree = self.tree, this_tree()
        # A descendant that ends without having been waited for takes its seconds with it.
        return max(0.0, self.tree.seconds - before.seconds)


class MachineLoad:
    """The share of all processors that was busy, interval by interval."""

    def __init__(self) -> None:
        """Begin now."""
        self._last = this_machine()

    def seconds(self) -> float | None:
        """Return the busy seconds of all processors since the last call, None if not told."""
        found = self._step()
        return None if found is None else found.busy

    def share(self) -> float | None:
        """Return the busy share, 0 to 1, since the last call, None if not told."""
        found = self._step()
        if found is None or found.total <= 0:
            return None
        return min(1.0, max(0.0, found.busy / found.total))

    def _step(self) -> Busy | None:
        before, self._last = self._last, this_machine()
        if before is None or self._last is None:
            return None
        return Busy(self._last.busy - before.busy, self._last.total - before.total)
