"""What answering draws: metered in the background, so that no request pays for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import ConfigError
from pipeline.measure import Energy, Meter, NoMeter
from serving.settings import Settings
from serving.telemetry.metrics import Metrics

EVERY_SECONDS = 5.0


def check_place(settings: Settings) -> None:
    """Refuse a place that nobody knows.

    Raises:
        ConfigError: with the closest ones.
    """
    from pipeline.measure.energy import place_of
    from pipeline.measure.errors import MeasureError

    if settings.place is None or settings.energy == "off":
        return
    try:
        place_of(settings.place)
    except MeasureError as error:
        raise ConfigError(f"place: {error}") from None


@contextmanager
def metered(settings: Settings, metrics: Metrics, every: float = EVERY_SECONDS) -> Iterator[None]:
    """Keep the metrics of energy and CO2e up to date within the block.

    The tables are read in a thread of its own: the port opens no later for it.
    """
    meters: list[Meter] = [NoMeter()]

    def begin() -> None:
        """Find out what to read and start to read it."""
        meters.append(_meter(settings, metrics, every))
        meters[-1].start()

    beginning = threading.Thread(target=begin, name="energy-begin", daemon=True)
    if settings.energy != "off":
        beginning.start()
    try:
        yield
    finally:
        if settings.energy != "off":
            beginning.join()
        meters[-1].stop()


def _meter(settings: Settings, metrics: Metrics, every: float) -> Meter:
    from pipeline.measure.energy import PartsMeter, metering
    from pipeline.measure.errors import MeasureError

    try:
        found = metering(settings.energy, settings.place)
    except MeasureError:  # said at the start, where ``serve`` checks the place
        return NoMeter()
    last = Energy(0.0, 0.0, "")

    def told(drawn: Energy) -> None:
        """Count what was drawn since the last call."""
        nonlocal last
        metrics.drew(
            (drawn.joules or 0.0) - (last.joules or 0.0),
            (drawn.grams_co2e or 0.0) - (last.grams_co2e or 0.0),
            every,
        )
        last = drawn

    return PartsMeter(found.parts, found.grid, every, told)
