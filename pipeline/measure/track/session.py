"""A run's tracker in one call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.measure.track.backends import Settings, backend_of
from pipeline.measure.track.post import Posted
from pipeline.measure.track.protocol import DONE, FAILED, INTERRUPTED, Run, Several, Tracker
from pipeline.measure.track.record import JsonLines


def opened(folder: Path, backends: Mapping[str, Settings]) -> Several:
    """Return the tracker that writes a record into ``folder`` and tells the named backends.

    Raises:
        MeasureError: there is no such backend, or it takes no such setting.
    """
    for name, settings in backends.items():
        backend_of(name, settings)
    posted = [Posted(folder, name, settings) for name, settings in backends.items()]
    return Several([JsonLines(folder), *posted])


@contextmanager
def tracking(
    folder: Path, run: Run, backends: Mapping[str, Settings] | None = None
) -> Iterator[Tracker]:
    """Yield the tracker of a run that begins and ends with the block."""
    tracker = opened(folder, backends or {})
    tracker.start(run)
    status = FAILED
    try:
        yield tracker
        status = DONE
    except KeyboardInterrupt:
        status = INTERRUPTED
        raise
    finally:
        tracker.finish(status)
