"""Meters: from a start to a stop, joules and grams of CO2e, with how they are known."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.measure.cost import NO_SOURCE, Energy
from pipeline.measure.energy.grid import JOULES_PER_KWH, WORLD, Grid
from pipeline.measure.energy.parts import Part, label_of

EVERY_SECONDS = 1.0
"""How often the parts are asked: a package's counter wraps around after minutes."""

Told = Callable[[Energy], None]


class PartsMeter:
    """Adds up what the parts of the machine draw, once a second and whenever it is read."""

    def __init__(
        self,
        parts: Callable[[], Sequence[Part]],
        grid: Grid = WORLD,
        every: float = EVERY_SECONDS,
        told: Told | None = None,
    ) -> None:
        """Take the parts at the start; ``told`` hears of every interval, in a thread of ours."""
        self._make, self._grid, self._every, self._told = parts, grid, every, told
        self._parts: Sequence[Part] = ()
        self._joules = self._at = 0.0
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to count, from nothing."""
        self._end_thread()
        self._parts, self._joules = self._make(), 0.0
        self._at, self._ended = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="energy", daemon=True)
        self._thread.start()

    def read(self) -> Energy:
        """Return what was drawn since the start; the meter goes on."""
        with self._lock:
            now = time.monotonic()
            seconds, self._at = now - self._at, now
            if self._parts:
                self._joules += sum(part.joules(seconds) for part in self._parts)
            joules = self._joules if self._parts else None
        return Energy(joules, self._grid.grams(joules), label_of(self._parts) or NO_SOURCE)

    def stop(self) -> Energy:
        """Return what was drawn since the start."""
        self._end_thread()
        found = self.read()
        self._parts = ()
        return found

    def _end_thread(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            found = self.read()
            if self._told is not None:
                self._told(found)


@dataclass
class CodeCarbonMeter:
    """CodeCarbon's own tracker: offline, silent, writing nothing; two threads, slow to start."""

    scope: str = "process"
    """Or ``machine``."""
    grid: Grid = WORLD
    watts: float | None = None
    """Design power of all processors; None leaves it to CodeCarbon."""
    _tracker: Any = field(default=None, repr=False)

    def start(self) -> None:
        """Begin to track."""
        import logging

        logger = logging.getLogger("codecarbon")
        logger.addHandler(logging.NullHandler())
        logger.propagate, logger.disabled = False, True
        from codecarbon import OfflineEmissionsTracker

        logger.disabled = True
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="USA",
            force_carbon_intensity_g_co2e_kwh=self.grid.grams_per_kwh,
            tracking_mode=self.scope,
            force_cpu_power=self.watts,
            output_methods=[],
            log_level="critical",
            allow_multiple_runs=True,
            # At each measurement up to 50 ms may be left out; it samples every second all the same.
            measure_power_secs=15,
        )
        self._tracker.get_detected_hardware()
        self._tracker.start()

    def stop(self) -> Energy:
        """Return what was tracked since the start."""
        if self._tracker is None:
            return Energy(None, None, NO_SOURCE)
        self._tracker.stop()
        data, self._tracker = self._tracker.final_emissions_data, None
        joules = data.energy_consumed * JOULES_PER_KWH
        return Energy(joules, self.grid.grams(joules), f"codecarbon {data.codecarbon_version}")
