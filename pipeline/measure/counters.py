"""The system's counters of this process: processor time, memory, bytes to and from storage.

What a task reads twice must be quick. The resource usage has the processor time, the peak and the
blocks of /proc/self/io (a kernel that keeps none of those has no such file) in one call; files
under /proc are opened once and read again in place.
"""

import os
import resource
import sys
from contextlib import suppress
from functools import cache
from typing import NamedTuple

_STATM, _IO = "/proc/self/statm", "/proc/self/io"
_STATUS, _CLEAR_REFS = "/proc/self/status", "/proc/self/clear_refs"
_RESET_HIGH_WATER = b"5"
_KIBIBYTE = 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENOUGH = 4096
_AGREE = 0.01
_CACHED_PAGES = 64
"""A processor holds so many back before it adds them to what the faster answer sums."""
_BLOCK = 512
"""Bytes of a block in the resource usage, whatever the disk has."""


class Reading(NamedTuple):
    """The counters at one moment; None where the system does not tell."""

    cpu_seconds: float
    """Of this process and of the children that it waited for."""
    peak_rss_bytes: int | None
    """The high-water mark of resident memory."""
    read_bytes: int | None
    written_bytes: int | None


class Counters:
    """Reads the counters of this process."""

    def __init__(self) -> None:
        """Open what can be opened."""
        self._statm, self._status = _opened(_STATM), _opened(_STATUS)
        self._counts_io = os.path.exists(_IO)
        self._clear = _opened(_CLEAR_REFS, os.O_WRONLY)
        self.resettable = self.reset_peak()
        """Whether the high-water mark can be set back."""
        self._exact_from = sys.maxsize
        self._apart = _CACHED_PAGES * _PAGE * (os.cpu_count() or 1)

    def close(self) -> None:
        """Close the files; counters are not known afterwards."""
        for name in ("_statm", "_status", "_clear"):
            if (descriptor := getattr(self, name)) is not None:
                with suppress(OSError):
                    os.close(descriptor)
            setattr(self, name, None)

    def read(self) -> Reading:
        """Return the counters now."""
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        peak = self._peak(own.ru_maxrss)
        if not self._counts_io:
            return Reading(cpu, peak, None, None)
        read = _BLOCK * (own.ru_inblock + children.ru_inblock)
        return Reading(cpu, peak, read, _BLOCK * (own.ru_oublock + children.ru_oublock))

    def rss_bytes(self) -> int | None:
        """Return the resident memory now."""
        text = _read(self._statm)
        return None if text is None else int(text.split(None, 2)[1]) * _PAGE

    def peak_rss_bytes(self) -> int | None:
        """Return the high-water mark of resident memory."""
        return self._peak(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    def reset_peak(self) -> bool:
        """Set the high-water mark back to the present use; return whether that worked."""
        if self._clear is None:
            return False
        try:
            os.write(self._clear, _RESET_HIGH_WATER)
        except OSError:
            return False
        return True

    def _peak(self, kibibytes: int) -> int | None:
        """Return the high-water mark, given what the resource usage says.

        That is never below what the process that started this one had before; so the slower file
        is asked, until both agree: from there on upwards the faster one is right.
        """
        peak = kibibytes * _KIBIBYTE
        if peak >= self._exact_from:
            return peak
        text = _read(self._status)
        if text is None or (at := text.find(b"VmHWM:")) < 0:
            return None
        slow = int(text[at + 6 : at + 40].split(None, 1)[0]) * _KIBIBYTE
        if abs(slow - peak) <= self._apart + _AGREE * peak:
            self._exact_from = peak
        return slow


def _opened(path: str, flags: int = os.O_RDONLY) -> int | None:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError:
        return None


def _read(descriptor: int | None) -> bytes | None:
    if descriptor is None:
        return None
    try:
        return os.pread(descriptor, _ENOUGH, 0)
    except OSError:  # some containers let it be opened, and refuse to read it
        return None


@cache
def counters() -> Counters:
    """Return the counters of this process, opened on the first call."""
    return Counters()


def _forget() -> None:
    """Open the files again in a forked child: they tell of the process that opened them."""
    if counters.cache_info().currsize:
        counters().close()
        counters.cache_clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)
