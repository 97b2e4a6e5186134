"""What a service's recommendations cost, from its metrics."""

import re
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DataError
from pipeline.measure.energy.account import Price

_LINE = re.compile(r"^(plotpointe_\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_SECONDS = 5.0


def read_metrics(place: str) -> dict[str, float]:
    """Return the service's metrics by name, summed over their labels.

    Raises:
        DataError: nothing answers, or what does is no service of ours.
    """
    found: dict[str, float] = {}
    for name, value in _LINE.findall(_text(place)):
        found[name] = found.get(name, 0.0) + float(value)
    if "plotpointe_energy_joules_total" not in found:
        raise DataError(f"{place} holds no metrics of a PlotPointe service that meters its energy")
    return found


def _text(place: str) -> str:
    if not place.startswith(("http://", "https://")):
        try:
            return Path(place).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{place} cannot be read: {error}") from None
    import httpx

    try:
        answer = httpx.get(place, timeout=_SECONDS)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DataError(
            f"{place} does not answer ({type(error).__name__}). Start the service: plotpointe serve"
        ) from None
    return answer.text


def costs_of(
    metrics: Mapping[str, float], price: Price, per_second: float | None = None, workers: int = 1
) -> dict[str, float]:
    """Return energy and CO2e of 1,000 lists, and the money of a million.

    The machine is paid for by the hour: ``per_second`` lists that it answers, or as many as it
    has; ``workers`` processes share it.

    Raises:
        DataError: no list was recommended yet.
    """
    lists = metrics.get("plotpointe_recommendations_total", 0.0)
    seconds = metrics.get("plotpointe_metered_seconds_total", 0.0) / workers
    if not lists or not seconds:
        raise DataError("nothing was recommended and metered yet; ask for some, wait five seconds")
    joules, grams = (
        metrics[f"plotpointe_{name}_total"] for name in ("energy_joules", "grams_co2e")
    )
    rate = per_second or lists / seconds
    return {
        "lists": lists,
        "seconds": seconds,
        "joules_per_1000": 1000 * joules / lists,
        "grams_co2e_per_1000": 1000 * grams / lists,
        "money_per_million": price.of(1e6 / rate, 1e6 * joules / lists),
    }
