"""Peak resident memory of this process, with a high-water mark that can be set back."""

from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER = "5"
_KIBIBYTE = 1024


def peak_rss_bytes() -> int | None:
    """Return the high-water mark of resident memory, None where the system does not tell."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIBIBYTE
    except OSError:
        pass
    return None


def reset_peak() -> bool:
    """Set the high-water mark back to the present use; return whether that worked."""
    try:
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER)
    except OSError:
        return False
    return True
