"""The end of a service, announced: not ready first, so that balancers look elsewhere, then gone."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def drained(seconds: float, draining: threading.Event) -> Iterator[None]:
    """Delay the server's answer to SIGTERM: set ``draining`` at once, let it end after a while.

    A second SIGTERM ends at once. Signals belong to the main thread; elsewhere nothing is done.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, end = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def ending(number: int, frame: FrameType | None) -> None:
        """Announce the end, or end."""
        wait = 0.0 if draining.is_set() else seconds
        draining.set()
        if callable(end):
            loop.call_soon_threadsafe(loop.call_later, wait, end, number, frame)

    signal.signal(signal.SIGTERM, ending)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, end)
