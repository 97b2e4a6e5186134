"""Suggestions: ours by rule, and those of an OpenAI-compatible endpoint that the user names."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.artifacts import Store
from pipeline.doctor.finding import FAIL, WARN, Finding
from pipeline.doctor.redact import redacted
from pipeline.errors import DataError
from pipeline.schema import KINDS

URL, KEY, MODEL = "PLOTPOINTE_ADVISE_URL", "PLOTPOINTE_ADVISE_KEY", "PLOTPOINTE_ADVISE_MODEL"
_SECONDS = 60.0
_MOST = 8_000
_ASKED = (
    "You advise on the speed, memory and correctness of a machine-learning pipeline (stages: etl, "
    "embed, graph, train, rank, evaluate, index; then a service). Below is a summary of an "
    "installation and of what its stages cost. Give at most five concrete suggestions, the most "
    "useful first, each in one or two sentences. Do not invent measurements."
)
_COSTS = ("wall_seconds", "cpu_seconds", "peak_rss_bytes", "energy_joules", "read_bytes")


def summary(findings: Sequence[Finding], store: Store) -> dict[str, Any]:
    """Return what is sent: findings and stage costs, without names, paths, keys and addresses."""
    told = [{**asdict(finding), "cure": ""} for finding in findings]
    costs = {}
    for kind in KINDS:
        for artifact in store.all(kind)[-4:]:
            cost = artifact.manifest.get("cost") or {}
            name = str(artifact.manifest.get("step") or kind)
            costs[name] = {key: cost.get(key) for key in _COSTS}
    clean: dict[str, Any] = redacted({"findings": told, "costs_of_stages": costs})
    return clean


def by_rule(findings: Sequence[Finding]) -> list[str]:
    """Return what to do about each finding that is not well, failures first."""
    wanted = [f for status in (FAIL, WARN) for f in findings if f.status == status and f.cure]
    return [f"{f.check}: {f.cure}" for f in wanted]


def asked(url: str, about: Mapping[str, Any], key: str | None, model: str) -> str:
    """Return what the endpoint suggests on a summary.

    Raises:
        DataError: it does not answer, or not as such endpoints do.
    """
    import httpx

    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": _ASKED},
            {"role": "user", "content": json.dumps(about, sort_keys=True)},
        ],
    }
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.post(_endpoint(url), json=body, headers=headers, timeout=_SECONDS)
        answer.raise_for_status()
        text = answer.json()["choices"][0]["message"]["content"]
    except httpx.HTTPStatusError as error:
        raise DataError(
            f"the adviser answered {error.response.status_code}; check the address, the model "
            f"({MODEL}, now {model!r}) and the key ({KEY})"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DataError(f"the adviser at {url} does not answer: {type(error).__name__}") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise DataError(
            "the adviser's answer is none of an OpenAI-compatible endpoint: it has no "
            "choices[0].message.content"
        ) from None
    return _printable(str(text))[:_MOST]


def _endpoint(url: str) -> str:
    base = url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    return f"{base}/chat/completions" if base.endswith("/v1") else f"{base}/v1/chat/completions"


def _printable(text: str) -> str:
    """Return a text without what would steer a terminal."""
    return "".join(c for c in text if c.isprintable() or c == "\n")
