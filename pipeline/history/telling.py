"""Telling others of alarms: a webhook, and Prometheus by node_exporter's textfile collector."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.history.alarms import Watched

_SECONDS = 10.0
_ALARM, _SHIFT, _P = (
    "plotpointe_history_alarm",
    "plotpointe_history_relative_shift",
    "plotpointe_history_adjusted_p",
)
_HELP = {
    _ALARM: "1 where the recent runs of a series are worse beyond chance.",
    _SHIFT: "Recent runs against those before, over the median before.",
    _P: "One-sided p after the correction for all series asked.",
    "plotpointe_history_series": "Series with runs enough to raise an alarm.",
    "plotpointe_history_checked_timestamp_seconds": "When the history was looked at.",
}


def post(url: str, told: Mapping[str, Any]) -> str | None:
    """Send the alarms to a webhook; return what went wrong, None where it took them."""
    import httpx

    try:
        answer = httpx.post(url, json=dict(told), timeout=_SECONDS, follow_redirects=False)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"{type(error).__name__}: {error}"
    return None


def write_textfile(path: Path, found: Sequence[Watched], now: float) -> None:
    """Write the state of every series asked, in one step: the collector never reads half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(textfile(found, now))
    draft.replace(path)


def textfile(found: Sequence[Watched], now: float) -> str:
    """Return Prometheus' text form of the state of every series asked."""
    labels = [_labels(each) for each in found]
    samples: dict[str, list[str]] = {
        _ALARM: [f"{at} {int(each.raised)}" for at, each in zip(labels, found, strict=True)],
        _SHIFT: [
            f"{at} {each.alarm.relative!r}"
            for at, each in zip(labels, found, strict=True)
            if each.alarm.relative is not None
        ],
        _P: [f"{at} {each.adjusted_p!r}" for at, each in zip(labels, found, strict=True)],
        "plotpointe_history_series": [f" {len(found)}"],
        "plotpointe_history_checked_timestamp_seconds": [f" {now:.3f}"],
    }
    lines = []
    for name, values in samples.items():
        lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge"]
        lines += [f"{name}{value}" for value in values]
    return "\n".join(lines) + "\n"


def _labels(each: Watched) -> str:
    traits = {k: str(v or "unknown") for k, v in each.series.traits().items()}
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in traits.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
